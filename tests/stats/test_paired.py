"""A paired comparison must be of the pairs, must find what is there, and must not find what is not."""

import numpy as np
import pytest

from roleeval.stats import Difference, Estimate, conclusion, holm, paired_difference, separable
from roleeval.stats.paired import sign_flip_test


def test_shared_difficulty_cancels() -> None:
    rng = np.random.default_rng(0)
    hard, clusters = rng.normal(size=200), np.repeat(np.arange(20), 10)
    difference = paired_difference([(hard, hard + 0.1, clusters)])
    estimate = difference.estimate
    assert (estimate.mean, estimate.ci_low, estimate.ci_high) == pytest.approx((0.1, 0.1, 0.1))
    assert difference.p is not None and difference.p < 0.001
    assert difference.detectable == pytest.approx(0.0, abs=1e-9)


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
    assert there.p == back.p and there.detectable == pytest.approx(back.detectable)


def test_rounding_does_not_tell_models_apart() -> None:
    one = np.linspace(0.1, 0.9, 40)
    three = (one + one + one) / 3 + 1e-17
    difference = paired_difference([(three, one, np.arange(40) % 8)])
    estimate = difference.estimate
    assert (estimate.mean, estimate.ci_low, estimate.ci_high) == (0.0, 0.0, 0.0)
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


def test_what_can_be_detected_is_found_four_times_out_of_five() -> None:
    """The printed size is a promise: simulate models that far apart."""
    rng = np.random.default_rng(4)
    k, spread = 30, 0.05
    expected = (2.0452 + 0.8542) * spread / np.sqrt(k)  # quantiles of Student's t with 29 degrees of freedom
    promised, found = [], 0
    for _ in range(400):
        noise = rng.normal(0, spread, size=k)
        promised.append(paired_difference([(np.zeros(k), noise, np.arange(k))]).detectable)
        found += sign_flip_test((noise + expected) / k)[0] <= 0.05
    assert np.mean(promised) == pytest.approx(expected, rel=0.03)
    assert 0.74 <= found / 400 <= 0.86


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
    return Difference(Estimate(mean, low, high, 10, 0, 6), smallest, smallest, 0.1)


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
    assert (difference.p, difference.smallest_p, difference.detectable) == (None, None, None)


@pytest.mark.parametrize(
    ("low", "high", "apart"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False)]
)
def test_an_interval_that_touches_zero_does_not_tell_models_apart(low: float, high: float, apart: bool) -> None:
    assert separable(low, high) is apart


def test_no_interval_is_no_conclusion() -> None:
    assert separable(None, None) is None
