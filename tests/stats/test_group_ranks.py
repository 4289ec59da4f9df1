"""Rank correlation of groups' means: right where it can be computed by hand, and silent where nothing can be said."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from roleeval.stats import group_rank_correlation, rank_correlation


def test_without_noise_the_interval_is_the_value() -> None:
    means = np.arange(6.0)
    shared = np.random.default_rng(0).normal(size=(1, 9))  # clusters differ for all groups alike
    found = group_rank_correlation(means[:, None] + shared, means[[0, 1, 3, 2, 4, 5], None] - shared)
    expected = spearmanr(means, means[[0, 1, 3, 2, 4, 5]]).statistic
    assert found.spearman == pytest.approx(expected) and found.groups == 6
    assert found.ci == pytest.approx((expected, expected))


def test_noise_opens_the_interval_and_missing_cells_and_groups_are_left_out() -> None:
    rng = np.random.default_rng(0)
    means = np.linspace(0, 2, 8)[:, None]
    one, two = (means + 2 * rng.normal(size=(8, 40)) for _ in range(2))
    found = group_rank_correlation(one, two)
    assert found.ci is not None and found.ci[0] < found.ci[1] <= 1 and found.ci[1] - found.ci[0] > 0.05
    one[0, :5], two[1, 7], one[7] = np.nan, np.nan, np.nan
    less = group_rank_correlation(one, two)
    assert less.groups == 7 and less.ci is not None


def test_too_little_says_nothing() -> None:
    assert group_rank_correlation(np.ones((2, 5)), np.ones((2, 5))).spearman is None
    assert group_rank_correlation(np.ones((4, 5)), np.random.default_rng(0).normal(size=(4, 5))).spearman is None
    found = group_rank_correlation(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.0]]))
    assert found.spearman == 1 and found.ci is None


def test_within_strata_what_strata_differ_by_does_not_count() -> None:
    strata = np.repeat([0, 1], 20)
    clusters = np.tile(np.arange(10), 4)
    one = np.tile(np.arange(20.0), 2) + 100 * strata
    other = np.where(strata == 0, one, 500 - one)
    found = rank_correlation(one, other, clusters, strata=strata)
    assert found.spearman == pytest.approx(0) and found.kendall == pytest.approx(0)
    alone = rank_correlation(one[:20], other[:20], kendall=False)
    assert alone.spearman == pytest.approx(1) and alone.kendall is None
