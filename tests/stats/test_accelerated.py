"""Intervals where clusters are skewed: those of the jackknife where they are not, moved where they are."""

import numpy as np
import pytest

from roleeval.stats.accelerated import accelerated_ends
from roleeval.stats.bootstrap import t_quantile


def left_out(values: np.ndarray) -> np.ndarray:
    """Means without each value."""
    return (values.sum() - values) / (len(values) - 1)


def test_of_symmetric_clusters_it_is_the_jackknifes() -> None:
    values = np.concatenate([np.linspace(-2, 2, 41)])
    error = values.std(ddof=1) / np.sqrt(41)
    low, high = accelerated_ends(float(values.mean()), left_out(values))
    half = t_quantile(0.975, 41) * error * np.sqrt(41 / 40)
    assert (low, high) == pytest.approx((-half, half), rel=0.01)


def test_it_reaches_further_where_clusters_are_skewed_and_widens_where_few_decide() -> None:
    values = np.random.default_rng(0).exponential(size=45) ** 2
    low, high = accelerated_ends(float(values.mean()), left_out(values))
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(45)
    assert high - mean > mean - low and high - low > 2 * t_quantile(0.975, 45) * error


def test_bias_moves_it_and_equal_clusters_leave_nothing() -> None:
    left = left_out(np.linspace(-2, 2, 41))
    low, high = accelerated_ends(0.1, left)  # the jackknife's estimate of bias is then 40 x -0.1
    assert (low + high) / 2 > 2
    assert accelerated_ends(0.5, np.full(9, 0.5)) == (0.5, 0.5)
