"""Single clusters that got worse: one role with another one's adapter, which a test over all roles cannot see.

The tests of stats/gate.py ask whether a model got worse on clusters like these; one of ten that lost everything leaves
that open. Here each cluster is asked for itself, with its items as the units: an exact sign test over the items that
changed, corrected (Bonferroni) for all clusters and metrics compared, where the cluster's mean lost its margin.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.metrics import MetricInfo
from roleeval.report.regress.guards import sign_test
from roleeval.report.regress.pairs import Paired


@dataclass(frozen=True, slots=True)
class LostCluster:
    """A cluster that lost more than a metric's margin.

    Attributes:
        benchmark, model, cluster: which.
        info: the metric; the one that says so most clearly.
        before, now: its mean over the cluster.
        items: of the cluster.
        worse, better: how many of them changed.
        p: corrected for all clusters and metrics.
    """

    benchmark: str
    model: str
    cluster: str
    info: MetricInfo
    before: float
    now: float
    items: int
    worse: int
    better: int
    p: float


def lost_clusters(pairs: Sequence[Paired], level: float) -> list[LostCluster]:
    """Of each cluster that got worse the metric that shows it best, the clearest first.

    Args:
        pairs: the gated metrics of all models.
        level: probability of naming any cluster of unchanged models; 0 looks for none.
    """
    if not level:
        return []
    parts = [(pair, cluster, rows) for pair in pairs for cluster, rows in _by_cluster(pair).items()]
    found: dict[tuple[str, str, str], LostCluster] = {}
    for pair, cluster, rows in parts:
        lost = _lost(pair, cluster, rows, tests=len(parts))
        key = pair.benchmark, pair.model, cluster
        if lost and lost.p <= level and (key not in found or lost.p < found[key].p):
            found[key] = lost
    return sorted(found.values(), key=lambda lost: lost.p)


def _by_cluster(pair: Paired) -> dict[str, list[int]]:
    """Cluster -> places of its rows; none where each cluster is an item."""
    found: dict[str, list[int]] = {}
    for place, cluster in enumerate(pair.clusters):
        found.setdefault(cluster, []).append(place)
    return {cluster: rows for cluster, rows in found.items() if len(rows) > 1}


def _lost(pair: Paired, cluster: str, rows: Sequence[int], *, tests: int) -> LostCluster | None:
    before, now = (statistics.fmean(values[row] for row in rows) for values in (pair.before, pair.now))
    loss = before - now if pair.info.higher_is_better else now - before
    if loss <= pair.margin:
        return None
    losses = pair.losses
    samples = dict.fromkeys(pair.rows[row][0] for row in rows)
    worse, better = (sum(sign * losses[sample] > 1e-9 for sample in samples) for sign in (1, -1))
    return LostCluster(
        benchmark=pair.benchmark,
        model=pair.model,
        cluster=cluster.removeprefix(f"{pair.benchmark}/"),
        info=pair.info,
        before=before,
        now=now,
        items=len(samples),
        worse=worse,
        better=better,
        p=min(1.0, sign_test(worse, better) * tests),
    )
