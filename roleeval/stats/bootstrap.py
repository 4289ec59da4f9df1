"""Resampling of clusters: the draws, what they say of a mean (bootstrap-t) and of any other statistic.

`means` decides where it is used; docs/statistics.md has its coverage.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from roleeval.stats.clusters import ClusterTable, effective_clusters

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
_NOTHING = 1e-9  # of a standard error: what rounding leaves where nothing varies


@dataclass(frozen=True, slots=True)
class Studentised:
    """A mean and how far resamples' means lie from it, each in its own standard errors.

    Attributes:
        mean: of the rows.
        error: its standard error, by linearisation.
        distances: [resamples] sorted; infinite where a resample differs from the mean and does not vary. Resamples
            without a row of some group are left out.
    """

    mean: float
    error: float
    distances: "Floats"

    def interval(self) -> tuple[float, float]:
        """The 95 % interval; an end is infinite where more than 2.5 % of the resamples say nothing of it."""
        tail = max(1, int((len(self.distances) + 1) * (1 - LEVEL) / 2))
        low, high = self.distances[-tail], self.distances[tail - 1]
        return float(self.mean - low * self.error), float(self.mean - high * self.error)

    @property
    def p(self) -> float:
        """Two-sided p of a mean of 0, such that the interval leaves out 0 where p is below 5 %."""
        if self.error == 0:
            return 1.0 if self.mean == 0 else self.smallest_p
        import numpy as np

        observed = self.mean / self.error
        slack = _NOTHING * max(1.0, abs(observed))  # ties differ by rounding
        above = len(self.distances) - int(np.searchsorted(self.distances, observed - slack))
        below = int(np.searchsorted(self.distances, observed + slack, side="right"))
        return min(1.0, 2 * (min(above, below) + 1) / (len(self.distances) + 1))

    @property
    def smallest_p(self) -> float:
        return 2 / (len(self.distances) + 1)


def studentised(table: ClusterTable, *, resamples: int = RESAMPLES) -> Studentised:
    """Resamples the clusters of a mean of means, with each resample's own standard error (bootstrap-t).

    Args:
        table: whose every group has rows in at least two clusters.
        resamples: how many.

    Source: Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, section 10.10; of ratios with the
        linearised error: Davison & Hinkley (1997), Bootstrap Methods and their Application, sections 2.7.2 and 5.2.
    """
    import numpy as np

    totals = table.counts.sum(axis=1, keepdims=True)
    ratios = table.sums.sum(axis=1, keepdims=True) / totals
    values, weights = (table.sums - ratios * table.counts) / totals, table.counts / totals
    groups, k = values.shape
    correction = k / (k - 1)
    error = float(np.sqrt(correction * (values.mean(axis=0) ** 2).sum()))
    pairs = [(g, h) for g in range(groups) for h in range(groups)]
    columns = np.concatenate(
        [
            weights,
            values,
            *(np.stack([values[g] * values[h], values[g] * weights[h], weights[g] * weights[h]]) for g, h in pairs),
        ]
    ).T
    distances = []
    for draws in cluster_draws(k, resamples=resamples):
        found = draws @ columns
        with np.errstate(invalid="ignore", divide="ignore"):
            sizes = found[:, :groups]
            shifts = found[:, groups : 2 * groups] / sizes
            variance = np.zeros(len(draws))
            for (g, h), (vv, vw, ww) in zip(pairs, found[:, 2 * groups :].T.reshape(-1, 3, len(draws)), strict=True):
                # v_g w_h stands once for each order of a pair, so twice in all.
                squares = vv - 2 * shifts[:, h] * vw + shifts[:, g] * shifts[:, h] * ww
                variance += squares / (sizes[:, g] * sizes[:, h])
            errors = np.sqrt(np.maximum(correction * variance, 0)) / groups
            shift = shifts.mean(axis=1)
            shift[np.abs(shift) <= _NOTHING * error] = 0.0
            errors[errors <= _NOTHING * error] = 0.0
            distances.append(np.where(shift == 0, 0.0, shift / errors))
    kept = np.concatenate(distances)
    mean = float(ratios.mean())
    return Studentised(mean, error, np.sort(kept[~np.isnan(kept)]))


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
