"""Categories and the overall score: the published weights, and each rule by hand."""

import numpy as np
import pytest

from roleeval.benchmarks.minimax.scores import (
    CANDIDATES,
    CATEGORIES,
    DIMENSIONS,
    Rule,
    category_scores,
    combine,
    overall_score,
)

POINTS = {
    "basics": 80.0,
    "logic": 70.0,
    "knowledge": 40.0,
    "diversity": 90.0,
    "content_logic": 60.0,
    "interaction": 95.0,
}


@pytest.mark.parametrize(
    ("rule", "worlds", "stories"),
    [
        ("mean", 190 / 3, 75.0),
        ("sum", 0.0, 50.0),
        ("sum_unclamped", -10.0, 50.0),
        ("product", 22.4, 54.0),
        ("min", 40.0, 60.0),
    ],
)
def test_each_rule_by_hand(rule: Rule, worlds: float, stories: float) -> None:
    found = category_scores(POINTS, rule)
    assert found == pytest.approx({"worlds": worlds, "stories": stories, "preferences": 95.0})
    assert overall_score(found) == pytest.approx(worlds / 2 + stories / 4 + 95 / 4)


@pytest.mark.parametrize(
    "row", [(84.65, 80.55, 79.97, 97.51), (65.73, 59.13, 57.74, 86.90), (45.38, 34.32, 30.32, 82.58)]
)
def test_the_weights_give_published_overall_scores(row: tuple[float, ...]) -> None:
    categories = dict(zip((category.name for category in CATEGORIES), row[1:], strict=True))
    assert overall_score(categories) == pytest.approx(row[0], abs=0.0101)


def test_missing_is_missing_in_its_category_and_overall() -> None:
    found = category_scores(POINTS | {"logic": None}, "sum")
    assert found == {"worlds": None, "stories": 50.0, "preferences": 95.0} and overall_score(found) is None
    assert category_scores({}, "mean") == {"worlds": None, "stories": None, "preferences": None}


def test_every_dimension_is_in_one_category_and_a_perfect_session_is_100_by_every_rule() -> None:
    assert len(DIMENSIONS) == len(set(DIMENSIONS)) == 6
    assert all(combine(np.full((2, 3), 100.0), rule).tolist() == [100.0, 100.0] for rule in CANDIDATES)
    assert all(np.isnan(combine(np.array([100.0, np.nan]), rule)) for rule in CANDIDATES)
