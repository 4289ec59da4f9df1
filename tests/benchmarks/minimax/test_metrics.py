"""What a session is like beside its errors."""

from dataclasses import replace

import pytest

from roleeval.benchmarks import given_turn
from roleeval.benchmarks.minimax import SessionFacts
from roleeval.benchmarks.minimax.metrics import labelled, mixes, repetition
from roleeval.types import MODEL, Persona, Sample, Status, Transcript

SAMPLE = Sample("s", 0, "en", "s", Persona("Ann", "", "en"), "Hi.", {}, {}, {"user_name": "Bob"})


@pytest.mark.parametrize(
    ("messages", "language", "share"),
    [
        (["a b c d", "e f g h"], "en", 0.0),
        (["a b c d", "A b, c d!"], "en", 0.5),
        (["a b c d e", "a b c d"], "en", 1 / 3),  # an n-gram never spans two messages
        (["too short", ""], "en", 0.0),
        (["你好世界", "你好，世界"], "zh", 0.5),
    ],
)
def test_repetition_is_the_share_of_four_grams_that_were_there_before(
    messages: list[str], language: str, share: float
) -> None:
    assert repetition(messages, language) == pytest.approx(share)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "language", "mixed"),
    [
        ("Good evening.", "en", False),
        ("Good 晚上 evening.", "en", True),
        ("Café, naïve, São Paulo.", "en", False),
        ("晚上好，Bob。", "zh", False),
        ("我用的是Python和API接口来做这件事情的", "zh", True),
        ("Good evening to you.", "zh", True),
        ("……", "zh", False),
    ],
)
def test_a_message_in_the_other_script_is_mixed(message: str, language: str, mixed: bool) -> None:
    assert mixes(message, language) == mixed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "leaks"),
    [
        ("Ann: Hello.", True),
        ("**Ann:** Hello.", True),
        ("Hello.\nBob：你好。", True),
        ("[Bob]: Hello.", True),
        ("Ann said: Hello.", False),
        ("Annabel: Hello.", False),
        ("I met Bob: he is well.", False),
    ],
)
def test_a_line_that_begins_with_a_name_and_a_colon_is_a_label(message: str, leaks: bool) -> None:
    assert labelled(message, ["Ann", "Bob", ""]) == leaks


def transcript(*texts: str, status: Status = "ok") -> Transcript:
    own = [replace(given_turn("Ann", text, part=MODEL), part=MODEL) for text in texts]
    return Transcript("s", status, (given_turn("Ann", "Ann: x 晚", part="given"), *own))


def test_given_messages_are_not_counted_and_shares_are_of_the_characters() -> None:
    rows = {row.metric: row.value for row in SessionFacts().score(SAMPLE, transcript("Ann: a b c d", "", "晚 a b c d"))}
    assert rows == {
        "minimax/repetition": pytest.approx(1 / 4),
        "minimax/language_mixing": pytest.approx(1 / 3),
        "minimax/label_leaks": pytest.approx(1 / 3),
        "minimax/blank": pytest.approx(1 / 3),
        "minimax/messages": 3.0,
    }


@pytest.mark.parametrize("status", ["engine_failed", "context_overflow", "unsupported_role"])
def test_a_session_that_did_not_come_to_its_end_has_missing_values(status: Status) -> None:
    assert {row.value for row in SessionFacts().score(SAMPLE, transcript("a", status=status))} == {None}
