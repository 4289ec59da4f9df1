"""The families without a reply format of their own: base, api and shared LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from roleeval.engines import ModelSource, load_adapter
from roleeval.errors import ConfigError
from roleeval.identity import OUTSIDE_IDENTITY, options
from roleeval.models._sizes import AdapterParameters, adapter_sizes, summed
from roleeval.models.marks import AUTO, checked_marks
from roleeval.models.raw_prompts import PromptFormat, raw_prompt, special_tokens_around
from roleeval.models.reply import parse_plain
from roleeval.resources import zoo_path
from roleeval.types import AdapterRef, FinishReason, Message, Persona, Reply, Sampling

_ZOO = "zoo:"


@dataclass(frozen=True, kw_only=True)
class Base:
    """A model without an adapter, given the persona in its system prompt (conf/model/base.yaml).

    Attributes:
        name: the model's folder name in results/ and its row in tables.
        source: the base model; "zoo:NAME" is one of the project's own small models.
        sampling: decoding parameters.
        system_prompt: "persona" sends the benchmark's system prompt, "none" sends none.
        prompt_format: "chat" is the model's chat template; the others are raw prompts for one question
            (raw_prompts.yaml), those ending in _lora with the system prompt in front.
        prefill: text that opens the assistant's turn.
        reasoning_marks: what encloses reasoning in replies: "auto" (all that are known; other ones than <think>
            are counted and warned of), "none", a name or a pair of marks (models/marks.py).
        always_reasons: every answer begins with reasoning, whose opening mark may be missing (a server's template
            writes it): a text that was cut off before a closing mark is reasoning.
        reply_format: of the family's replies: "plain" is read by `reasoning_marks`; "tags" has inner thoughts and
            actions in HER's tags, which CoSER's prompts then ask for; any other word is read by the family's `parse`.
    """

    reply_format: ClassVar[str] = "plain"

    name: str
    source: ModelSource = field(metadata=OUTSIDE_IDENTITY)
    sampling: Sampling = field(default_factory=Sampling)
    system_prompt: Literal["persona", "none"] = "persona"
    prompt_format: PromptFormat = "chat"
    prefill: str = ""
    reasoning_marks: str = AUTO
    always_reasons: bool = False

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError(f"model.name: {self.name!r} is not a valid folder name; give a name without '/'")
        checked_marks(self.reasoning_marks)
        if self.source.path.startswith(_ZOO):
            path = str(zoo_path(self.source.path.removeprefix(_ZOO)))
            object.__setattr__(self, "source", replace(self.source, path=path, revision=None))

    @property
    def family(self) -> str:
        return "base"

    def identity(self) -> Mapping[str, Any]:
        """The options; weights and adapters are in a run's identity by their contents."""
        return options(self)

    def adapters(self) -> Sequence[AdapterRef]:
        return ()

    def adapter(self, persona: Persona) -> AdapterRef | None:
        return None

    def adapter_parameters(self) -> AdapterParameters:
        """All adapters together; one more role costs nothing, because the same ones serve it."""
        return AdapterParameters(summed(adapter_sizes(self.adapters())), 0)

    def messages(self, system: str, history: Sequence[Message]) -> tuple[Message, ...]:
        if self.system_prompt == "none" or not system:
            return tuple(history)
        return (Message("system", system), *history)

    def prompt(self, system: str, history: Sequence[Message]) -> str | None:
        """See PersonaModel.prompt; None with prompt_format=chat."""
        if self.prompt_format == "chat":
            return None
        return raw_prompt(self.prompt_format, history, "" if self.system_prompt == "none" else system)

    @property
    def prompt_special_tokens(self) -> bool:
        return special_tokens_around(self.prompt_format)

    def parse(self, text: str, finish_reason: FinishReason, reasoning: str) -> Reply:
        return parse_plain(
            text, finish_reason, reasoning, always_reasons=self.always_reasons, marks=self.reasoning_marks
        )


@dataclass(frozen=True, kw_only=True)
class Api(Base):
    """A model behind an OpenAI-compatible endpoint; source.path is the name it is served under.

    Where that is also its `name`, slashes in it ("Qwen/Qwen3-8B") become "--", as a name is a folder's.
    """

    def __post_init__(self) -> None:
        if self.name == self.source.path:
            object.__setattr__(self, "name", self.name.replace("/", "--"))
        Base.__post_init__(self)

    @property
    def family(self) -> str:
        return "api"

    def adapter_parameters(self) -> AdapterParameters:
        return AdapterParameters(None, None)


@dataclass(frozen=True, kw_only=True)
class OptionalLora(Base):
    """The base of families that are a model as a whole, or one PEFT adapter on a base.

    Attributes:
        adapter_path: the adapter's folder, or "zoo:NAME"; for the openai engine the name the server knows it by. None:
            the source is the whole model.
        served: True when a server holds the adapter, so that adapter_path is a name and not a folder.
    """

    adapter_path: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    served: bool = False

    @cached_property
    def _adapter(self) -> AdapterRef | None:
        path = self.adapter_path
        if path is None:
            return None
        if self.served:
            return AdapterRef(path, "", f"served:{path}")
        if path.startswith(_ZOO):
            name = path.removeprefix(_ZOO)
            return load_adapter(zoo_path(name), name)
        return load_adapter(Path(path))

    def adapters(self) -> Sequence[AdapterRef]:
        return () if self._adapter is None else (self._adapter,)

    def adapter(self, persona: Persona) -> AdapterRef | None:
        return self._adapter


@dataclass(frozen=True, kw_only=True)
class SharedLora(OptionalLora):
    """One PEFT adapter for all roles, with the persona in the system prompt (conf/model/shared_lora.yaml)."""

    adapter_path: str = field(metadata=OUTSIDE_IDENTITY)  # required here

    @property
    def family(self) -> str:
        return "shared_lora"
