"""The regression gate's decision: is the current run worse than the baseline, for each metric and in all.

Three outcomes, from two tests on the paired differences of each metric: PASS where a loss as large as the margin is
rejected, FAIL where "no loss" is rejected for all metrics together and the loss found exceeds the margin, else
INCONCLUSIVE. docs/regression.md has the measured error rates (`python -m tests.stats.simulate_gate`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from roleeval.errors import ConfigError, DataError
from roleeval.stats.gate_planning import Needed, needed_to_fail, needed_to_pass
from roleeval.stats.gate_tests import Pairs, limits, loss_p_values, margin_p
from roleeval.stats.means import ROUNDING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05


class GateOutcome(StrEnum):
    """What the gate says of a metric, or of all."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of one model in two runs, item by item; only items that both runs have a value of.

    Attributes:
        name: a key, unique in the call: the model and the metric.
        baseline: [items], each the mean over its repeats and run seeds, in the metric's unit.
        current: [items].
        clusters: [items], the cluster of each item (role, book, seed). The same name is the same cluster in all
            metrics and models of a call.
        margin: the greatest loss of the mean that is still accepted; above 0, in the metric's unit.
        higher_is_better: whether a loss is a fall or a rise.
        bounds: the lowest and the highest possible value of the metric; None where there is none.
    """

    name: str
    baseline: "ArrayLike"
    current: "ArrayLike"
    clusters: Sequence[str]
    margin: float
    higher_is_better: bool = True
    bounds: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one metric of one model.

    Attributes:
        name: of the `Compared`.
        outcome: PASS, FAIL or INCONCLUSIVE.
        baseline: mean of the baseline's items.
        current: mean of the current run's items.
        change: current - baseline, whatever is better.
        interval: of the change, at level 1 - 2 alpha (90 % for an alpha of 5 %): a metric passes exactly where the
            interval leaves out the margin.
        level: of the interval.
        loss_p: p of "no loss", corrected for all metrics and models of the call.
        margin_p: p of "the loss is as large as the margin, or larger"; not corrected.
        smallest_loss_p: the least that loss_p could be with so few clusters; where it is above alpha, nothing fails.
        items: how many pairs.
        clusters: how many clusters they come from.
        margin: as declared.
        needed: about how many clusters and items it would take in all to decide; None unless INCONCLUSIVE, and where
            nothing can be said.
    """

    name: str
    outcome: GateOutcome
    baseline: float
    current: float
    change: float
    interval: tuple[float, float]
    level: float
    loss_p: float
    margin_p: float
    smallest_loss_p: float
    items: int
    clusters: int
    margin: float
    needed: Needed | None = None


def decide(compared: Sequence[Compared], *, alpha: float = ALPHA) -> list[Decision]:
    """Decides each metric of each model; the same data always give the same decision.

    A metric passes where "the loss is as large as the margin" is rejected at `alpha`. The gate passes where every
    metric does, so that this needs no correction for their number: the gate passes a run in which any one metric has
    lost its margin with probability `alpha` at most. A metric fails where "no loss" is rejected with correction for
    all metrics of the call, and its loss exceeds the margin: of two unchanged runs, any metric at all fails with
    probability `alpha` at most.

    Args:
        compared: every gated metric of every model: the correction is for those of one call.
        alpha: the probability of either error, above 0 and below 0.5.

    Returns:
        One decision for each, in the same order.

    Raises:
        ConfigError: a margin or alpha is not possible; no metric is given; a name occurs twice.
        DataError: values are missing, not finite or not in pairs, lie outside of the bounds, or are of one cluster.

    Source: intersection-union test: Berger & Hsu (1996), Statistical Science 11; the tests: `gate_tests`.
    """
    parts = checked(compared, alpha=alpha)
    loss, smallest = loss_p_values(parts)
    return [
        decided(each, pairs, loss_p=p, smallest_loss_p=smallest, alpha=alpha, metrics=len(parts))
        for each, pairs, p in zip(compared, parts, loss, strict=True)
    ]


def gate_outcome(decisions: Iterable[Decision]) -> GateOutcome:
    """FAIL where any metric fails, PASS where all pass, else INCONCLUSIVE."""
    found = {decision.outcome for decision in decisions}
    if GateOutcome.FAIL in found:
        return GateOutcome.FAIL
    return GateOutcome.PASS if found == {GateOutcome.PASS} else GateOutcome.INCONCLUSIVE


def outcome_of(pairs: Pairs, *, loss_fails: bool, margin_passes: bool) -> GateOutcome:
    """The rule for one metric, given what the two tests reject."""
    if margin_passes:
        return GateOutcome.PASS
    return GateOutcome.FAIL if loss_fails and -pairs.gain > pairs.margin else GateOutcome.INCONCLUSIVE


def decided(
    compared: Compared,
    pairs: Pairs,
    *,
    loss_p: float,
    smallest_loss_p: float,
    alpha: float,
    metrics: int,
    loss_fails: bool | None = None,
    margin_level: float | None = None,
) -> Decision:
    """The decision from what the tests say.

    Args:
        compared: the metric as given.
        pairs: the same as the tests take it.
        loss_p, smallest_loss_p: of "no loss".
        alpha: of the whole gate.
        metrics: how many loss_p is corrected for.
        loss_fails: whether "no loss" is rejected, where that is not loss_p <= alpha.
        margin_level: what margin_p is compared with, where that is not alpha.
    """
    margin_level = alpha if margin_level is None else margin_level
    at_margin = margin_p(pairs)
    outcome = outcome_of(
        pairs,
        loss_fails=loss_p <= alpha if loss_fails is None else loss_fails,
        margin_passes=at_margin <= margin_level,
    )
    needed = None
    if outcome is GateOutcome.INCONCLUSIVE:
        loss = -pairs.gain > pairs.margin
        needed = needed_to_fail(pairs, alpha=alpha, metrics=metrics) if loss else needed_to_pass(pairs, alpha=alpha)
    low, high = limits(pairs, alpha=margin_level)
    sign = 1 if compared.higher_is_better else -1
    baseline = float(pairs.baseline.mean())
    return Decision(
        name=compared.name,
        outcome=outcome,
        baseline=baseline,
        current=baseline + sign * pairs.gain,
        change=sign * pairs.gain,
        interval=(low, high) if compared.higher_is_better else (-high, -low),
        level=1 - 2 * margin_level,
        loss_p=loss_p,
        margin_p=at_margin,
        smallest_loss_p=smallest_loss_p,
        items=pairs.items,
        clusters=pairs.clusters,
        margin=compared.margin,
        needed=needed,
    )


def checked(compared: Sequence[Compared], *, alpha: float) -> list[Pairs]:
    """Pairs as the tests take them, a gain being better whatever the metric; errors as `decide`."""
    if not 0 < alpha < 0.5:
        raise ConfigError(f"alpha: {alpha:g} is invalid; give a probability above 0 and below 0.5 (usually 0.05)")
    if not compared:
        raise ConfigError("the gate has no metric to compare; name at least one that both runs have")
    twice = [name for name, count in Counter(each.name for each in compared).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]}: given to the gate more than once; give each metric of a model once")
    return [_pairs(each) for each in compared]


def _pairs(compared: Compared) -> Pairs:
    import numpy as np

    name = compared.name
    if not (compared.margin > 0 and np.isfinite(compared.margin)):
        raise ConfigError(
            f"{name}: a margin of {compared.margin:g} is invalid; give the greatest loss that is accepted, above 0"
        )
    baseline, current = (np.asarray(values, dtype=np.float64) for values in (compared.baseline, compared.current))
    sizes = {baseline.shape, current.shape, (len(compared.clusters),)}
    if len(sizes) > 1:
        raise DataError(
            f"{name}: {baseline.size} values of the baseline, {current.size} of the current run and "
            f"{len(compared.clusters)} clusters; give one of each for every item that both runs have"
        )
    for run, values in (("baseline", baseline), ("current run", current)):
        _check_values(name, run, values, compared.bounds)
    if len(set(compared.clusters)) < 2:
        raise DataError(
            f"{name}: {len(baseline)} items of {len(set(compared.clusters))} cluster(s); a comparison needs at least "
            "two clusters (roles, books, seeds), and five before anything can fail"
        )
    return Pairs.of(
        baseline=baseline,
        current=current,
        clusters=compared.clusters,
        margin=float(compared.margin),
        higher_is_better=compared.higher_is_better,
        bounds=compared.bounds,
    )


def _check_values(name: str, run: str, values: "Floats", bounds: tuple[float | None, float | None]) -> None:
    import numpy as np

    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise DataError(
            f"{name}: item {wrong[0]} of the {run} has the value {values[wrong[0]]}; leave out items that one of the "
            "runs has no value of"
        )
    low, high = (-np.inf if bounds[0] is None else bounds[0], np.inf if bounds[1] is None else bounds[1])
    # Means over repeats of values at an end differ from it in their last bits.
    slack = ROUNDING * max(1.0, float(np.abs(values).max(initial=0.0)))
    wrong = np.flatnonzero((values < low - slack) | (values > high + slack))
    if len(wrong):
        raise DataError(
            f"{name}: item {wrong[0]} of the {run} has the value {values[wrong[0]]:g}, outside of the metric's range "
            f"{low:g} to {high:g}; correct the range or the value"
        )
