"""How exact a mean and a difference will be with so many samples in so many clusters, before anything is asked."""

from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import LEVEL, t_quantile
from roleeval.stats.paired import ALPHA, errors_to_find

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of a metric's values: of clusters' true means, and of samples within a cluster."""

    between: float
    within: float


# The widest that values from 0 to 1 can be spread: half of the clusters have 0 and half have 1.
WIDEST = Spread(0.25, 0.0)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is to be expected of a mean.

    Attributes:
        clusters, samples: that it is over.
        half_width: of its 95 % interval, in the metric's unit; None with fewer than two clusters.
        difference: of two models on the same samples, found four times out of five; None where so few clusters can
            show none. It takes the two models' values to vary independently; paired ones show smaller differences.
    """

    clusters: int
    samples: int
    half_width: float | None
    difference: float | None


def spread_of(values: "NDArray[np.float64]", clusters: "NDArray[np.intp]") -> Spread | None:
    """Splits the variance of values by the method of moments; None with fewer than two clusters.

    Args:
        values: [rows], NaN where missing.
        clusters: [rows], a number for each cluster.

    Source: Searle, Casella & McCulloch (1992), Variance Components, chapter 3: the unbalanced one-way classification.
    """
    import numpy as np

    there = ~np.isnan(values)
    values, codes = values[there], np.unique(clusters[there], return_inverse=True)[1]
    counts = np.bincount(codes) if len(codes) else np.zeros(0)
    k, n = len(counts), len(values)
    if k < 2:
        return None
    means = np.bincount(codes, values) / counts
    inside = float(((values - means[codes]) ** 2).sum())
    among = float((counts * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = inside / (n - k) if n > k else 0.0
    usual = (n - float((counts**2).sum()) / n) / (k - 1)
    return Spread(max(0.0, (among - within) / usual), within)


def foreseen(spread: Spread, *, clusters: int, samples: int, span: float = inf) -> Foreseen:
    """The interval and the detectable difference of a mean over so many samples, spread equally over clusters.

    Args:
        spread: of the values.
        clusters, samples: how many.
        span: from the lowest to the highest possible value; no interval is wider, and no difference larger.

    Source: Bloom (1995), Evaluation Review 19, as in `paired.detectable`; sqrt(2) for two independent models.
    """
    if clusters < 2:
        return Foreseen(clusters, samples, None, None)
    error = sqrt(spread.between / clusters + spread.within / samples)
    half = t_quantile(1 - (1 - LEVEL) / 2, clusters) * error
    found = errors_to_find(clusters, clusters, level=ALPHA) * sqrt(2) * error if 2 / 2**clusters <= ALPHA else inf
    return Foreseen(clusters, samples, min(half, span), found if found < span else None)
