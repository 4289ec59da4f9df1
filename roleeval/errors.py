"""The errors a user can meet. Every message names the thing that is wrong and the way out."""


class RoleEvalError(Exception):
    """Base of all errors that are the user's to act on; printed without a traceback."""


class ConfigError(RoleEvalError):
    """A key, value or combination of the configuration is not possible."""


class DataError(RoleEvalError):
    """A data file is missing, malformed, or not what it should be; names file and line."""


class AdapterError(RoleEvalError):
    """An adapter does not fit its base model or the engine."""


class UnsupportedRoleError(RoleEvalError):
    """A model has no adapter for a role: an outcome that is counted, not a failure of the run."""


class EngineError(RoleEvalError):
    """An engine could not load, or a request failed for good."""


class EngineDeadError(EngineError):
    """The engine is gone; no further request of it will be answered."""


class StoreError(RoleEvalError):
    """The completion store is corrupt, locked or not writable; never answered with a wrong text."""


class ResultError(RoleEvalError):
    """A result folder is incomplete, inconsistent or could not be written."""
