"""The errors a user can meet. Every message says what is wrong, where, and what to do."""


class RoleEvalError(Exception):
    """Base of all errors that are the user's to act on; printed without a traceback."""


class ConfigError(RoleEvalError):
    """A key, value or combination of the configuration is not possible."""


class OptionError(ConfigError):
    """A value is not possible for an option of a class; whoever knows the option's key puts it in front.

    Attributes:
        option: its name in the class.
        reason: what is wrong, and what is allowed.
    """

    def __init__(self, option: str, reason: str, *, owner: str = "") -> None:
        """`owner` is the key that objects of the class usually have ("engine"), for messages without another."""
        super().__init__(f"{owner}.{option}: {reason}" if owner else f"{option}: {reason}")
        self.option = option
        self.reason = reason


class SourceError(ConfigError):
    """A model's source cannot be used as it is; says `model.source`, because an engine does not know who asks it."""

    def said(self, source: str) -> str:
        """The whole sentence, with the key of the source of whoever asked."""
        return str(self).replace("model.source.", f"{source}.")


class NoOpponentError(ConfigError):
    """An opponent that was asked for has no finished run; a later job of the same command may be it."""


class DataError(RoleEvalError):
    """A data file is missing, malformed, or not what it should be; names file and line."""


class AdapterError(RoleEvalError):
    """An adapter does not fit its base model or the engine."""


class UnsupportedRoleError(RoleEvalError):
    """A model has no adapter for a role: an outcome that is counted, not a failure of the run."""


class EngineError(RoleEvalError):
    """An engine could not load, or a request failed in every attempt."""


class ContextOverflowError(EngineError):
    """A prompt and the new tokens that were asked for do not fit into a model's context: an outcome, not a fault.

    Attributes:
        what: how many tokens of which model, in words.
        longer: the engine's option that allows more; "" where nothing does.
        shorter: whether fewer new tokens would fit.
    """

    def __init__(self, what: str, *, longer: str = "", shorter: bool = False) -> None:
        super().__init__(what)
        self.what, self.longer, self.shorter = what, longer, shorter

    def __str__(self) -> str:
        return self.said()

    def said(self, *, engine: str = "engine", tokens: str = "max_tokens") -> str:
        """The whole sentence, with the keys of whoever asked.

        Args:
            engine: the key of its engine's options.
            tokens: the key of its limit of new tokens.
        """
        ways = [f"raise {engine}.{self.longer}"] if self.longer else []
        ways += [f"lower {tokens}"] if self.shorter else []
        return f"{self.what}; {' or '.join(ways)}" if ways else self.what


class OverBudgetError(EngineError):
    """A call was not made because the budget is spent: an outcome that is counted, not a failure of the run."""


class EngineDeadError(EngineError):
    """The engine is gone, or could not start; no further request of it will be answered."""


class StoreError(RoleEvalError):
    """The completion store is corrupt, locked or not writable; never answered with a wrong text."""


class ResultError(RoleEvalError):
    """A result folder is incomplete, inconsistent or could not be written."""


def concerns_one_item(error: Exception) -> bool:
    """Whether an error is the outcome of one call, reply, question or sample; others end the run.

    What nobody foresaw (a programming error that one reply brought out) is such an outcome as well: it costs that item
    and is counted under `fail_on_error`.
    """
    if isinstance(error, EngineDeadError):
        return False
    return isinstance(error, (EngineError, AdapterError, UnsupportedRoleError)) or not isinstance(error, RoleEvalError)


def cause_of(error: Exception) -> str:
    """An error in one sentence: its message, prefixed with its type if it is not one of roleeval's own."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, RoleEvalError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
