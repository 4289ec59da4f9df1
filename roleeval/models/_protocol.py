"""What a family adds over an engine: an adapter for a role, a prompt policy and a reply format."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from roleeval.engines import LoraNeed, ModelSource
from roleeval.models._sizes import AdapterParameters
from roleeval.types import AdapterRef, FinishReason, Message, Persona, Reply, Sampling


@runtime_checkable
class PersonaModel(Protocol):
    """A model under test: a frozen dataclass, reached by `_target_`. Adapters are read when they are first asked for.

    Its options are part of a run's identity. A field that only says where weights or adapters are is declared with
    `metadata=roleeval.identity.OUTSIDE_IDENTITY`, because their hashes are in the identity by themselves; a method
    `identity()` may say something else.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def source(self) -> ModelSource: ...

    @property
    def sampling(self) -> Sampling: ...

    @property
    def prefill(self) -> str: ...

    def adapters(self) -> Sequence[AdapterRef]:
        """All adapters that the model may use."""
        ...

    def adapter(self, persona: Persona) -> AdapterRef | None:
        """The adapter that plays a role; None is the base model.

        Raises:
            UnsupportedRoleError: the family cannot play this role.
        """
        ...

    def adapter_parameters(self) -> AdapterParameters:
        """What the family adds to its base, in parameters."""
        ...

    def messages(self, system: str, history: Sequence[Message]) -> tuple[Message, ...]:
        """The chat to send, from the benchmark's system prompt and the visible history."""
        ...

    def prompt(self, system: str, history: Sequence[Message]) -> str | None:
        """The raw prompt to send in the chat's place; None for a chat.

        Raises:
            ConfigError: the prompt's format cannot express the history.
        """
        ...

    @property
    def prompt_special_tokens(self) -> bool:
        """See Request.prompt_special_tokens."""
        ...

    def parse(self, text: str, finish_reason: FinishReason, reasoning: str) -> Reply:
        """Takes a raw reply apart. Must not raise on any text."""
        ...


@runtime_checkable
class Hears(Protocol):
    """A family whose characters hear another form of each other's replies than people read."""

    def heard(self, text: str, finish_reason: FinishReason) -> str:
        """What other characters hear of a raw reply; "" where it is no answer."""
        ...


def lora_need(*models: PersonaModel) -> LoraNeed:
    """What an engine must hold to serve the adapters of models that are asked at the same time."""
    adapters = {adapter.fingerprint: adapter for model in models for adapter in model.adapters() if adapter.path}
    known = all(adapter.modules for adapter in adapters.values())
    modules = frozenset(name for adapter in adapters.values() for name in adapter.modules) if known else frozenset()
    return LoraNeed(len(adapters), max((adapter.rank for adapter in adapters.values()), default=0), modules)
