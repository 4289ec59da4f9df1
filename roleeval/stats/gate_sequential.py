"""The regression gate after each batch of clusters: most clear cases are decided with a part of the calls.

The two tests of `gate.decide`, at levels that add up to alpha over all batches. Every batch is examined, so that
looking less often, or again, changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from roleeval.errors import ConfigError, DataError
from roleeval.stats.gate import ALPHA, Compared, Decision, GateOutcome, checked, decide, decided, outcome_of
from roleeval.stats.gate_tests import Pairs, margin_p, t_margin_p
from roleeval.stats.paired import exchanges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BATCHES = 5
# How much of alpha is spent when a share of the clusters is there: the share to this power.
_FAIL_POWER = 1.0
_PASS_POWER = 3.0  # little at first: a loss may sit in clusters that are not yet seen
_TIES = 1e-9
_GRID = 500  # points of the sums that go on
_FAR = 5.0  # standard deviations below 0 from where none comes back to the limit


@dataclass(frozen=True, slots=True)
class SequentialGate:
    """What is decided so far.

    Attributes:
        decisions: one for each metric, in the order given: from the batches that its decision took, or, INCONCLUSIVE,
            from all that were examined.
        after: for each metric the number of batches after which it passed or failed; None where it has not.
        outcome: of the whole gate; INCONCLUSIVE while it is open.
        ended: the number of batches after which the outcome was certain, or that there are; None while it is open.
        next_batch: the clusters to run next; empty at the end.
        share: of the planned clusters, what was used up to the end, or so far.
    """

    decisions: list[Decision]
    after: list[int | None]
    outcome: GateOutcome
    ended: int | None
    next_batch: tuple[str, ...]
    share: float


def random_batches(clusters: Iterable[str], *, batches: int = BATCHES, seed: int = 0) -> list[tuple[str, ...]]:
    """Clusters in random order, in so many batches of about equal size; fewer where there are fewer clusters.

    The order must not follow what a loss may follow (the alphabet, the language, the difficulty): the first batches
    speak for those that may never be run.

    Raises:
        ConfigError: fewer than one batch.
    """
    import numpy as np

    if batches < 1:
        raise ConfigError(f"batches: {batches} is invalid; give 1 or more")
    names = np.random.default_rng(seed).permutation(np.array(sorted(set(clusters)), dtype=str))
    # The first batch has two clusters: one alone decides nothing.
    parts = np.array_split(names, min(batches, max(len(names) - 1, 1)))
    return [tuple(str(name) for name in part) for part in parts]


def decide_sequentially(
    compared: Sequence[Compared], *, batches: Sequence[Collection[str]], alpha: float = ALPHA
) -> SequentialGate:
    """As `decide`, after each batch up to the last one that has data.

    The gate ends where a metric fails or all have passed; what a metric has passed or failed, it keeps. The error
    rates of `decide` hold over all batches together.

    Args:
        compared: every gated metric of every model, with the items that are there so far.
        batches: the clusters of each batch, in order, also of those not yet run: chosen before any result is seen and
            in random order (`random_batches`).
        alpha: as in `decide`.

    Raises:
        ConfigError: as `decide`; a cluster is in two batches.
        DataError: as `decide`; a cluster with data is in no batch.

    Source: levels that are spent: Lan & DeMets (1983), Biometrika 70, with the power family of Kim & DeMets (1987),
        Biometrika 74; t tests at the levels of normal ones: Jennison & Turnbull (2000), Group Sequential Methods,
        section 3.8.
    """
    trial = examined(compared, batches=batches, alpha=alpha)
    decisions = []
    for each in compared:
        look = trial.looks.get(each.name)
        if look is None:  # its first two clusters come after the end
            (decision,) = decide([each], alpha=alpha)
            decisions.append(replace(decision, outcome=GateOutcome.INCONCLUSIVE, needed=None))
            continue
        decisions.append(
            decided(
                look.compared,
                look.pairs,
                loss_p=look.loss_p,
                smallest_loss_p=trial.smallest_p,
                alpha=alpha,
                metrics=len(compared),
                loss_fails=look.loss_fails,
                margin_level=look.level,
            )
        )
    return SequentialGate(
        decisions=decisions,
        after=[trial.after.get(each.name) for each in compared],
        outcome=trial.outcome,
        ended=trial.batches if trial.over else None,
        next_batch=() if trial.over else trial.plan[trial.batches],
        share=trial.share,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """One metric after some batch: its data up to there, and what the tests say of them."""

    compared: Compared
    pairs: Pairs
    loss_p: float
    loss_fails: bool
    level: float
    outcome: GateOutcome


@dataclass(frozen=True, slots=True)
class Trial:
    """What `decide_sequentially` makes its report from; `looks` hold each metric's last one."""

    plan: list[tuple[str, ...]]
    looks: dict[str, _Look]
    after: dict[str, int]
    outcome: GateOutcome
    batches: int
    share: float
    smallest_p: float

    @property
    def over(self) -> bool:
        return self.outcome is not GateOutcome.INCONCLUSIVE or self.batches == len(self.plan)


def examined(compared: Sequence[Compared], *, batches: Sequence[Collection[str]], alpha: float) -> Trial:
    """Examines batch after batch; arguments and errors as `decide_sequentially`."""
    whole = checked(compared, alpha=alpha)
    plan = _plan(compared, batches)
    seen = {name for each in compared for name in each.clusters}
    last = max(number for number, batch in enumerate(plan, 1) if seen.intersection(batch))
    ends = [sum(len(batch) for batch in plan[:number]) for number in range(1, len(plan) + 1)]
    times = tuple(end / ends[-1] for end in ends)
    levels = spent_levels(times, alpha)
    losses = _LossTest(plan, {each.name: pairs for each, pairs in zip(compared, whole, strict=True)})
    looks: dict[str, _Look] = {}
    after: dict[str, int] = {}
    outcome, number = GateOutcome.INCONCLUSIVE, 0
    while outcome is GateOutcome.INCONCLUSIVE and number < last:
        number += 1
        level = levels[number - 1]
        loss_p = losses.after(number, level=alpha * times[number - 1] ** _FAIL_POWER)
        open_ = [each for each in compared if each.name not in after]
        usable = up_to(open_, {name for batch in plan[:number] for name in batch})
        parts = checked(usable, alpha=alpha) if usable else []
        for each, pairs in zip(usable, parts, strict=True):
            fails = each.name in losses.rejected
            found = outcome_of(pairs, loss_fails=fails, margin_passes=passes(pairs, level))
            looks[each.name] = _Look(each, pairs, loss_p[each.name], fails, level, found)
            if found is not GateOutcome.INCONCLUSIVE:
                after[each.name] = number
        found_all = {look.outcome for look in looks.values()}
        if GateOutcome.FAIL in found_all:
            outcome = GateOutcome.FAIL
        elif len(after) == len(compared):
            outcome = GateOutcome.PASS
    return Trial(plan, looks, after, outcome, number, times[number - 1], losses.smallest_p)


def passes(pairs: Pairs, level: float) -> bool:
    """Whether a loss of the margin is rejected at this level."""
    # The first is part of the second, and quick.
    return t_margin_p(pairs, pairs.margin) <= level and margin_p(pairs) <= level


def _plan(compared: Sequence[Compared], batches: Sequence[Collection[str]]) -> list[tuple[str, ...]]:
    plan = [tuple(batch) for batch in batches if len(batch)]
    planned = Counter(name for batch in plan for name in batch)
    twice = [name for name, count in planned.items() if count > 1]
    if twice:
        raise ConfigError(f"batches: cluster {twice[0]!r} is planned more than once; give each cluster one batch")
    for each in compared:
        unknown = sorted(set(each.clusters) - planned.keys())
        if unknown:
            raise DataError(
                f"{each.name}: cluster {unknown[0]!r} is in none of the batches; plan all clusters of the baseline "
                "before the first batch runs"
            )
    return plan


def up_to(compared: Sequence[Compared], names: set[str]) -> list[Compared]:
    """The items of these clusters; without metrics that have fewer than two of them."""
    import numpy as np

    found = []
    for each in compared:
        kept = np.array([name in names for name in each.clusters], dtype=bool)
        clusters = [name for name, keep in zip(each.clusters, kept, strict=True) if keep]
        if len(set(clusters)) > 1:
            baseline, current = (np.asarray(values, dtype=np.float64)[kept] for values in (each.baseline, each.current))
            found.append(replace(each, baseline=baseline, current=current, clusters=clusters))
    return found


class _LossTest:
    """The test of "no loss" over all batches: which exchanges of the two runs would have been stopped by now.

    After each batch those exchanges are stopped whose greatest statistic is so extreme that, with all stopped before,
    their share is the level spent so far. What was seen is one of them, so that it is stopped with no greater
    probability, in however many batches: this is exact for two unchanged runs.
    """

    def __init__(self, plan: Sequence[Sequence[str]], metrics: Mapping[str, Pairs]) -> None:
        """Takes all data there are; `after` looks at no more than the batches up to its own."""
        import numpy as np

        self._columns = {name: column for column, name in enumerate(metrics)}
        self._ends = [0, *accumulate(len(batch) for batch in plan)]
        places = {name: place for place, name in enumerate(name for batch in plan for name in batch)}
        self._sums = np.zeros((len(places), len(metrics)))
        for column, pairs in enumerate(metrics.values()):
            self._sums[[places[name] for name in pairs.names], column] = pairs.sums
        self._signs = _signs(len(places))
        self._totals = np.zeros((len(self._signs), len(metrics)))
        self._stopped = np.zeros(len(self._signs), dtype=bool)
        self.smallest_p = 1 / len(self._signs)
        self.rejected: set[str] = set()

    def after(self, batch: int, *, level: float) -> dict[str, float]:
        """p of each metric: the share stopped before this batch and of those, still running, as extreme as it.

        Args:
            batch: its number; each is given once, in order.
            level: the share of exchanges that may be stopped by now.
        """
        import numpy as np

        start, end = self._ends[batch - 1], self._ends[batch]
        self._totals += self._signs[:, start:end] @ self._sums[start:end]
        scale = np.sqrt((self._sums[:end] ** 2).sum(axis=0))
        statistics = np.divide(self._totals, scale, out=np.full_like(self._totals, -np.inf), where=scale > 0)
        greatest = statistics.max(axis=1)
        stopped, running = int(self._stopped.sum()), np.sort(greatest[~self._stopped])
        extreme = stopped + len(running) - np.searchsorted(running, np.append(greatest, statistics[0]) - _TIES)
        p = extreme / len(self._signs)
        self._stopped |= p[: len(greatest)] <= level
        found = np.where(scale > 0, p[len(greatest) :], 1.0)
        self.rejected |= {name for name, column in self._columns.items() if found[column] <= level}
        return {name: float(found[column]) for name, column in self._columns.items()}


@lru_cache(maxsize=2)
def _signs(clusters: int) -> "Floats":
    """[exchanges, clusters], 1 where the two runs are exchanged, else -1; the first, without any, is what was seen."""
    import numpy as np

    signs = 2 * np.concatenate(list(exchanges(clusters))) - 1
    return signs if (signs[0] < 0).all() else np.concatenate([np.full((1, clusters), -1.0), signs])


@lru_cache(maxsize=16)
def spent_levels(times: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """One-sided levels at which a test may reject at these times, so that it errs with probability alpha in all.

    Args:
        times: the share of the data that is there at each; growing, the last is 1.
        alpha: in all.

    Source: Armitage, McPherson & Rowe (1969), Journal of the Royal Statistical Society A 132: sums of normal
        increments, and the density of those that have not crossed a limit.
    """
    import numpy as np
    from scipy.special import ndtr

    levels, spent, before = [], 0.0, 0.0
    points, masses = np.zeros(1), np.ones(1)
    for time in times:
        step = float(np.sqrt(time - before))
        target = alpha * time**_PASS_POWER - spent
        limit = _limit(points, masses, step, target)
        levels.append(float(ndtr(-limit / np.sqrt(time))))
        grid = np.linspace(-_FAR * np.sqrt(time), limit, _GRID)
        edges = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [limit]])
        masses = np.diff(ndtr((edges[:, None] - points) / step), axis=0) @ masses
        points, spent, before = grid, spent + target, time
    return tuple(levels)


def _limit(points: "Floats", masses: "Floats", step: float, target: float) -> float:
    """What a sum exceeds with probability `target` one step later."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def excess(limit: float) -> float:
        return float(masses @ ndtr((points - limit) / step)) - target

    return float(brentq(excess, -10.0, 10.0))
