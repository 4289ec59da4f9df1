"""What every table promises: 95 % intervals hold the truth 95 times in 100, tests raise a false alarm at most 5 times.

RoleBench's sizes: 5 roles (Chinese), 10 (role generalisation), 95 (instruction generalisation), 50 rows each.
"""

import pytest

from tests.stats.simulate import average_coverage, false_alarms, mean_coverage, rating_coverage

pytestmark = pytest.mark.slow
LUCK = 0.015  # three standard errors of a rate of 5 % over 2000 repetitions


@pytest.mark.parametrize(("clusters", "icc"), [(5, 0.1), (5, 0.3), (10, 0.1), (95, 0.1)])
def test_intervals_of_a_mean_cover(clusters: int, icc: float) -> None:
    found = mean_coverage(clusters, icc, repetitions=1000 if clusters == 95 else 2000)
    assert 0.93 <= found.covered <= 0.97
    assert abs(found.above - found.below) < 0.03  # misses on either side


def test_uneven_roles_do_not_narrow_the_interval() -> None:
    """The largest role has nine times the rows of the smallest."""
    assert 0.93 <= mean_coverage(5, 0.1, uneven=True).covered <= 0.97


@pytest.mark.parametrize("clusters", [5, 10])
def test_intervals_of_an_average_of_groups_cover(clusters: int) -> None:
    assert 0.93 <= average_coverage(clusters, 0.1).covered <= 0.97


@pytest.mark.parametrize(("clusters", "shape"), [(5, "normal"), (10, "normal"), (10, "skewed"), (95, "normal")])
def test_equal_models_are_told_apart_at_most_five_times_in_a_hundred(clusters: int, shape: str) -> None:
    by_p, by_word = false_alarms(clusters, 0.1, shape=shape)
    assert by_word <= by_p <= 0.05 + LUCK


def test_many_equal_models_are_no_more_often_told_apart() -> None:
    """Without the correction some of five models would be called different in 14 of 100 reports."""
    assert false_alarms(10, 0.1, models=5, repetitions=1000)[1] <= 0.05 + LUCK


def test_intervals_of_ratings_cover() -> None:
    assert 0.91 <= rating_coverage(10, repetitions=200).covered <= 0.99  # four of a hundred either way is luck
