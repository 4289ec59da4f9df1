"""Paired differences: two models answered the same samples, so the samples' difficulty cancels out.

The interval estimates the size of a difference; the test, corrected for the number of models compared,
decides whether there is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from roleeval.stats.bootstrap import (
    CACHED_BYTES,
    CHUNK,
    FEW_CLUSTERS,
    LEVEL,
    RESAMPLES,
    SEED,
    jackknife_error,
    studentised,
    t_quantile,
)
from roleeval.stats.clusters import ClusterTable, effective_clusters, pooled
from roleeval.stats.means import OPEN, ROUNDING, Estimate, Range, measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pairs = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]

Conclusion = Literal["higher", "lower", "not separable", "too few clusters", ""]

ALPHA = 1 - LEVEL
POWER = 0.8
# Beyond so many clusters the two tests find what a t test finds.
_MANY_CLUSTERS = 50
_SIMULATIONS = 400
_RESAMPLES = 2000
_EXCHANGES = 1024


@dataclass(frozen=True, slots=True)
class Difference:
    """What one model has over another.

    Attributes:
        estimate: mean difference; n counts pairs, missing the samples that are no pair.
        p: of no difference: of the sign-flip test; from FEW_CLUSTERS (effective) clusters on the larger one of it and
            the bootstrap-t test; None with fewer than two clusters.
        smallest_p: the least that so few clusters could give.
        error: standard error of the mean difference; None as p, and where a group rests on one cluster.
        clusters: how many clusters of equal size would say as much.
    """

    estimate: Estimate
    p: float | None
    smallest_p: float | None
    error: float | None = None
    clusters: float = 0.0


def paired_difference(groups: "Sequence[Pairs]", *, over_rows: bool = False, within: Range = OPEN) -> Difference:
    """Mean of other - reference over the samples that both have, with the interval of `mean_of_means`.

    Args:
        groups: for each group (reference [rows], other [rows], clusters [rows]), a row being one sample and NaN what
            one of them does not have; several groups give the plain mean of their differences.
        over_rows: several groups give the mean over all their rows instead.
        within: the range of both models' values.
    """
    import numpy as np

    parts = [(_apart(reference, other), clusters) for reference, other, clusters in groups]
    parts = pooled(parts) if over_rows else parts
    low, high = within
    span = None if low is None or high is None else high - low
    found = measured(parts, within=OPEN if span is None else (-span, span), zero=0.0)
    estimate, table = found.estimate, found.table
    if estimate.mean is None or table.clusters < 2:
        return Difference(estimate, None, None)
    error, effective = float(jackknife_error(table.means, table.clusters)), effective_clusters(table.shares)
    p, smallest = sign_flip_test(table.contributions)
    if effective >= FEW_CLUSTERS and table.varies:
        # The sign-flip test's p is too small for skewed differences, the bootstrap-t's for heavy tails.
        resampled = found.resampled or studentised(table)
        p, smallest = max(p, resampled.p), max(smallest, resampled.smallest_p)
    return Difference(estimate, p, smallest, error if np.isfinite(error) else None, effective)


def _apart(reference: "NDArray[np.float64]", other: "NDArray[np.float64]") -> "NDArray[np.float64]":
    # Means over seeds of equal values differ in their last bits; without this, that dust would tell models apart.
    import numpy as np

    return np.where(np.isclose(other, reference, rtol=ROUNDING, atol=ROUNDING), 0.0, other - reference)


def sign_flip_test(contributions: "NDArray[np.float64]") -> tuple[float, float]:
    """Two-sided test of no difference: the two models' names exchanged in any set of clusters.

    Args:
        contributions: [clusters] whose sum is the mean difference.

    Returns:
        p and the smallest p possible. Every exchange is tried where there are at most RESAMPLES of them, else that
        many are drawn and the one observed is counted among them.

    Source: Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses, on matched pairs; Phipson & Smyth
        (2010) for the one observed.
    """
    import numpy as np

    total = contributions.sum()
    observed = abs(total) * (1 - 1e-9)  # ties differ by rounding
    sums = (total - 2 * (exchanged @ contributions) for exchanged in exchanges(len(contributions)))
    extreme = sum(int((np.abs(those) >= observed).sum()) for those in sums)
    if 2 ** len(contributions) <= RESAMPLES:
        return extreme / 2 ** len(contributions), 2 / 2 ** len(contributions)
    return (extreme + 1) / (RESAMPLES + 1), 1 / (RESAMPLES + 1)


def exchanges(clusters: int) -> "Iterator[NDArray[np.float64]]":
    """Yields [some exchanges, clusters], 1 where the two models' names are exchanged."""
    import numpy as np

    step = max(1, CHUNK // clusters)
    if RESAMPLES * clusters <= CACHED_BYTES:
        bits = _bits(clusters)
        for start in range(0, len(bits), step):
            yield bits[start : start + step].astype(np.float64)
        return
    rng = np.random.default_rng(SEED)
    for start in range(0, RESAMPLES, step):
        yield rng.integers(0, 2, size=(min(step, RESAMPLES - start), clusters), dtype=np.int8).astype(np.float64)


@lru_cache(maxsize=4)
def _bits(clusters: int) -> "NDArray[np.int8]":
    import numpy as np

    if 2**clusters <= RESAMPLES:
        numbers = np.arange(2**clusters)[:, None]
        return np.asarray(numbers >> np.arange(clusters) & 1, dtype=np.int8)
    return np.random.default_rng(SEED).integers(0, 2, size=(RESAMPLES, clusters), dtype=np.int8)


def detectable(difference: Difference, comparisons: int) -> float | None:
    """The true difference that is found four times out of five, at the level that Holm's correction begins with.

    Found means a p of at most 5 % / comparisons, so that the conclusion holds whatever the other comparisons give.

    Args:
        difference: the difference.
        comparisons: how many p is corrected for.

    Returns:
        None where no difference could be found, or nothing says how much clusters differ.

    Source: Bloom (1995), Evaluation Review 19: the sum of two t quantiles, those of the level and of the power, times
        the standard error; of up to 50 clusters the simulated power of the tests themselves, on normal differences.
    """
    if difference.smallest_p is None or not difference.error or difference.smallest_p * comparisons > ALPHA:
        return None
    errors = errors_to_find(difference.estimate.clusters, difference.clusters, level=ALPHA / comparisons)
    return errors * difference.error


def errors_to_find(clusters: int, effective: float, *, level: float) -> float:
    """The true difference in standard errors that is found with POWER; see `detectable`.

    Args:
        clusters: how many there are.
        effective: how many of equal size would say as much.
        level: of the test, two-sided.
    """
    errors = t_quantile(1 - level / 2, effective) + t_quantile(POWER, effective)
    if clusters <= _MANY_CLUSTERS:
        errors = max(errors, _found_by_few(clusters, level))
    return errors


@lru_cache(maxsize=64)
def _found_by_few(clusters: int, level: float) -> float:
    """In standard errors, the difference of equal normal clusters that `paired_difference` finds with POWER."""
    import numpy as np

    # The exchange of all clusters mirrors that of none, so half of all exchanges say it all.
    every = 2 ** (clusters - 1)
    exchanged = _bits(clusters)[:every]
    if every > _EXCHANGES:
        exchanged = exchanged[np.random.default_rng(SEED).choice(len(exchanged), size=_EXCHANGES, replace=False)]
    signs = 1.0 - 2.0 * exchanged
    noise = np.random.default_rng(SEED).standard_normal((_SIMULATIONS, clusters))
    allowed = int(level * len(signs) * (1 + 1e-9))
    of_noise, of_shift = noise @ signs.T, signs.sum(axis=1)
    enough = np.full(_SIMULATIONS, -np.inf)
    if clusters >= FEW_CLUSTERS:
        enough = np.array([_enough(each, level) for each in noise])
    low, high = 0.0, 20.0
    for _ in range(12):
        shift = (low + high) / 2
        observed = np.abs(noise.sum(axis=1) + shift * clusters) * (1 - 1e-9)
        extreme = (np.abs(of_noise + shift * of_shift) >= observed[:, None]).sum(axis=1)
        found = (extreme <= allowed) & (shift >= enough)
        low, high = (shift, high) if found.mean() < POWER else (low, shift)
    return float(high * np.sqrt(clusters))


def _enough(noise: "NDArray[np.float64]", level: float) -> float:
    """By how much the mean must rise for the bootstrap-t test to find it; the resamples do not depend on that."""
    import numpy as np

    found = studentised(ClusterTable(noise[None], np.ones((1, len(noise))), 0), resamples=_RESAMPLES)
    tail = max(1, int((len(found.distances) + 1) * level / 2))
    return float(found.distances[-tail] * found.error - found.mean)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number, so that all conclusions together are wrong in at most 5 % of cases.

    Source: Holm (1979), Scandinavian Journal of Statistics 6.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = largest
    return corrected


def conclusion(difference: Difference, p_holm: float | None, comparisons: int) -> Conclusion:
    """What may be said of a difference in one word; "" where there is no test.

    Args:
        difference: the difference.
        p_holm: its p, corrected.
        comparisons: how many it was corrected for.
    """
    estimate = difference.estimate
    if p_holm is None or difference.smallest_p is None or estimate.mean is None:
        return ""
    if difference.smallest_p * comparisons > ALPHA:
        return "too few clusters"
    if p_holm > ALPHA or not separable(estimate.ci_low, estimate.ci_high):
        return "not separable"
    return "higher" if estimate.mean > 0 else "lower"


def separable(low: float | None, high: float | None) -> bool | None:
    """Whether an interval of a difference leaves out 0, and what rounding makes of it; None without an interval."""
    return None if low is None or high is None else low > ROUNDING or high < -ROUNDING
