"""What a judge may see of a transcript: single turns with their numbers, and what it may not see is not there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judged import SAMPLE, put

from roleeval.judging import (
    Answer,
    Case,
    Judge,
    Question,
    RubricJudge,
    SeenTurn,
    UnusableReplyError,
    View,
    as_text,
    fence_token,
    fenced,
    quoted,
    read_verdict,
)
from roleeval.types import Message, Transcript, Turn


def turn(speaker: str, visible: str, part: str = "model", **options: Any) -> Turn:
    return Turn(speaker, (), f"raw {visible}", visible, "SECRET", "ok", "stop", 1, 1, "", part=part, **options)


SESSION = Transcript(
    "s",
    "ok",
    (
        turn("Ada", "You enter.", "prologue"),
        turn("Ben", "Hello!", "user"),
        turn("Referee", "Ada", "referee", aside=True),
        turn("Ada", "Welcome.", shown="[A stranger.] Welcome."),
        turn("Ben", " ", "user"),
        turn("Ada", "Sit down."),
    ),
)


def test_turns_keep_their_numbers_and_say_whose_they_are() -> None:
    answer = View().of(SESSION)
    assert [seen.number for seen in answer.turns] == [0, 1, 3, 4, 5]
    assert [seen.number for seen in answer.turns if seen.own] == [3, 5]
    assert [seen.part for seen in answer.turns][:2] == ["prologue", "user"]
    assert answer.turns[2] == SeenTurn(3, "Ada", "model", "Welcome.")
    assert answer.turns[3].is_blank and answer.rounds == 2


def test_a_text_of_any_turns_reads_like_the_whole_one() -> None:
    answer = View().of(SESSION)
    assert answer.text == "Ada: You enter.\n\nBen: Hello!\n\nAda: Welcome.\n\nAda: Sit down."
    assert as_text(seen for seen in answer.turns if 1 <= seen.number < 4) == "Ben: Hello!\n\nAda: Welcome."


def test_what_a_view_holds_back_is_nowhere_in_the_answer() -> None:
    assert "SECRET" not in repr(View(thoughts="shown").of(SESSION)) and "Referee" not in repr(View().of(SESSION))
    assert View(thoughts="shown").of(SESSION).turns[2].text == "[A stranger.] Welcome."
    nameless = View(names=False).of(SESSION)
    assert "Ada" not in repr(nameless) and nameless.text.startswith("You enter.\n\nHello!")
    own = View(own=True).of(SESSION)
    assert own.text == "Ada: Welcome.\n\nAda: Sit down." and own.rounds == 2


def test_one_turn_is_an_answer_without_a_name() -> None:
    answer = View().of(Transcript("s", "ok", (turn("Ada", "Hm."),)))
    assert (answer.text, answer.rounds, answer.conversation) == ("Hm.", 1, False)
    assert Answer.said("Hm.").text == "Hm." and Answer.said("").outcome == "no_answer"
    # one turn that is heard among several calls is a conversation
    ended = Transcript("s", "ok", (turn("Ada", "Hm."), turn("Referee", "end", "referee", aside=True)))
    assert View().of(ended).text == "Ada: Hm."


@dataclass(frozen=True, kw_only=True)
class ChunkJudge(Judge):
    """A judge of a third party: one question for each pair of messages, about the model's own words alone."""

    name: str = "chunks"
    pack: str = "judges/rubric"

    def questions(self, case: Case) -> list[Question]:
        answer, schema = case.answers[case.own], {"type": "object", "properties": {"errors": {"type": "array"}}}
        found = []
        for start in range(1, 5, 2):
            chunk = [turn for turn in answer.turns if start <= turn.number < start + 2]
            token = fence_token(self.seed, self.name, case.sample.id, start)
            shown = fenced(as_text(chunk), "messages", token)
            own = "\n".join(turn.text for turn in chunk if turn.own)

            def read(reply: str, own: str = own) -> Mapping[str, Any]:
                verdict: Mapping[str, Any] = read_verdict(reply, schema)
                if not all(quoted(error, own) for error in verdict["errors"]):
                    raise UnusableReplyError("quotes what the model did not say")
                return verdict

            item = f"{case.sample.id}:{start}"
            found.append(
                Question(item, case.sample.id, (Message("user", shown),), json.dumps(schema), read, (case.own,))
            )
        return found


def test_a_judge_can_ask_about_parts_of_a_conversation_and_hold_quotes_against_own_turns() -> None:
    case = Case(SAMPLE, "m/run", {"m/run": ChunkJudge().view.of(SESSION)})
    first, second = ChunkJudge().questions(case)
    assert "Ben: Hello!" in first.messages[0].content and "Welcome." not in first.messages[0].content
    assert "Ada: Welcome." in second.messages[0].content and "You enter." not in str((first, second))
    judgements = put(ChunkJudge(attempts=1), lambda request: '{"errors": ["Welcome"]}', case)
    assert [judgement.status for judgement in judgements] == ["judge_failed", "ok"]


class Nosy(RubricJudge):
    """A judge of a third party with a view of its own."""

    @property
    def view(self) -> View:
        return View(own=True, names=False)


def test_a_judge_declares_its_view() -> None:
    answer = Nosy(name="nosy").view.of(SESSION)
    assert answer.text == "Welcome.\n\nSit down." and RubricJudge(thoughts="shown").view == View(thoughts="shown")
