"""Averages of groups: a mean of means, or one mean over all rows."""

import pytest

from roleeval.metrics import MetricInfo
from roleeval.results import ScoreBook, summarise
from roleeval.types import Persona, Sample, Score

OPINION = MetricInfo(
    "m", label="M", unit="points", recipe="Given.", low=0.0, high=20.0, higher_is_better=True, judged=True
)


def book() -> ScoreBook:
    made = ScoreBook()
    for index, (split, value) in enumerate([("id", 1.0), ("id", 3.0), ("id", 5.0), ("ood", 11.0)]):
        sample = Sample(f"s{index}", index, split, f"book{index}", Persona("", "", "en"), "", {})
        made.add(sample, [Score("m", value)])
    return made


def test_a_mean_of_means_and_a_mean_over_rows_are_two_numbers() -> None:
    averages = {"groups": (("id", "ood"),), "cases": (("id+ood",),)}
    metric = summarise(book(), averages, {"m": OPINION})["metrics"]["m"]
    assert metric["groups"]["mean"] == pytest.approx(7.0) and metric["cases"]["mean"] == pytest.approx(5.0)
    assert metric["cases"]["n"] == 4 and metric["cases"]["mean_of"] == ["id", "ood"] and metric["cases"]["over_rows"]
    assert "over_rows" not in metric["groups"]
    assert metric["groups"]["bounds"] == pytest.approx([7.0, 7.0])
    assert metric["cases"]["bounds"] == pytest.approx([5.0, 5.0])


def test_an_average_of_a_group_that_is_missing_is_left_out() -> None:
    metric = summarise(book(), {"cases": (("id+far",),)}, {"m": OPINION})["metrics"]["m"]
    assert set(metric) == {"id", "ood"}
