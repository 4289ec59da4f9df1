"""The protocol of an engine: text in, text out. Engines know nothing about roles, benchmarks or judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a base model comes from.

    Attributes:
        path: a local folder, a hub id, or the served model's name for an API.
        revision: a hub revision; pin a commit for numbers that are to be reproduced.
        chat_template: a Jinja file that replaces the tokenizer's own template, or none.
        trust_remote_code: run code that comes with the model; off unless asked for.
        template_options: variables of the chat template ({"enable_thinking": False}).
        template_date: what a template writes that asks for today's date; None is today.
        fold_system: the system turn becomes the beginning of the first user turn, for models that take none.
        merge_neighbours: turns of one role that follow each other become one, for models whose turns alternate.
    """

    path: str
    revision: str | None = None
    chat_template: str | None = None
    trust_remote_code: bool = False
    template_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    template_date: str | None = None
    fold_system: bool = False
    merge_neighbours: bool = False

    @property
    def prompt_options(self) -> tuple[Any, ...]:
        """The options that change prompts and are in no file, for fingerprints; () where all have their defaults."""
        given = (dict(self.template_options), self.template_date, self.fold_system, self.merge_neighbours)
        return given if any(given) else ()


@dataclass(frozen=True, slots=True)
class LoraNeed:
    """What a run needs of an engine's LoRA support.

    Attributes:
        count: number of adapters.
        max_rank: their largest rank.
        modules: last names of the modules that they are on; empty: any.
    """

    count: int = 0
    max_rank: int = 0
    modules: frozenset[str] = frozenset()

    def union(self, other: "LoraNeed") -> "LoraNeed":
        if not (self.count and other.count):
            return self if self.count else other
        modules = self.modules | other.modules if self.modules and other.modules else frozenset()
        return LoraNeed(max(self.count, other.count), max(self.max_rank, other.max_rank), modules)

    def covers(self, other: "LoraNeed") -> bool:
        if not other.count:
            return True
        modules = not self.modules or (bool(other.modules) and self.modules >= other.modules)
        return self.count >= other.count and self.max_rank >= other.max_rank and modules


class Engine(Protocol):
    """A loaded (or connected) engine. All methods belong to one event loop."""

    @property
    def likelihoods(self) -> bool:
        """Whether `likelihood` is possible; known before anything is loaded."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all of the engine and its model that determines a text; part of every store key."""
        ...

    def check(self, adapter: AdapterRef) -> None:
        """Says before anything is loaded whether an adapter can be served.

        Raises:
            AdapterError: it cannot; names the adapter and what does not fit.
        """
        ...

    async def start(self) -> None:
        """Loads the model or opens the connection.

        Raises:
            EngineError: it cannot load; the message says why.
        """
        ...

    async def generate(self, request: Request) -> Completion:
        """Answers one request.

        Raises:
            EngineError: the request failed in every attempt.
            AdapterError: the request's adapter does not fit.
        """
        ...

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """Scores a text after a prompt; the same number, up to rounding, from every engine that can.

        Raises:
            EngineError: the request failed in every attempt, or this kind of engine cannot score texts.
            AdapterError: the request's adapter does not fit.
        """
        ...

    async def scored_length(self) -> int:
        """How many tokens prompt and continuation of a likelihood request may have together; loads the model.

        Raises:
            EngineError: this kind of engine cannot score texts.
        """
        ...

    async def close(self) -> None:
        """Frees what `start` took. May be called twice."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Facts for the manifest: kind, versions, options, start-up seconds. Never a secret."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says of the model that it serves under a name.

    Attributes:
        name: of the model.
        facts: fact -> the values that were said for it.
    """

    name: str
    facts: Mapping[str, tuple[str, ...]]


@runtime_checkable
class ServedElsewhere(Protocol):
    """An engine whose weights are on a server, where they may be replaced under the same name."""

    @property
    def served(self) -> Served:
        """What is known by now; the same object until more is known."""
        ...


@runtime_checkable
class Renders(Protocol):
    """An engine that renders chats itself."""

    def prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        """What determines a request's prompt besides the request and the fingerprint; loads nothing.

        Raises:
            ConfigError: the chat template refuses or loses turns.
        """
        ...


@runtime_checkable
class Measures(Protocol):
    """An engine that knows a model's context before it loads it."""

    def require_room(self, request: Request) -> None:
        """Refuses a request that cannot be sent, or cannot fit; loads a tokenizer at most.

        Raises:
            ConfigError: the model has no chat template, or one that refuses or loses turns.
            ContextOverflowError: it does not fit.
        """
        ...


@runtime_checkable
class Holds(Protocol):
    """An engine whose memory for what it has read of chats may be too small for all that are in flight."""

    def hold(self, tokens: int) -> int | None:
        """Asks for room for so many tokens, before the engine starts; loads nothing.

        Returns:
            How many tokens there will be room for; None where that is not known.
        """
        ...


@runtime_checkable
class EngineOptions(Protocol):
    """The options of one kind of engine: a frozen dataclass that Hydra reaches by `_target_`.

    One whose models are on a server that counts tokens itself says so: `elsewhere: ClassVar[bool] = True`. One that
    hands its calls to other engines has their options as `inner`.
    """

    def build(self, source: ModelSource, lora: LoraNeed) -> Engine:
        """Makes an engine that is not started yet; checks what can be checked without loading.

        Raises:
            ConfigError, EngineError, AdapterError.
        """
        ...


def serving(options: EngineOptions) -> EngineOptions:
    """The options of the engine that serves the model: of a pool, those of the engines in it."""
    inner: EngineOptions = getattr(options, "inner", options)
    return inner


def is_elsewhere(options: EngineOptions) -> bool:
    """Whether the model is on a server: its tokenizer may not be at hand, and its calls may cost money."""
    return bool(getattr(serving(options), "elsewhere", False))
