"""HER: a model that plans in the third person, then writes inner thoughts, actions and speech in tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from roleeval.identity import options
from roleeval.models._her_reply import heard_her, parse_her
from roleeval.models.families import OptionalLora
from roleeval.types import FinishReason, Reply


@dataclass(frozen=True, kw_only=True)
class Her(OptionalLora):
    """A HER model, whole or as an adapter on a base (conf/model/her.yaml).

    Attributes:
        prefill: opens the assistant's turn, so that a plan comes first.
        history: what the character's own past turns keep: "no_system_thinking" is how HER was trained, "full" how its
            authors evaluate it. Inner thoughts stay either way; others never hear them.

    Source: spec/coser.md, section 4.
    """

    reply_format: ClassVar[str] = "tags"

    prefill: str = "<system_thinking>"
    history: Literal["no_system_thinking", "full"] = "no_system_thinking"

    @property
    def family(self) -> str:
        return "her"

    def identity(self) -> Mapping[str, Any]:
        """The options, and the form in which others hear actions: scenes of earlier versions had another one."""
        return {**options(self), "heard": "role_action"}

    def parse(self, text: str, finish_reason: FinishReason, reasoning: str) -> Reply:
        return parse_her(text, finish_reason, reasoning, keep_plan=self.history == "full")

    def heard(self, text: str, finish_reason: FinishReason) -> str:
        """See Hears."""
        return heard_her(text, finish_reason)
