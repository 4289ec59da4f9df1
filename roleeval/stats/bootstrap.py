"""Means with 95 % intervals over clusters (roles, scenes): the only place that computes intervals.

Rows of one role share that role's difficulty; resampling rows would overstate the precision. From
FEW_CLUSTERS on, clusters are resampled and the percentiles are widened to match Student's t; below that, a
resample has too few values to have tails, and the interval is Student's t with the jackknife's standard error.
docs/statistics.md has the coverage of both.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    # [resamples, clusters], how often each cluster is drawn -> [resamples] or [resamples, statistics]
    Statistic = Callable[[Floats], Floats]

RESAMPLES = 10_000
SEED = 20_260_101
LEVEL = 0.95
FEW_CLUSTERS = 8
CACHED_BYTES = 64_000_000
CHUNK = 1_000_000


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


@dataclass(frozen=True, slots=True)
class ClusterTable:
    """Rows summed up by cluster, one pair of columns for each group of a mean of means.

    Attributes:
        sums: [groups, clusters] of the present values.
        counts: [groups, clusters] present rows.
        missing: rows without a value.
    """

    sums: "Floats"
    counts: "Floats"
    missing: int

    @property
    def clusters(self) -> int:
        return int(self.sums.shape[1])

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def whole(self) -> bool:
        """Whether every group has a value: an average over fewer groups is another quantity."""
        return self.counts.size > 0 and bool(self.counts.sum(axis=1).all())

    @property
    def shares(self) -> "Floats":
        """[clusters]: how much each counts in the mean."""
        shares: Floats = (self.counts / self.counts.sum(axis=1, keepdims=True)).mean(axis=0)
        return shares

    @property
    def contributions(self) -> "Floats":
        """[clusters] whose sum is the mean."""
        parts: Floats = (self.sums / self.counts.sum(axis=1, keepdims=True)).mean(axis=0)
        return parts

    def means(self, draws: "Floats") -> "Floats":
        """The mean of each resample; NaN where one holds no row of a group."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Floats = (draws @ self.sums.T) / (draws @ self.counts.T)
        means: Floats = ratios.mean(axis=1)
        return means


def cluster_table(parts: "Sequence[tuple[Floats, NDArray[np.intp]]]") -> ClusterTable:
    """Sums rows up by cluster; the same number is the same cluster in every group.

    Args:
        parts: for each group (values [rows], NaN where missing; clusters [rows]).
    """
    import numpy as np

    kept = [(values[~np.isnan(values)], clusters[~np.isnan(values)]) for values, clusters in parts]
    missing = sum(len(values) for values, _ in parts) - sum(len(values) for values, _ in kept)
    names = np.unique(np.concatenate([clusters for _, clusters in kept])) if kept else np.empty(0, dtype=np.intp)
    sums, counts = np.zeros((len(kept), len(names))), np.zeros((len(kept), len(names)))
    for group, (values, clusters) in enumerate(kept):
        codes = np.searchsorted(names, clusters)
        sums[group] = np.bincount(codes, values, minlength=len(names))
        counts[group] = np.bincount(codes, minlength=len(names))
    return ClusterTable(sums, counts, missing)


def clustered_mean(values: "Floats", clusters: "NDArray[np.intp]") -> Estimate:
    """Mean of the rows and its interval.

    Args:
        values: [rows], NaN where missing.
        clusters: [rows], whole numbers naming each row's cluster.
    """
    return mean_of_means([(values, clusters)])


def mean_of_means(parts: "Sequence[tuple[Floats, NDArray[np.intp]]]") -> Estimate:
    """Plain mean of several groups' means (such as RoleBench's AVG), clusters resampled jointly over the groups.

    Args:
        parts: as for `cluster_table`.

    Returns:
        An estimate without a mean when a group has no value: an average over fewer groups is another quantity.
    """
    return estimate_of(cluster_table(parts))


def pooled(parts: "Sequence[tuple[Floats, NDArray[np.intp]]]") -> "list[tuple[Floats, NDArray[np.intp]]]":
    """Several groups' rows as one group: its mean is over the rows, not over the groups.

    Args:
        parts: as for `cluster_table`.
    """
    import numpy as np

    return [(np.concatenate([values for values, _ in parts]), np.concatenate([clusters for _, clusters in parts]))]


def estimate_of(table: ClusterTable) -> Estimate:
    """The mean of a table's groups, with its interval."""
    import numpy as np

    if not table.whole:
        return Estimate(None, None, None, table.n, table.missing, table.clusters)
    low, high = clustered_interval(table.means, table.shares)
    # By the resamples' own sums: equal values then have exactly themselves as mean and bounds.
    mean = float(table.means(np.ones((1, table.clusters)))[0])
    return Estimate(mean, low, high, table.n, table.missing, table.clusters)


def clustered_interval(statistic: "Statistic", shares: "Floats") -> tuple[float | None, float | None]:
    """The 95 % interval of one statistic; (None, None) where `clustered_intervals` has none."""
    import numpy as np

    low, high = clustered_intervals(lambda draws: statistic(draws)[:, None], shares)
    return (None, None) if np.isnan(low[0] + high[0]) else (float(low[0]), float(high[0]))


def clustered_intervals(
    statistics: "Statistic", shares: "Floats", *, resamples: int = RESAMPLES
) -> "tuple[Floats, Floats]":
    """The 95 % intervals of statistics of clustered rows.

    Args:
        statistics: [resamples, clusters], how often each cluster is drawn -> [resamples, statistics].
        shares: [clusters], each cluster's share of the rows.
        resamples: how many, where clusters are resampled.

    Returns:
        Lower and upper ends, NaN where it takes more clusters than there are.

    Source: Hesterberg (2015), What Teachers Should Know About the Bootstrap, The American Statistician 69, "expanded
        percentile"; for few clusters Cameron & Miller (2015), Journal of Human Resources 50, section VI: Student's t,
        here with the jackknife's error and the degrees of freedom of `effective_clusters`.
    """
    import numpy as np
    from scipy.special import ndtr

    k, effective = len(shares), effective_clusters(shares)
    middle = statistics(np.ones((1, k)))[0]
    if k < 2:
        return np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    quantile = t_quantile(1 - (1 - LEVEL) / 2, effective)
    if effective < FEW_CLUSTERS:
        half = quantile * jackknife_error(statistics, k)
        return middle - half, middle + half
    values = np.concatenate([statistics(draws) for draws in cluster_draws(k, resamples=resamples)])
    tail = ndtr(-quantile * np.sqrt(k / (k - 1)))
    low, high = np.nanquantile(values, (tail, 1 - tail), axis=0)
    return low, high


def effective_clusters(shares: "Floats") -> float:
    """How many clusters of equal size would say as much: unequal ones say less than their number.

    Source: Kish (1965), Survey Sampling, on unequal weights: (sum of shares)^2 / sum of squared shares.
    """
    return float(shares.sum() ** 2 / (shares**2).sum()) if shares.any() else 0.0


def t_quantile(probability: float, clusters: float) -> float:
    """Student's t for so many (effective) clusters; never with less than one degree of freedom."""
    from scipy.special import stdtrit

    # Equal shares add up to a whole number of clusters only up to rounding.
    return float(stdtrit(max(round(clusters, 9) - 1, 1.0), probability))


def jackknife_error(statistic: "Statistic", clusters: int) -> "Floats":
    """Standard errors from leaving out one cluster after the other; NaN where a statistic needs each of them.

    Source: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 2.7.3.
    """
    import numpy as np

    step = max(1, CHUNK // clusters)
    left_out = (1.0 - np.eye(min(step, clusters - start), clusters, k=start) for start in range(0, clusters, step))
    without = np.concatenate([statistic(draws) for draws in left_out])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    errors: Floats = np.sqrt((clusters - 1) / clusters * spread)
    return errors


def cluster_draws(clusters: int, *, resamples: int = RESAMPLES) -> "Iterator[Floats]":
    """Yields [some resamples, clusters], how often each cluster is drawn; the same draws for every metric of a run."""
    import numpy as np

    step = max(1, CHUNK // clusters)
    if resamples * clusters <= CACHED_BYTES:
        counts = _counts(clusters, resamples)
        for start in range(0, resamples, step):
            yield counts[start : start + step].astype(np.float64)
        return
    rng = np.random.default_rng(SEED)
    for start in range(0, resamples, step):
        yield _draw(rng, clusters, min(step, resamples - start)).astype(np.float64)


@lru_cache(maxsize=4)
def _counts(clusters: int, resamples: int) -> "NDArray[np.uint8]":
    import numpy as np

    return _draw(np.random.default_rng(SEED), clusters, resamples)


def _draw(rng: "np.random.Generator", clusters: int, resamples: int) -> "NDArray[np.uint8]":
    # Row by row: one cluster is never drawn 256 times, and a row's counts stay in the processor's cache.
    import numpy as np

    counts = np.empty((resamples, clusters), dtype=np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, clusters, size=clusters, dtype=np.int32), minlength=clusters)
    return counts
