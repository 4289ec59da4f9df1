"""No interval is of zero width or outside of its metric's range, whatever the values; each says how it was made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.stats import Range, clustered_mean, mean_of_means, paired_difference
from roleeval.stats.rates import rate_interval

VALUES = st.sampled_from([0.0, 0.0, 0.0, 1.0, 0.5, 0.25])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), VALUES), min_size=2, max_size=60))
def test_no_interval_is_of_zero_width_or_leaves_the_range(drawn: list[tuple[int, float]]) -> None:
    clusters = np.array([cluster for cluster, _ in drawn])
    values = np.array([value for _, value in drawn])
    for within in ((0.0, 1.0), (0.0, None), (None, None)):
        low: Range = within
        found = clustered_mean(values, clusters, within=low)
        assert found.mean is not None and (found.method == "") == (found.ci_low is None)
        if found.ci_low is None or found.ci_high is None:
            # No interval: one cluster; or nothing varies and the range does not say what could.
            assert len(set(clusters.tolist())) == 1 or within[1] is None
            continue
        assert found.ci_low <= found.mean <= found.ci_high and found.ci_high - found.ci_low > 1e-9
        assert within[0] is None or found.ci_low >= within[0]
        assert within[1] is None or found.ci_high <= within[1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), VALUES, VALUES), min_size=2, max_size=60))
def test_no_interval_of_a_difference_is_of_zero_width_or_leaves_the_range(
    drawn: list[tuple[int, float, float]],
) -> None:
    clusters, one, two = (np.array(column) for column in zip(*drawn, strict=True))
    found = paired_difference([(one, two, clusters)], within=(0.0, 1.0)).estimate
    assert found.mean is not None
    if found.ci_low is None or found.ci_high is None:
        assert len(set(clusters.tolist())) == 1
        return
    assert -1 <= found.ci_low <= found.mean <= found.ci_high <= 1 and found.ci_high - found.ci_low > 1e-9


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        ([0.0] * 5, [50] * 5, 0.0, 0.1336),
        ([0] * 95, [50] * 95, 0.0, 0.00745),
        ([1, 0, 0, 0, 12], [50] * 5, 0.0150, 0.2645),
        ([25] * 5, [50] * 5, 0.4073, 0.5927),
        ([50, 0, 3], [50, 50, 400], 0.0997, 0.7804),
        ([2.5, 0.0, 0.25], [10, 10, 10], 0.0316, 0.4239),
    ],
)
def test_the_posterior_of_a_rate_agrees_with_a_grid_of_2000_by_100(
    successes: list[float], trials: list[float], low: float, high: float
) -> None:
    """The right column is the same model on a grid thirty times as fine in each direction."""
    found = rate_interval(np.array(successes, dtype=float), np.array(trials, dtype=float))
    assert found == pytest.approx((low, high), abs=4e-4)


def test_one_trial_each_is_the_beta_posterior() -> None:
    """Without a second row in any role nothing tells them apart: 3 of 20 with a uniform prior, from tables of beta."""
    assert rate_interval(np.array([1.0] * 3 + [0.0] * 17), np.ones(20)) == pytest.approx((0.0545, 0.3634), abs=1e-3)


def test_each_interval_says_how_it_was_made() -> None:
    rng = np.random.default_rng(0)
    fractions, names = rng.random(60), np.arange(60)
    made = [
        clustered_mean(fractions, names % 5, within=(0.0, 1.0)),
        clustered_mean(fractions, names % 20, within=(0.0, 1.0)),
        clustered_mean(np.round(fractions), names % 5, within=(0.0, 1.0)),
        clustered_mean(np.round(fractions), names % 20, within=(0.0, None)),
        clustered_mean(fractions, names * 0),
    ]
    assert [each.method for each in made] == ["student-t", "bootstrap-t", "beta-binomial", "bootstrap-t", ""]


def test_a_skewed_metric_has_the_longer_half_where_the_tail_is() -> None:
    values = np.random.default_rng(0).lognormal(0, 1, size=(20, 5)).mean(axis=1)
    found = clustered_mean(values, np.arange(20), within=(0.0, None))
    assert found.mean is not None and found.ci_low is not None and found.ci_high is not None
    assert found.ci_high - found.mean > 1.2 * (found.mean - found.ci_low)


def test_two_judged_scores_are_cut_to_their_scale() -> None:
    """Two roles with 20 and 82 points of 100 used to have the interval [-343, 445]."""
    found = clustered_mean(np.array([20.0, 82.0]), np.array([0, 1]), within=(0.0, 100.0))
    assert (found.ci_low, found.ci_high, found.method) == (0.0, 100.0, "student-t")


def test_a_range_that_does_not_hold_the_mean_is_not_used() -> None:
    """A task that calls percentages "acc" is declared wrongly; its interval is that of an open range."""
    values, names = np.random.default_rng(0).normal(60, 10, size=40), np.arange(40) % 10
    assert clustered_mean(values, names, within=(0.0, 1.0)) == clustered_mean(values, names)


def test_groups_of_a_mean_count_alike_in_a_rate() -> None:
    """A group of 10 rows with a rate of one half and one of 1000 with none: neither zero nor certain."""
    some = (np.array([1.0, 0.0] * 5), np.arange(10) % 5)
    none = (np.zeros(1000), np.arange(1000) % 5)
    found = mean_of_means([some, none], within=(0.0, 1.0))
    assert found.mean == 0.25 and found.method == "beta-binomial"
    assert found.ci_low is not None and found.ci_high is not None and 0.02 < found.ci_low < 0.2 < 0.4 < found.ci_high
