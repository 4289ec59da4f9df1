"""The gate's two tests on paired, clustered differences: of "no loss", and of "the loss is as large as the margin"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import RESAMPLES
from roleeval.stats.clusters import effective_clusters
from roleeval.stats.means import ROUNDING
from roleeval.stats.paired import exchanges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TIES = 1e-9  # statistics that are equal differ by rounding
_POLE = 1e-10  # how near to a pole a root is looked for
_NEAR = 1e-4  # of the mean, where a ratio of two numbers near 0 is lost
_MOST = 1000  # times as many items: beyond that, no plan is of use
_UNSEEN = 100  # margins: a constant metric without a bound passes with 300 items


@dataclass(frozen=True, slots=True)
class Pairs:
    """One metric of one model, turned so that a gain is positive.

    Attributes:
        baseline: [items] in the metric's unit, not turned.
        gains: [items]: by how much the current run is better.
        codes: [items], each item's cluster as a place in `names`.
        names: [clusters], sorted.
        margin: the greatest loss that is accepted.
        worst: the greatest loss that an item can have had. Where the metric is open on that side: the spread of all
            values of both runs, or, if these are all equal, _UNSEEN margins.
        best: the greatest gain that an item can have had, likewise.
    """

    baseline: "Floats"
    gains: "Floats"
    codes: "NDArray[np.intp]"
    names: tuple[str, ...]
    margin: float
    worst: float
    best: float

    @classmethod
    def of(
        cls,
        *,
        baseline: "Floats",
        current: "Floats",
        clusters: Sequence[str],
        margin: float,
        higher_is_better: bool,
        bounds: tuple[float | None, float | None],
    ) -> "Pairs":
        """From the values of both runs, [items] each."""
        import numpy as np

        names, codes = np.unique(np.array(clusters, dtype=str), return_inverse=True)
        # Means over seeds of equal values differ in their last bits; that is no change.
        changes = current - baseline
        changes[np.abs(changes) <= ROUNDING * (1 + np.abs(baseline))] = 0.0
        spread = float(max(baseline.max(), current.max()) - min(baseline.min(), current.min()))
        down, up = (
            (spread or _UNSEEN * margin) if bound is None else float(np.abs(baseline - bound).max()) for bound in bounds
        )
        return cls(
            baseline=baseline,
            gains=changes if higher_is_better else -changes,
            codes=codes.astype(np.intp),
            names=tuple(str(name) for name in names),
            margin=margin,
            worst=max(down if higher_is_better else up, float(np.max(-changes if higher_is_better else changes))),
            best=max(up if higher_is_better else down, float(np.max(changes if higher_is_better else -changes))),
        )

    @property
    def items(self) -> int:
        return len(self.gains)

    @property
    def clusters(self) -> int:
        return len(self.names)

    @property
    def gain(self) -> float:
        """The mean gain over the items."""
        return float(self.gains.mean())

    @property
    def sums(self) -> "Floats":
        """[clusters] of the gains."""
        import numpy as np

        return np.bincount(self.codes, self.gains, minlength=self.clusters).astype(np.float64)

    @property
    def shares(self) -> "Floats":
        """[clusters]: the share of the items that each has."""
        import numpy as np

        counts = np.bincount(self.codes, minlength=self.clusters).astype(np.float64)
        return counts / self.items

    @property
    def error(self) -> float:
        """Standard error of the mean gain over clusters, by linearisation."""
        import numpy as np

        rest = self.sums / self.items - self.gain * self.shares
        k = self.clusters
        return float(np.sqrt(k / (k - 1) * (rest**2).sum()))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the error: unequal clusters have fewer.

        One less than normal clusters would have: losses of few clusters are skewed, and with all of them the skewed
        metrics of six roles passed at the margin in 6 % of the simulations.
        """
        return max(round(effective_clusters(self.shares), 9) - 2, 1.0)


def cluster_sums(parts: Sequence[Pairs]) -> tuple["Floats", tuple[str, ...]]:
    """Gains by cluster over all metrics, [clusters, metrics], 0 where a metric lacks a cluster; and the names."""
    import numpy as np

    names = tuple(sorted({name for pairs in parts for name in pairs.names}))
    places = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(names), len(parts)))
    for column, pairs in enumerate(parts):
        table[[places[name] for name in pairs.names], column] = pairs.sums
    return table, names


def loss_p_values(parts: Sequence[Pairs]) -> tuple[list[float], float]:
    """p of "no loss" of each metric, corrected for all of them.

    Two unchanged runs are exchangeable: exchanging them within any set of clusters, in all metrics and models at once,
    is as likely as what was seen. Every exchange is tried where there are at most RESAMPLES of them, else that many
    are drawn. Metrics that depend on one another cost less than their number.

    Returns:
        The p values, and the smallest p that so many clusters could give.

    Source: Westfall & Young (1993), Resampling-Based Multiple Testing, step-down maxT; Phipson & Smyth (2010), SAGMB 9,
        for counting what was seen among exchanges that are drawn.
    """
    import numpy as np

    sums, names = cluster_sums(parts)
    # In units of the root of the clusters' squares, which no exchange changes, losses rank as Student's t does.
    scale = np.sqrt((sums**2).sum(axis=0))
    unit = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    observed = -unit.sum(axis=0)
    order = np.argsort(observed)  # the least first: its maximum is over itself alone, the greatest's over all
    ranked = observed[order] - _TIES
    extreme, tried = np.zeros(len(parts)), 0
    for exchanged in exchanges(len(names)):
        statistics = (2 * exchanged - 1) @ unit[:, order]
        extreme += (np.maximum.accumulate(statistics, axis=1) >= ranked).sum(axis=0)
        tried += len(exchanged)
    drawn = 2 ** len(names) > RESAMPLES
    p = (extreme + drawn) / (tried + drawn)
    corrected = np.empty(len(parts))
    corrected[order] = np.maximum.accumulate(p[::-1])[::-1]  # none is below that of a greater loss
    corrected[scale == 0] = 1.0
    return [float(each) for each in corrected], 1 / (tried + drawn)


def margin_p(pairs: Pairs, margin: float | None = None) -> float:
    """p of "the loss is as large as the margin, or larger": the greatest of three.

    Student's t over clusters knows how much clusters differ, and nothing of what was not seen to happen: it takes
    equal clusters for certainty, and a rate that happens to be low for one that varies little. `unseen_margin_p` takes
    items one by one and adds one that has lost all it could, but nothing of clusters. The third is the p of items with
    the error and the degrees of freedom of clusters; where most items did not change, it includes the one added.

    Args:
        pairs: the metric.
        margin: another one than the declared.
    """
    import numpy as np
    from scipy.special import ndtri, stdtr

    margin = pairs.margin if margin is None else margin
    of_clusters, of_items = t_margin_p(pairs, margin), unseen_margin_p(pairs, margin)
    spread = float(pairs.gains.std()) / np.sqrt(pairs.items)
    if min(pairs.error, spread) <= ROUNDING * abs(margin):
        return max(of_clusters, of_items)
    rare = np.count_nonzero(pairs.gains) < pairs.items / 2
    tail = of_items if rare else _share_below_zero(pairs.gains + margin, np.ones(pairs.items))
    score = ndtri(tail) / max(1.0, pairs.error / spread)
    return max(of_clusters, of_items, float(stdtr(pairs.freedom, score)))


def t_margin_p(pairs: Pairs, margin: float) -> float:
    """Student's t over clusters, one-sided."""
    from scipy.special import stdtr

    above = pairs.gain + margin
    if pairs.error <= ROUNDING * abs(margin):
        return 0.0 if above > 0 else 1.0
    return float(stdtr(pairs.freedom, -above / pairs.error))


def unseen_margin_p(pairs: Pairs, margin: float) -> float:
    """Gaffke's test of a mean of bounded items, one of which is added at its worst.

    The probability that a mean of the items and of the worst possible one is no better than the margin, with weights
    drawn as spacings of uniform numbers. Of items that did not change it is (1 - margin / worst)^items, which is the
    rule of three; of zeros and ones it is Clopper and Pearson's test.

    Source: Gaffke (2005), Metron 63; Learned-Miller & Thomas (2020), arXiv 1905.06208; the probability by the
        saddlepoint of a sum of exponential variables, Barndorff-Nielsen's formula (Butler, 2007, Saddlepoint
        Approximations with Applications, section 1.2).
    """
    return _unseen_p(pairs.gains, pairs.worst, margin)


def _unseen_p(gains: "Floats", worst: float, margin: float, *, times: float = 1.0) -> float:
    """p of a loss of `margin`; as if each item had been seen so many times."""
    import numpy as np

    counts = np.append(np.full(len(gains), times), 1.0)
    return _share_below_zero(np.append(gains, -worst) + margin, counts)


def _share_below_zero(weights: "Floats", counts: "Floats") -> float:
    """P(sum of weights times independent gamma variables with these counts as shapes <= 0)."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import ndtr

    low, high = float(weights.min()), float(weights.max())
    if low >= 0:
        return 0.0
    if high <= 0:
        return 1.0
    scale = max(-low, high)
    weights, low, high = weights / scale, low / scale, high / scale

    def slope(t: float) -> float:
        return float(counts @ (weights / (1 - t * weights)))

    # The saddlepoint is where -sum(counts log(1 - t weights)) is least; its slope grows from one pole to the other.
    t = float(brentq(slope, (1 - _POLE) / low, (1 - _POLE) / high))
    cumulant, curvature = -counts @ np.log1p(-t * weights), counts @ (weights / (1 - t * weights)) ** 2
    w = np.sign(t) * np.sqrt(max(-2 * cumulant, 0.0))
    u = t * np.sqrt(curvature)
    if abs(w) < _NEAR:
        return float(ndtr(w + counts @ weights**3 / (3 * (counts @ weights**2) ** 1.5)))
    return float(ndtr(w + np.log(u / w) / w))


def limits(pairs: Pairs, *, alpha: float) -> tuple[float, float]:
    """The least and the greatest mean gain that the data do not reject, each at alpha.

    A loss of the margin is rejected exactly where the least gain is above minus the margin.
    """
    turned = replace(pairs, gains=-pairs.gains, worst=pairs.best, best=pairs.worst)
    return -_greatest_loss(pairs, alpha), _greatest_loss(turned, alpha)


def _greatest_loss(pairs: Pairs, alpha: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    loss = float(stdtrit(pairs.freedom, 1 - alpha)) * pairs.error - pairs.gain
    if loss >= pairs.worst:
        return max(pairs.worst, -pairs.gain)  # nothing beyond it is possible
    if margin_p(pairs, loss) <= alpha * (1 + _TIES):
        return loss
    if margin_p(pairs, pairs.worst) > alpha:
        return pairs.worst
    return float(brentq(lambda margin: margin_p(pairs, margin) - alpha, loss, pairs.worst, rtol=1e-6))


def repeats_to_pass(pairs: Pairs, *, alpha: float) -> float:
    """How many times as many items, like those seen, it takes for the test of unseen items; at most _MOST."""
    times = 1.0
    while _unseen_p(pairs.gains, pairs.worst, pairs.margin, times=times) > alpha and times < _MOST:
        times *= 1.1
    return times
