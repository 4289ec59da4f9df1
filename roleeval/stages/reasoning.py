"""Counts how answers mark their reasoning, and says what a setting would make sure."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from roleeval.models import PersonaModel
from roleeval.models.marks import AUTO, THINK, described, opens_nothing, split_reasoning
from roleeval.types import MODEL, Transcript

_log = logging.getLogger(__name__)


@dataclass
class ReasoningSeen:
    """What was seen in the answers of a model under test.

    Attributes:
        answers: turns with a text.
        marks: name -> answers with these marks.
        unopened: answers that close reasoning which they do not open.
        cut_without_marks: answers that reached their limit and hold no mark.
    """

    answers: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    unopened: int = 0
    cut_without_marks: int = 0

    def add(self, transcript: Transcript) -> None:
        """Counts a transcript's turns."""
        for turn in transcript.turns:
            if turn.part != MODEL or not turn.raw or turn.logprob is not None:
                continue
            self.answers += 1
            found = split_reasoning(turn.raw).found
            if found:
                self.marks.update(found)
                self.unopened += opens_nothing(turn.raw)
            elif turn.finish_reason == "length" and not turn.thoughts:
                self.cut_without_marks += 1

    def facts(self) -> Mapping[str, Mapping[str, int]]:
        """For the manifest; nothing where all is plain."""
        return {"reasoning_marks": dict(sorted(self.marks.items()))} if self.marks else {}

    def warn(self, model: PersonaModel) -> None:
        """Warns of marks that the model's setting does not name, and of reasoning that may be scored as an answer."""
        setting = getattr(model, "reasoning_marks", None)
        if setting is None or getattr(model, "reply_format", "plain") != "plain":
            return  # the family reads its replies in another way
        for name, count in self.marks.items():
            if name in (THINK, setting) and setting in (AUTO, name):
                continue
            became = "was removed" if setting == AUTO else "is scored"
            _log.warning(
                "%d of %d answers contain %s, and the text in it %s (model.reasoning_marks=%s). Set"
                " model.reasoning_marks=%s if the model reasons so, or none if this is part of its answers",
                count,
                self.answers,
                described(name),
                became,
                setting,
                name,
            )
        if self.unopened and self.cut_without_marks and not getattr(model, "always_reasons", False):
            _log.warning(
                "%d of %d answers close reasoning that they do not open, and %d were cut off without any mark: they may"
                " be reasoning that is scored as an answer. If this model always reasons first, set"
                " model.always_reasons=true",
                self.unopened,
                self.answers,
                self.cut_without_marks,
            )
