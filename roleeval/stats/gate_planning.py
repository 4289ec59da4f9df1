"""How much data an inconclusive metric would take: clusters and items in all, with the assumption that was made."""

from dataclasses import dataclass
from math import ceil, log2, sqrt

from roleeval.stats.bootstrap import t_quantile
from roleeval.stats.gate_tests import Pairs, repeats_to_pass
from roleeval.stats.paired import POWER

_MOST = 100_000  # clusters: beyond that, no plan is of use


@dataclass(frozen=True, slots=True)
class Needed:
    """What it takes to decide four times out of five.

    Attributes:
        clusters: in all, of the size of those seen.
        items: in all.
        outcome: which decision it would be: "PASS" or "FAIL".
        assuming: what was assumed of the true loss, in words.
    """

    clusters: int
    items: int
    outcome: str
    assuming: str


def needed_to_pass(pairs: Pairs, *, alpha: float) -> Needed | None:
    """For a metric whose loss, if any, is below the margin; None where it is so near that no plan is of use."""
    loss = max(0.0, -pairs.gain)
    clusters = _enough(pairs, distance=pairs.margin - loss, level=alpha)
    if clusters is None:
        return None
    clusters = max(clusters, ceil(pairs.clusters * repeats_to_pass(pairs, alpha=alpha)))
    return _needed(pairs, clusters, "PASS", f"the true loss is {loss:.3g}, as found" if loss else "nothing was lost")


def needed_to_fail(pairs: Pairs, *, alpha: float, metrics: int) -> Needed | None:
    """For a metric whose loss exceeds the margin; with Bonferroni's level, which asks for too much rather than little.

    Args:
        pairs: the metric.
        alpha: of all metrics together.
        metrics: how many loss_p is corrected for.
    """
    level = alpha / metrics
    clusters = _enough(pairs, distance=-pairs.gain, level=level)
    if clusters is None:
        return None
    return _needed(pairs, max(clusters, ceil(-log2(level))), "FAIL", f"the true loss is {-pairs.gain:.3g}, as found")


def _enough(pairs: Pairs, *, distance: float, level: float) -> int | None:
    """Clusters with which a mean so far from its null hypothesis is told apart with POWER.

    Source: Bloom (1995), Evaluation Review 19, as in `paired.detectable`.
    """
    if distance <= 0:
        return None
    spread = pairs.error * sqrt(pairs.clusters)
    clusters = 2
    while (t_quantile(1 - level, clusters) + t_quantile(POWER, clusters)) * spread > distance * sqrt(clusters):
        clusters = max(clusters + 1, int(clusters * 1.02))
        if clusters > _MOST:
            return None
    return clusters


def _needed(pairs: Pairs, clusters: int, outcome: str, assuming: str) -> Needed:
    clusters = max(clusters, pairs.clusters + 1)
    return Needed(
        clusters, ceil(clusters * pairs.items / pairs.clusters), outcome, f"{assuming}; clusters vary as seen"
    )
