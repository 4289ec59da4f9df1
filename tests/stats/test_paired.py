"""A paired comparison must be of the pairs, must find what is there, and must not find what is not."""

import numpy as np
import pytest

from roleeval.stats import Difference, Estimate, conclusion, detectable, holm, paired_difference, separable
from roleeval.stats.paired import sign_flip_test


def test_shared_difficulty_cancels() -> None:
    rng = np.random.default_rng(0)
    hard, clusters = rng.normal(size=200), np.repeat(np.arange(20), 10)
    gain = 0.1 + 1e-4 * rng.normal(size=200)
    difference = paired_difference([(hard, hard + gain, clusters)])
    estimate = difference.estimate
    assert (estimate.mean, estimate.ci_low, estimate.ci_high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-4)
    assert difference.p is not None and difference.p < 0.001
    assert detectable(difference, 1) == pytest.approx(0.0, abs=1e-4)


def test_models_that_never_differed_are_not_known_to_be_equal() -> None:
    """The interval of no difference seen in 200 pairs is not of zero width; without a range there is none."""
    same, clusters = np.arange(200) % 2.0, np.repeat(np.arange(20), 10)
    found = paired_difference([(same, same, clusters)], within=(0.0, 1.0))
    low, high = found.estimate.ci_low, found.estimate.ci_high
    assert low is not None and high is not None and found.p == 1.0 and detectable(found, 1) is None
    assert -0.05 < low < -0.01 and high == -low
    assert paired_difference([(same, same, clusters)]).estimate.ci_low is None


def test_a_difference_of_rates_stays_within_its_range() -> None:
    nothing, everything, clusters = np.zeros(30), np.ones(30), np.repeat(np.arange(6), 5)
    estimate = paired_difference([(nothing, everything, clusters)], within=(0.0, 1.0)).estimate
    assert estimate.mean == estimate.ci_high == 1.0 and estimate.ci_low is not None and 0.5 < estimate.ci_low < 0.95
    assert estimate.method == "beta-binomial"


def test_only_pairs_count() -> None:
    reference, other = np.array([0.1, np.nan, 0.3, 0.5]), np.array([0.2, 0.9, np.nan, 0.6])
    estimate = paired_difference([(reference, other, np.array([0, 0, 1, 1]))]).estimate
    assert (estimate.mean, estimate.n, estimate.missing) == (pytest.approx(0.1), 2, 2)


@pytest.mark.parametrize("clusters", [5, 12, 15])
def test_turning_the_pair_round_turns_everything_round(clusters: int) -> None:
    rng = np.random.default_rng(1)
    one, two, names = rng.normal(size=60), rng.normal(size=60), np.arange(60) % clusters
    there, back = paired_difference([(one, two, names)]), paired_difference([(two, one, names)])
    a, b = there.estimate, back.estimate
    assert a.mean is not None and a.ci_low is not None and a.ci_high is not None
    assert (b.mean, b.ci_low, b.ci_high) == pytest.approx((-a.mean, -a.ci_high, -a.ci_low))
    assert there.p == back.p and there.error == pytest.approx(back.error)


def test_rounding_does_not_tell_models_apart() -> None:
    one = np.linspace(0.1, 0.9, 40)
    three = (one + one + one) / 3 + 1e-17
    difference = paired_difference([(three, one, np.arange(40) % 8)])
    estimate = difference.estimate
    assert (estimate.mean, estimate.ci_low, estimate.ci_high) == (0.0, None, None)
    assert difference.p == 1.0
    assert separable(1e-18, 2e-18) is False


def test_few_clusters_are_exchanged_in_every_way() -> None:
    """Of 64 exchanges of six equal signs, only none and all reach the observed sum."""
    assert sign_flip_test(np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])) == (2 / 64, 2 / 64)
    assert sign_flip_test(np.array([3.0, -1.0])) == (1.0, 0.5)
    assert sign_flip_test(np.array([3.0, 2.0, -1.0]))[0] == pytest.approx(0.5)


def test_drawn_exchanges_agree_with_all_of_them() -> None:
    """13 clusters are enumerated; a 14th that says nothing makes the test draw."""
    contributions = np.random.default_rng(3).normal(0.4, 1, size=13)
    exact, _ = sign_flip_test(contributions)
    drawn, smallest = sign_flip_test(np.append(contributions, 0.0))
    assert drawn == pytest.approx(exact, abs=0.02) and smallest == 1 / 10_001


@pytest.mark.parametrize(("clusters", "models"), [(8, 1), (8, 5), (10, 5), (16, 5), (30, 1), (30, 5)])
def test_what_can_be_detected_is_found_four_times_out_of_five(clusters: int, models: int) -> None:
    """The printed size is a promise, at the level that so many comparisons leave: simulate models that far apart."""
    rng = np.random.default_rng(4)
    noises = rng.normal(0, 0.05, size=(300, clusters))
    zeros, names = np.zeros(clusters), np.arange(clusters)
    sizes = [detectable(paired_difference([(zeros, noise, names)]), models) for noise in noises[:40]]
    # The error is estimated anew in each report; what all of them promise on average must hold.
    promised = float(np.mean([size for size in sizes if size is not None]))
    found = [paired_difference([(zeros, noise + promised, names)]).p for noise in noises]
    power = np.mean([p is not None and p * models <= 0.05 for p in found])
    assert 0.73 <= power <= 0.88


@pytest.mark.parametrize(("clusters", "models"), [(5, 1), (6, 2), (6, 5), (7, 4)])
def test_nothing_is_detectable_where_no_verdict_is_possible(clusters: int, models: int) -> None:
    noise = np.random.default_rng(4).normal(size=clusters)
    difference = paired_difference([(np.zeros(clusters), noise, np.arange(clusters))])
    assert detectable(difference, models) is None
    assert conclusion(difference, min(1.0, (difference.p or 0) * models), models) == "too few clusters"


def test_an_average_of_groups_is_tested_as_one() -> None:
    """A gain in one group that is a loss in the other is no difference of the average."""
    rng = np.random.default_rng(5)
    effect, clusters = rng.normal(size=20), np.arange(20)
    groups = [(np.zeros(20), effect, clusters), (np.zeros(20), -effect, clusters)]
    difference = paired_difference(groups)
    assert difference.estimate.mean == pytest.approx(0.0) and difference.p is not None and difference.p > 0.5


def test_holm_is_the_worked_example() -> None:
    """Smallest times 4, next times 3, and never less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []


def _difference(low: float | None, high: float | None, smallest: float | None) -> Difference:
    mean = None if low is None or high is None else (low + high) / 2
    return Difference(Estimate(mean, low, high, 10, 0, 6), smallest, smallest)


@pytest.mark.parametrize(
    ("low", "high", "p", "smallest", "comparisons", "word"),
    [
        (0.1, 0.2, 0.03, 0.03, 1, "higher"),
        (-0.2, -0.1, 0.03, 0.001, 4, "lower"),
        (0.1, 0.2, 0.06, 0.001, 4, "not separable"),
        (-0.1, 0.2, 0.03, 0.001, 1, "not separable"),
        (0.1, 0.2, 0.0625, 0.0625, 1, "too few clusters"),
        (0.1, 0.2, 0.12, 0.03, 4, "too few clusters"),
        (None, None, None, None, 1, ""),
    ],
)
def test_a_conclusion_needs_the_test_and_the_interval(
    low: float | None, high: float | None, p: float | None, smallest: float | None, comparisons: int, word: str
) -> None:
    assert conclusion(_difference(low, high, smallest), p, comparisons) == word


def test_one_cluster_is_no_test() -> None:
    difference = paired_difference([(np.zeros(4), np.ones(4), np.zeros(4, dtype=int))])
    assert (difference.p, difference.smallest_p, detectable(difference, 1)) == (None, None, None)


@pytest.mark.parametrize(
    ("low", "high", "apart"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False)]
)
def test_an_interval_that_touches_zero_does_not_tell_models_apart(low: float, high: float, apart: bool) -> None:
    assert separable(low, high) is apart


def test_no_interval_is_no_conclusion() -> None:
    assert separable(None, None) is None
