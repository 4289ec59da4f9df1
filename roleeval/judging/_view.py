"""What a judge may see of a transcript: a view selects turns, and the selected turns are the answer that is judged.

    view.of(transcript) -> Answer(turns=(SeenTurn(number, speaker, part, text, status), ...), status, conversation)

What a view excludes (asides, thoughts, names, other parts) is not in the answer, so no judge can show it by mistake.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from roleeval.metrics import ANSWERLESS
from roleeval.types import MODEL, Part, Status, Transcript, Turn


@dataclass(frozen=True, slots=True)
class SeenTurn:
    """A turn as a judge sees it.

    Attributes:
        number: its place in the transcript, from 0; asides have a number too and are not seen.
        speaker: who says it; "" where the view hides names.
        part: what its speaker is in the episode, in the benchmark's word.
        text: what may be read of it; "" where nothing was said.
        status: of the turn's own call.
    """

    number: int
    speaker: str
    part: Part
    text: str
    status: Status = "ok"

    @property
    def own(self) -> bool:
        """Whether it is the model's that is under test."""
        return self.part == MODEL

    @property
    def is_blank(self) -> bool:
        """Nothing was said: the turn is no part of a conversation's text, and no round of it."""
        return not self.text.strip()


def as_text(turns: Iterable[SeenTurn]) -> str:
    """Turns as one text: "Name: message" with a blank line between, without turns in which nothing was said."""
    return "\n\n".join(
        f"{turn.speaker}: {turn.text}" if turn.speaker else turn.text for turn in turns if turn.text.strip()
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What one candidate said about a sample, as far as a judge may see it.

    Attributes:
        turns: in the transcript's order, those in which nothing was said included.
        status: how its episode ended.
        conversation: the episode has several turns; one turn alone is an answer, without its speaker's name.
    """

    turns: tuple[SeenTurn, ...]
    status: Status = "ok"
    conversation: bool = False

    @classmethod
    def said(cls, text: str, *, status: Status = "ok") -> "Answer":
        """An answer that comes from no transcript: a reference, or a text of one's own."""
        return cls((SeenTurn(0, "", MODEL, text, status),), status)

    @property
    def text(self) -> str:
        """The answer, or the whole conversation (`as_text`)."""
        return as_text(self.turns) if self.conversation else "".join(turn.text for turn in self.turns)

    @property
    def rounds(self) -> int:
        """Turns in which the model under test said something; of a single answer 1."""
        return sum(turn.own and not turn.is_blank for turn in self.turns) if self.conversation else 1

    @property
    def happened(self) -> bool:
        """False where the candidate was never asked (or not answered): there is nothing to judge."""
        return self.status == "ok" or self.status in ANSWERLESS

    @property
    def given(self) -> bool:
        """Whether there is a text that a judge can be asked about."""
        return self.status == "ok" and bool(self.text.strip())

    @property
    def outcome(self) -> Status:
        """The status of a row that needs no judge."""
        return "no_answer" if self.status == "ok" and not self.given else self.status

    def with_texts(self, texts: Iterable[str]) -> "Answer":
        """The same turns with other texts, one for each."""
        changed = tuple(replace(turn, text=text) for turn, text in zip(self.turns, texts, strict=True))
        return replace(self, turns=changed)


@dataclass(frozen=True, slots=True)
class View:
    """What of a transcript reaches a judge; asides never do.

    Attributes:
        thoughts: "shown" takes the form with inner thoughts in brackets, where a turn has one.
        names: speakers are named; models and runs never are.
        own: only turns of the model under test.
    """

    thoughts: Literal["hidden", "shown"] = "hidden"
    names: bool = True
    own: bool = False

    def of(self, transcript: Transcript) -> Answer:
        """A transcript as far as it may be seen."""
        seen = tuple(
            SeenTurn(number, turn.speaker if self.names else "", turn.part, self._text(turn), turn.status)
            for number, turn in enumerate(transcript.turns)
            if not turn.aside and (turn.part == MODEL or not self.own)
        )
        return Answer(seen, transcript.status, conversation=len(transcript.turns) != 1)

    def _text(self, turn: Turn) -> str:
        return (turn.shown if self.thoughts == "shown" else "") or turn.visible
