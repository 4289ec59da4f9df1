"""Listwise ranking: drawn orders, whole permutations only, and what missing answers do to places."""

import json

import pytest
from judge_stubs import shown_answers
from judged import case, points, put, scores

from roleeval.judging import RankingJudge, RubricJudge
from roleeval.types import Request, Sampling

JUDGE = RankingJudge()
TEXTS = ("third of all", "first of all", "second of all")
PLACES = {"third of all": 3, "first of all": 1, "second of all": 2}


def ranking(order: list[str]) -> str:
    return json.dumps({name: {"reason": "", "ranking": order} for name in ("style", "knowledge")})


def by_merit(request: Request) -> str:
    shown = shown_answers(request)
    return ranking([name[-1] for name in sorted(shown, key=lambda name: PLACES[shown[name]])])


def test_ranks_follow_the_answers_and_not_their_slots() -> None:
    for own, others, rank in ((0, (1, 2), 3), (1, (0, 2), 1), (2, (1, 0), 2)):
        judged = case(*(TEXTS[i] for i in (own, *others)))
        found = put(JUDGE, by_merit, judged)
        rows = scores(JUDGE, judged, found)
        assert rows["style/rank"].value == rows["overall/rank"].value == rank
        assert rows["overall/beats"].value == (3 - rank) / 2
        assert found[0].slots == found[1].slots[::-1]


def test_a_judge_that_prefers_the_first_slot_ranks_all_alike() -> None:
    judged = case(*TEXTS)
    rows = scores(JUDGE, judged, put(JUDGE, lambda request: ranking(["A", "B", "C"]), judged))
    assert rows["overall/rank"].value == 2 and rows["first_slot"].value == 1 and rows["flip"].value == 1
    fair = scores(JUDGE, judged, put(JUDGE, by_merit, judged))
    assert fair["flip"].value == 0 and fair["first_slot"].value in (0, 0.5)


def test_a_ranking_in_one_order_alone_does_not_count() -> None:
    judged, orders = case(*TEXTS), []

    def once(request: Request) -> str:
        orders.append(list(shown_answers(request).values()))
        return by_merit(request) if orders[-1] == orders[0] else "no idea"

    rows = scores(JUDGE, judged, put(JUDGE, once, judged))
    assert {rows[name].status for name in ("overall/rank", "flip", "first_slot")} == {"judge_failed"}


@pytest.mark.parametrize("order", [["A", "B"], ["A", "B", "B"], ["A", "B", "C", "D"], ["A", "B", "X"], []])
def test_what_is_no_permutation_is_no_verdict(order: list[str]) -> None:
    judged = case(*TEXTS)
    found = put(RankingJudge(attempts=2), lambda request: ranking(order), judged)
    assert all(j.verdict is None and len(j.attempts) == 2 for j in found)
    row = scores(JUDGE, judged, found)["overall/rank"]
    assert row.value is None and row.status == "judge_failed"


def test_answers_that_were_not_given_share_the_last_places() -> None:
    silent = case("", "first of all", "", statuses={0: "no_answer", 2: "no_answer"})
    assert JUDGE.questions(silent) == []
    row = scores(JUDGE, silent, [])["overall/rank"]
    assert (row.value, row.status) == (2.5, "no_answer")
    only = case("first of all", "", "", statuses={1: "no_answer", 2: "no_answer"})
    assert scores(JUDGE, only, [])["overall/rank"].value == 1
    lost = case("first of all", "second of all", "", statuses={2: "engine_failed"})
    row = scores(JUDGE, lost, [])["overall/rank"]
    assert (row.value, row.status) == (None, "engine_failed")


def test_points_of_repeats_are_aggregated_by_median() -> None:
    judge = RubricJudge(samples_per_item=3, sampling=Sampling(temperature=1.0))
    given = iter((1, 5, 4))
    judged = case("my dear fellow")
    rows = scores(judge, judged, put(judge, lambda request: points(next(given)), judged))
    assert rows["overall"].value == rows["character"].value == 4


def test_points_of_an_answer_that_was_not_given_are_the_lowest_and_keep_their_status() -> None:
    for status, value in (("no_answer", 1.0), ("refused", 1.0), ("engine_failed", None)):
        judged = case("anything", statuses={0: status})  # type: ignore[dict-item]
        assert RubricJudge().questions(judged) == []
        row = scores(RubricJudge(), judged, [])["overall"]
        assert (row.value, row.status) == (value, status)
