"""What a judge may read of a transcript: the visible text, and inner thoughts only where a protocol shows them."""

from judge_stubs import shown_answers
from judged import SAMPLE, points, put

from roleeval.judging import Case, RubricJudge, View
from roleeval.types import Message, Request, Transcript, Turn

SECRET = "The butler did it, and I must not say so."


def turn(visible: str, *, speaker: str = "Sherlock Holmes", shown: str = "") -> Turn:
    raw = f"<think>{SECRET}</think>{visible}"
    asked = (Message("user", "Who did it?"),)
    return Turn(speaker, asked, raw, visible, SECRET, "ok", "stop", 1, 1, "", own_history=raw, shown=shown)


def test_thoughts_never_reach_a_judge() -> None:
    asked: list[Request] = []

    def listen(request: Request) -> str:
        asked.append(request)
        return points(3, "my dear fellow")

    transcript = Transcript(SAMPLE.id, "ok", (turn("Patience, my dear fellow."),))
    answer = RubricJudge().view.of(transcript)
    (judgement,) = put(RubricJudge(), listen, Case(SAMPLE, "m0/run", {"m0/run": answer}))
    assert judgement.status == "ok" and list(shown_answers(asked[0]).values()) == ["Patience, my dear fellow."]
    assert SECRET not in str(asked)


def test_a_protocol_that_shows_thoughts_gets_the_form_meant_for_it() -> None:
    transcript = Transcript(SAMPLE.id, "ok", (turn("Patience.", shown="[I know.] Patience."),))
    assert View(thoughts="shown").of(transcript).text == "[I know.] Patience."
    assert View(thoughts="shown").of(Transcript(SAMPLE.id, "ok", (turn("Patience."),))).text == "Patience."


def test_a_conversation_is_shown_with_its_speakers() -> None:
    turns = (turn("Who did it?", speaker="Watson"), turn("Patience."))
    assert View().of(Transcript(SAMPLE.id, "ok", turns)).text == ("Watson: Who did it?\n\nSherlock Holmes: Patience.")
