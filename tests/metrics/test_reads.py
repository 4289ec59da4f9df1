"""Which turns a text metric reads: the last one, each or all, and of the model under test alone."""

from collections.abc import Callable

import pytest

from roleeval.metrics import AnswerLength, DistinctPerRole, EmptyRate, Metric, Reads, RefusalRate, RougePltrdy
from roleeval.types import Part, Sample, Score, Status, Transcript, Turn

Make = Callable[..., Sample]


def turn(visible: str, *, part: Part = "model", status: Status = "ok") -> Turn:
    return Turn(
        "Jack",
        (),
        f"<think>a long thought</think>{visible}",
        visible,
        "a long thought",
        status,
        "stop",
        1,
        1,
        "",
        part=part,
    )


SESSION = Transcript(
    "s1",
    "ok",
    (
        turn("one two three four"),
        turn("somebody else says so much more than anybody asked for", part="user"),
        turn("", status="no_answer"),
        turn("five six"),
        turn("and it rains", part="environment"),
    ),
)


def values(metric: Metric, sample: Sample, transcript: Transcript = SESSION) -> dict[str, float | None]:
    return {row.metric: row.value for row in metric.score(sample, transcript)}


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("last", {"answer_words": 2.0, "answer_chars": 8.0}),
        ("each", {"answer_words_each_turn": 2.0, "answer_chars_each_turn": 26 / 3}),
        ("all", {"answer_words_all_turns": 6.0, "answer_chars_all_turns": 27.0}),
    ],
)
def test_lengths_are_of_what_is_read_and_their_names_say_it(
    sample: Make, reads: Reads, expected: dict[str, float]
) -> None:
    metric = AnswerLength(reads=reads)
    assert values(metric, sample()) == pytest.approx(expected)
    assert [info.name for info in metric.infos()] == list(expected)


def test_references_are_compared_with_each_turn_or_with_all_of_them(sample: Make) -> None:
    asked = sample("one two five six")
    last, each, everything = (values(RougePltrdy(reads=reads), asked) for reads in ("last", "each", "all"))
    assert last["rougeL_recall_pltrdy_max"] == 0.5
    assert each["rougeL_recall_pltrdy_max_each_turn"] == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert everything["rougeL_recall_pltrdy_max_all_turns"] == 1.0
    recall = RougePltrdy(reads="each").infos()[0]
    assert recall.read_with == ("rougeL_f1_pltrdy_max_each_turn", "answer_words_each_turn")


def test_a_turn_without_an_answer_counts_as_one(sample: Make) -> None:
    assert values(EmptyRate(reads="each"), sample()) == {"empty_rate_each_turn": pytest.approx(1 / 3)}
    refused = Transcript("s1", "ok", (turn("Aye."), turn("I will not be heard", status="refused")))
    assert values(RefusalRate(reads="each"), sample(), refused) == {"refusal_rate_each_turn": 0.5}
    assert values(RefusalRate(), sample(), Transcript("s1", "refused", refused.turns)) == {"refusal_rate": 1.0}


@pytest.mark.parametrize("reads", ["last", "each", "all"])
def test_what_did_not_happen_is_missing_whatever_is_read(sample: Make, reads: Reads) -> None:
    failed = Transcript("s1", "engine_failed", (turn("one"), turn("", status="engine_failed")))
    rows: list[Score] = AnswerLength(reads=reads).score(sample(), failed)
    assert {(row.value, row.status) for row in rows} == {(None, "engine_failed")}


@pytest.mark.parametrize("reads", ["each", "all"])
def test_a_turn_that_failed_leaves_no_mean_over_fewer_turns(sample: Make, reads: Reads) -> None:
    holed = Transcript("s1", "ok", (turn("one"), turn("", status="engine_failed"), turn("two")))
    rows: list[Score] = AnswerLength(reads=reads).score(sample(), holed)
    assert {(row.value, row.status) for row in rows} == {(None, "engine_failed")}


@pytest.mark.parametrize("reads", ["last", "each", "all"])
def test_an_episode_in_which_the_model_had_no_turn_is_the_empty_text(sample: Make, reads: Reads) -> None:
    alone = Transcript("s1", "ok", (turn("It rains.", part="environment"),))
    assert set(values(EmptyRate(reads=reads), sample(), alone).values()) == {1.0}
    assert set(values(AnswerLength(reads=reads), sample(), Transcript("s1", "ok", ())).values()) == {0.0}


def test_distinct_n_takes_every_turn_as_an_answer_or_all_as_one(sample: Make) -> None:
    session = Transcript("s1", "ok", (turn("rum rum"), turn("Rum?", part="user"), turn("rum more")))
    found = {}
    for reads in ("last", "each", "all"):
        seen = DistinctPerRole(reads=reads).collector()
        seen.add(sample(), session)
        found |= {row.metric: (row.value, row.detail["answers"]) for _, _, row in seen.rows()}
    assert found["distinct1_role"] == (1.0, 1) and found["distinct1_role_each_turn"] == (0.5, 2)
    assert found["distinct2_role_each_turn"] == (2 / 4, 2)  # rum-rum, rum-more: none across two turns
    assert found["distinct2_role_all_turns"] == (2 / 4, 1)  # rum-rum twice, rum-more
    failed = DistinctPerRole(reads="each").collector()
    failed.add(sample(), Transcript("s1", "engine_failed", session.turns))
    assert {(row.value, row.status) for _, _, row in failed.rows()} == {(None, "engine_failed")}
