"""Means with intervals from a bootstrap that resamples clusters (roles, scenes, seeds), not rows.

Rows of one role share that role's difficulty; resampling rows would claim a precision that is not there.
Source: Davison & Hinkley (1997), Bootstrap Methods and their Application, sections 3.8 (clusters), 5.3 (percentiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20_260_101
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over rows with its interval.

    Attributes:
        mean: over the rows that have a value; None without any.
        ci_low: lower end of the 95 % interval; None with fewer than two clusters.
        ci_high: upper end.
        n: rows with a value.
        missing: rows without one.
        clusters: clusters with a value.
    """

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    missing: int
    clusters: int


def clustered_mean(values: "NDArray[np.float64]", clusters: "NDArray[np.intp]") -> Estimate:
    """Mean of the rows and its cluster-bootstrap interval.

    Args:
        values: [rows], NaN where missing.
        clusters: [rows], whole numbers from 0 naming each row's cluster.
    """
    import numpy as np

    present = ~np.isnan(values)
    n = int(present.sum())
    if n == 0:
        return Estimate(None, None, None, 0, len(values), 0)
    sums, counts = _by_cluster(values[present], clusters[present])
    mean = float(sums.sum() / n)
    low, high = _interval([(sums, counts)])
    return Estimate(mean, low, high, n, len(values) - n, len(sums))


def mean_of_means(parts: "Sequence[tuple[NDArray[np.float64], NDArray[np.intp]]]") -> Estimate:
    """Plain mean of several groups' means (such as RoleBench's AVG), clusters resampled jointly over the groups.

    Args:
        parts: for each group (values [rows], clusters [rows]); the same number is the same cluster in every group.

    Returns:
        An estimate without a mean when a group has no value: an average over fewer groups is another quantity.
    """
    import numpy as np

    kept = [(v[~np.isnan(v)], c[~np.isnan(v)]) for v, c in parts]
    n = sum(len(v) for v, _ in kept)
    missing = sum(len(v) for v, _ in parts) - n
    names = np.unique(np.concatenate([c for _, c in kept])) if kept else np.empty(0, dtype=np.intp)
    if not kept or any(len(v) == 0 for v, _ in kept):
        return Estimate(None, None, None, n, missing, len(names))
    tables = []
    for values, clusters in kept:
        codes = np.searchsorted(names, clusters)
        sums = np.bincount(codes, values, minlength=len(names)).astype(np.float64)
        tables.append((sums, np.bincount(codes, minlength=len(names)).astype(np.float64)))
    mean = float(np.mean([values.mean() for values, _ in kept]))
    low, high = _interval(tables)
    return Estimate(mean, low, high, n, missing, len(names))


def _by_cluster(
    values: "NDArray[np.float64]", clusters: "NDArray[np.intp]"
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    import numpy as np

    _, codes = np.unique(clusters, return_inverse=True)
    return np.bincount(codes, values).astype(np.float64), np.bincount(codes).astype(np.float64)


def _interval(tables: "Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]") -> tuple[float | None, float | None]:
    # Each table: per cluster the sum and the number of its rows; all tables share their clusters.
    import numpy as np

    k = len(tables[0][0])
    if k < 2:
        return None, None
    weights = _weights(k)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may hold no row of a group
        means = sum((weights @ sums) / (weights @ counts) for sums, counts in tables) / len(tables)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(means, (tail, 1 - tail))
    return float(low), float(high)


@lru_cache(maxsize=8)
def _weights(k: int) -> "NDArray[np.float64]":
    """[RESAMPLES, k]: how often each of k clusters is drawn; the same draws for every metric of a run."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    return rng.multinomial(k, np.full(k, 1 / k), size=RESAMPLES).astype(np.float64)
