"""What every table promises: 95 % intervals hold the truth 95 times in 100, tests raise a false alarm at most 5 times.

RoleBench's sizes: 5 roles (Chinese), 10 (role generalisation), 95 (instruction generalisation), 50 rows each.
"""

import pytest

from tests.stats import simulate_gate
from tests.stats.simulate import (
    FRACTION,
    Rates,
    average_coverage,
    coefficient_coverage,
    difference_coverage,
    events,
    false_alarms,
    mean_coverage,
    overlaps,
    power,
    rating_coverage,
    rows,
)

pytestmark = pytest.mark.slow
LUCK = 0.02  # three standard errors of a rate of 5 % over 1000 repetitions


def of_rows(clusters: int, icc: float, *, uneven: bool = False, repetitions: int = 1000) -> Rates:
    return mean_coverage(lambda rng: rows(rng, clusters, icc, uneven=uneven), 0.0, repetitions=repetitions)


@pytest.mark.parametrize(("clusters", "icc"), [(5, 0.1), (5, 0.3), (10, 0.1), (95, 0.1)])
def test_intervals_of_a_mean_cover(clusters: int, icc: float) -> None:
    found = of_rows(clusters, icc, repetitions=500 if clusters == 95 else 1000)
    assert 0.92 <= found.covered <= 0.975
    assert abs(found.above - found.below) < 0.03  # misses on either side


def test_uneven_roles_do_not_narrow_the_interval() -> None:
    """The largest role has nine times the rows of the smallest."""
    assert 0.93 <= of_rows(5, 0.1, uneven=True).covered <= 0.98


@pytest.mark.parametrize("clusters", [5, 10])
@pytest.mark.parametrize(("rate", "icc"), [(0.01, 0.1), (0.05, 0.02), (0.05, 0.3)])
def test_intervals_of_rare_events_cover(clusters: int, rate: float, icc: float) -> None:
    """Resampling covered .55 to .80 of these, many of them with intervals of zero width."""
    found = mean_coverage(lambda rng: events(rng, clusters, rate, icc), rate, within=FRACTION, repetitions=500)
    assert found.covered >= 0.86


def test_intervals_of_skewed_fractions_cover() -> None:
    found = mean_coverage(lambda rng: overlaps(rng, 10), 0.2, within=FRACTION, repetitions=500)
    assert 0.92 <= found.covered <= 0.98


def test_intervals_of_a_difference_of_rates_cover() -> None:
    assert difference_coverage(10, 0.05, 0.1, repetitions=500).covered >= 0.92


@pytest.mark.parametrize("clusters", [5, 10])
def test_intervals_of_an_average_of_groups_cover(clusters: int) -> None:
    assert 0.92 <= average_coverage(clusters, 0.1).covered <= 0.98


@pytest.mark.parametrize(("clusters", "shape"), [(5, "normal"), (10, "normal"), (25, "skewed (exponential)")])
def test_equal_models_are_told_apart_at_most_five_times_in_a_hundred(clusters: int, shape: str) -> None:
    by_p, by_word = false_alarms(clusters, shape)
    assert by_word <= by_p <= 0.05 + LUCK


@pytest.mark.parametrize("shape", ["normal", "skewed (exponential)", "heavy tails (t, 3 df)"])
def test_many_equal_models_are_no_more_often_told_apart(shape: str) -> None:
    """The sign-flip test alone: 15 of 100 reports with skewed differences; the bootstrap-t: 8 with heavy tails."""
    assert false_alarms(25, shape, models=5, repetitions=500)[1] <= 0.05 + LUCK


@pytest.mark.parametrize(("clusters", "models"), [(8, 5), (10, 5), (25, 5), (95, 1)])
def test_what_is_called_detectable_is_called_higher_four_times_out_of_five(clusters: int, models: int) -> None:
    found = power(clusters, models)
    assert found is not None and 0.74 <= found <= 0.88


def test_intervals_of_ratings_cover() -> None:
    assert 0.91 <= rating_coverage(10, repetitions=200).covered <= 0.99  # four of a hundred either way is luck


def test_intervals_of_coefficients_cover() -> None:
    assert all(0.91 <= covered <= 0.99 for covered in coefficient_coverage(25, 0.5, repetitions=200).values())


@pytest.mark.parametrize("roles", [6, 25])
def test_the_gate_keeps_its_error_rates(roles: int) -> None:
    """Ten metrics of every kind; docs/regression.md has 2000 pairs of each (python -m tests.stats.simulate_gate)."""
    unchanged = simulate_gate.repeat(roles, 300)
    assert (unchanged == "FAIL").any(axis=1).mean() <= 0.05 + LUCK
    lost = simulate_gate.passed(roles, 300, loss=simulate_gate.evenly)
    assert lost.mean() <= 0.05 and lost.mean(axis=0).max() <= 0.05 + 2 * LUCK


def test_looking_after_every_batch_keeps_them_too() -> None:
    _, whole, _ = simulate_gate.looked(10, 200, batches=5)
    assert (whole == "FAIL").mean() <= 0.05 + LUCK
    _, broken, used = simulate_gate.looked(10, 50, batches=5, lost=range(10), margins=4.0)
    assert (broken == "FAIL").mean() > 0.9 and used.mean() < 0.8
