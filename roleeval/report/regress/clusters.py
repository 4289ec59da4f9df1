"""Single clusters that got worse: one role with another one's adapter, which a test over all roles cannot see.

The tests of stats/gate.py ask whether a model got worse on clusters like these; one of ten that lost everything leaves
that open. Here each cluster is asked for itself, with its items as the units: an exact sign test over the items that
changed, corrected for all clusters and metrics compared, where the cluster's mean lost its margin.
"""

import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from roleeval.metrics import MetricInfo
from roleeval.report.regress.guards import sign_test
from roleeval.report.regress.pairs import Paired

_SAME = 1e-9  # in margins


@dataclass(frozen=True, slots=True)
class LostCluster:
    """A cluster that lost more than a metric's margin.

    Attributes:
        benchmark, model, cluster: which.
        info: the metric; the one that says so most clearly.
        before, now: its mean over the cluster.
        items: of the cluster.
        worse, better: how many of them changed.
        p: of the sign test, corrected for all clusters and metrics.
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

    Source: Tarone (1990), Biometrics 46: a correction for the tests alone that could reject at all.
    """
    if not level:
        return []
    changes = [change for pair in pairs for change in _changes(pair)]
    tests = _counted([change.worse + change.better for change, _ in changes], level)
    found: dict[tuple[str, str, str], LostCluster] = {}
    for change, lost_margin in changes:
        p = min(1.0, change.p * tests)
        key = change.benchmark, change.model, change.cluster
        if lost_margin and p <= level and (key not in found or p < found[key].p):
            found[key] = replace(change, p=p)
    return sorted(found.values(), key=lambda lost: lost.p)


def _counted(changed: Sequence[int], level: float) -> int:
    """How many tests a correction is for: those whose smallest possible p, 2^-changed, could reach the level."""
    smallest, tests = sorted(2.0**-count for count in changed), 1
    while bisect_right(smallest, level / tests) > tests:
        tests += 1
    return tests


def _changes(pair: Paired) -> Iterator[tuple[LostCluster, bool]]:
    """What changed in each cluster, with its p before correction; and whether its mean lost the margin."""
    losses = pair.losses
    for cluster, rows in _by_cluster(pair).items():
        before, now = (statistics.fmean(values[row] for row in rows) for values in (pair.before, pair.now))
        loss = before - now if pair.info.higher_is_better else now - before
        samples = dict.fromkeys(pair.rows[row][0] for row in rows)
        worse, better = (sum(sign * losses[sample] > _SAME for sample in samples) for sign in (1, -1))
        change = LostCluster(
            benchmark=pair.benchmark,
            model=pair.model,
            cluster=cluster.removeprefix(f"{pair.benchmark}/"),
            info=pair.info,
            before=before,
            now=now,
            items=len(samples),
            worse=worse,
            better=better,
            p=sign_test(worse, better),
        )
        yield change, loss > pair.margin


def _by_cluster(pair: Paired) -> dict[str, list[int]]:
    """Cluster -> places of its rows; none where each cluster is an item."""
    found: dict[str, list[int]] = {}
    for place, cluster in enumerate(pair.clusters):
        found.setdefault(cluster, []).append(place)
    return {cluster: rows for cluster, rows in found.items() if len(rows) > 1}
