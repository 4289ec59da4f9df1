"""Pairwise judges: both orders, what a disagreement is worth, and what needs no judge."""

from dataclasses import replace

import pytest
from judge_stubs import Reply, shown_answers
from judged import SAMPLE, case, put, scores, winner

from roleeval.errors import ConfigError, EngineError
from roleeval.judging import HerRm, PairwiseJudge
from roleeval.types import Request, Sampling

GOOD, BAD = "Elementary, my dear fellow.", "I am happy to help you today!"
JUDGE = PairwiseJudge()


def prefers(text: str, request: Request) -> str:
    return next(name[-1] for name, inner in shown_answers(request).items() if inner == text)


def test_an_answer_that_wins_in_both_orders_wins() -> None:
    for own, other, value in ((GOOD, BAD, 1.0), (BAD, GOOD, 0.0)):
        judged = case(own, other)
        found = put(JUDGE, lambda request: winner(*[prefers(GOOD, request)] * 2), judged)
        rows = scores(JUDGE, judged, found)
        assert len(found) == 2 and {row.status for row in rows.values()} == {"ok"}
        assert rows["style/win"].value == rows["knowledge/win"].value == rows["overall/win"].value == value
        assert (rows["flip"].value, rows["first_slot"].value) == (0.0, 0.5)


def test_a_judge_that_always_takes_the_first_gives_ties_and_is_caught() -> None:
    judged = case(GOOD, BAD)
    rows = scores(JUDGE, judged, put(JUDGE, lambda request: winner("A", "A"), judged))
    assert (rows["overall/win"].value, rows["flip"].value, rows["first_slot"].value) == (0.5, 1.0, 1.0)


def test_a_win_against_a_tie_is_a_tie_and_no_flip() -> None:
    judged = case(GOOD, BAD)

    def half(request: Request) -> str:
        return winner("A" if prefers(GOOD, request) == "A" else "tie", "tie")

    rows = scores(JUDGE, judged, put(JUDGE, half, judged))
    assert (rows["style/win"].value, rows["flip"].value, rows["first_slot"].value) == (0.5, 0.0, 0.625)


def test_one_order_alone_is_no_verdict() -> None:
    judged = case(GOOD, BAD)

    def once(request: Request) -> Reply:
        return winner("A", "A") if prefers(GOOD, request) == "A" else "no idea"

    rows = scores(JUDGE, judged, put(JUDGE, once, judged))
    assert rows["overall/win"].value is None and rows["overall/win"].status == "judge_failed"
    assert rows["overall/win"].detail["reason"] == "no JSON in the reply"
    assert rows["flip"].value is None


@pytest.mark.parametrize(
    ("texts", "statuses", "value", "status"),
    [
        ((GOOD, GOOD), {}, 0.5, "ok"),
        (("", GOOD), {0: "no_answer"}, 0.0, "no_answer"),
        (("cut", GOOD), {0: "truncated_reasoning"}, 0.0, "truncated_reasoning"),
        ((GOOD, ""), {1: "refused"}, 1.0, "ok"),
        (("", " "), {0: "no_answer"}, 0.5, "no_answer"),
        (("", GOOD), {0: "engine_failed"}, None, "engine_failed"),
        ((GOOD, ""), {1: "engine_failed"}, None, "engine_failed"),
        (("", GOOD), {0: "unsupported_role"}, None, "unsupported_role"),
    ],
)
def test_what_needs_no_judge_is_not_asked(texts: tuple[str, ...], statuses: dict, value: object, status: str) -> None:  # type: ignore[type-arg]
    judged = case(*texts, statuses=statuses)
    assert JUDGE.questions(judged) == []
    row = scores(JUDGE, judged, [])["overall/win"]
    assert (row.value, row.status) == (value, status)


def test_several_opponents_make_a_mean_and_a_row_each() -> None:
    judged = case(GOOD, BAD, "", statuses={2: "no_answer"})
    found = put(JUDGE, lambda request: winner(*[prefers(BAD, request)] * 2), judged)
    rows = scores(JUDGE, judged, found)
    assert rows["overall/win_against/m1/run"].value == 0 and rows["overall/win_against/m2/run"].value == 1
    assert rows["overall/win"].value == 0.5


def test_repeats_are_aggregated_and_asked_with_other_seeds() -> None:
    judge = PairwiseJudge(samples_per_item=3, sampling=Sampling(temperature=1.0), aggregate="mean")
    judged = case(GOOD, BAD)
    seeds: list[int] = []

    def third(request: Request) -> str:
        seeds.append(request.seed)
        return winner("tie", "tie") if len(seeds) in (1, 4) else winner(*[prefers(GOOD, request)] * 2)

    rows = scores(judge, judged, put(judge, third, judged))
    # of 9 combinations of one verdict in each order 4 are won, 5 are ties
    assert rows["overall/win"].value == pytest.approx((4 + 5 * 0.5) / 9) and len(set(seeds)) == 6
    with pytest.raises(ConfigError, match=r"samples_per_item=3 with sampling\.temperature=0"):
        PairwiseJudge(samples_per_item=3)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Principles: voice.\nAnalysis: A has it.\nWinner: A", "A"),
        ("...\n\n**Winner: B**\n", "B"),
        ("...\nFinal winner: tie.", "tie"),
        ("Some thoughts.\nWinner：a", "A"),
        ("A is better. Winner: answer B", "B"),
        ("Winner: A\nOr no.\nWinner: B", "B"),
        ("Winner: A\nBut who am I to say?", None),
        ("Winner: A or B", None),
        ("Winner: C", None),
        ("", None),
        ("<think>Winner: A</think>Analysis.\nWinner: B", "B"),
        ("<think>Winner: A", None),
        ('{"analysis": "Voice.", "better_response": "cand_1"}', "A"),
        ('<think>Draft: {"better_response": "cand_1"}</think>\n```json\n{"better_response": "cand_2"}\n```', "B"),
        ('Here:\n{"principles": [{"name": "voice"}], "better_response": "Tie"}\nDone.', "tie"),
        ('{"better_response": "cand_2", "analysis": "Winner: A"}', "B"),
        ('{"better_response": "cand_3"}', None),
        ('{"better_response": null}', None),
        ('{"better_response": "cand_1"}\n{"better_response": "cand_2"}', None),
        ("It asks for a better_response.\nWinner: B", "B"),
    ],
)
def test_the_reward_models_last_line_names_the_winner(reply: str, verdict: str | None) -> None:
    found = put(HerRm(attempts=1), lambda request: reply, case(GOOD, BAD))
    assert [j.verdict and j.verdict["reply"]["winner"] for j in found] == [verdict] * 2


def test_a_reward_models_reply_without_an_end_is_no_verdict() -> None:
    (first, _) = put(HerRm(attempts=1), lambda request: ("Winner: A", "length"), case(GOOD, BAD))
    assert first.verdict is None and "max_tokens" in first.reason


def test_the_reward_model_gives_no_schema_and_one_column() -> None:
    judged = case(GOOD, BAD)
    asked: list[Request] = []

    def decide(request: Request) -> str:
        asked.append(request)
        return f"Winner: {prefers(GOOD, request)}"

    rows = scores(HerRm(), judged, put(HerRm(), decide, judged))
    assert {request.json_schema for request in asked} == {None}
    assert set(rows) == {"overall/win", "overall/win_length_controlled", "flip", "first_slot"}


def test_a_retry_has_another_seed_and_temperature_and_a_lost_call_has_none() -> None:
    asked: list[Request] = []

    def unsure(request: Request) -> Reply:
        asked.append(request)
        return EngineError("gone") if request.attempt == 2 else "hm"

    judge = PairwiseJudge(attempts=5)
    (first, _) = put(judge, unsure, case(GOOD, BAD))
    assert [r.sampling.temperature for r in asked[:3]] == [0.0, 0.7, 0.7] and len({r.seed for r in asked}) == 6
    assert [a.error for a in first.attempts] == ["no JSON in the reply", "no JSON in the reply", "gone"]
    assert not first.answered and first.verdict is None


def test_a_refusal_of_the_judge_is_no_verdict() -> None:
    (first, _) = put(PairwiseJudge(attempts=2), lambda r: (winner("A", "A"), "content_filter"), case(GOOD, BAD))
    assert first.reason == "the judge refused" and len(first.attempts) == 2


def controlled(*samples: tuple[str, str, float]) -> list[float | None]:
    """Length-controlled wins of samples (own text, other text, what the judge gives the own one)."""
    judged = []
    for number, (own, other, points) in enumerate(samples):
        case_ = replace(case(own, other), sample=replace(SAMPLE, id=f"eng/{number}"))
        verdict = {1.0: ("A", "B"), 0.5: ("tie", "tie"), 0.0: ("B", "A")}[points]
        asked = [
            replace(judgement, verdict={name: {"winner": slot} for name in ("style", "knowledge")}, status="ok")
            for judgement, slot in zip(put(JUDGE, lambda request: "-", case_), verdict, strict=False)
        ]
        judged.append((case_, asked))
    return [
        next(row.value for row in rows if row.metric == "overall/win_length_controlled")
        for _, rows in JUDGE.scores(judged)
    ]


def test_wins_of_the_longer_answer_are_taken_off_and_those_of_the_better_stay() -> None:
    short, long = "Quite so.", "Quite so, and let me tell you at length why that is."
    by_length = controlled(*[(long, short, 1.0)] * 6, *[(short, long, 0.0)] * 2)
    assert sum(filter(None, by_length)) / 8 < 0.7  # 0.75 as judged
    by_merit = controlled(*[(long, short, 1.0), (short, long, 1.0)] * 3, (long, short, 0.0), (short, long, 0.0))
    assert sum(filter(None, by_merit)) / 8 == pytest.approx(0.75)


def test_an_answer_that_was_not_given_has_not_lost_for_being_short() -> None:
    found = controlled(
        ("", "A long answer, my friend.", 0.0), ("One.", "Two, three.", 1.0), ("Four, five.", "Six.", 0.0)
    )
    assert found[0] == 0.0
