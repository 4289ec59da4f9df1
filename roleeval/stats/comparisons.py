"""Pairwise verdicts: from a judge's verdicts in each order to wins, flips and first-slot rates.

`settled` is the only place that combines several verdicts on two answers; judges' scores, ratings, win rates, flips and
judge cards all use it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from roleeval.stats.clusters import cluster_codes
from roleeval.stats.means import Estimate, clustered_mean

Winner = Literal["a", "b", "tie"]
Aggregate = Literal["median", "mean"]
_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True, slots=True)
class Settled:
    """What all verdicts on one model's answer against another's come to, from the first one's side.

    Attributes:
        win, loss: shares in [0, 1]; what is left of 1 is a tie.
        flip: share in which the two orders name different winners; a tie names none.
        first_slot: share of verdicts for what is shown first, both orders counting alike, a tie as half.
    """

    win: float
    loss: float
    flip: float
    first_slot: float

    @property
    def value(self) -> float:
        """The score: 1 for a win, 0.5 for a tie, 0 for a loss, or a value in between."""
        return (1.0 + self.win - self.loss) / 2

    @property
    def winner(self) -> Winner:
        """Who won on balance; "a" is the model whose side this is."""
        return "a" if self.win > self.loss else "b" if self.win < self.loss else "tie"


def settled(first: Sequence[float], second: Sequence[float], *, aggregate: Aggregate) -> Settled:
    """Settles the verdicts on two answers: a win or loss is what both orders say, everything else is a tie.

    With one verdict in each order that is all: they agree, or it is a tie. Of repeats it is the same share for share:
    a verdict in one order is held against every verdict in the other one, and `win` is the share of these combinations
    in which both name the first model.

    - Repeats are not paired by their number. Which of them is called the second is chance, so the result must not hang
      on it; and taking all combinations is the most precise estimate of what one more pair of verdicts would say.
    - "mean" takes each order's verdicts as they are. Its expected value is the same for any number of repeats, so more
      repeats take away noise and change nothing else.
    - "median" first reduces each order to its median verdict. Repeats then outvote a stray verdict of their own order
      before the orders are compared: a judge that is unsteady has not contradicted itself, one that prefers a slot has.
    - Orders with unequal numbers of usable verdicts (some were unusable) count alike.

    Args:
        first: the first model's points (1 won, 0.5 tie, 0 lost) where its answer was shown first; at least one.
        second: its points where its answer was shown second; at least one.
        aggregate: of repeats within an order.
    """
    (win_first, loss_first), (win_second, loss_second) = _shares(first, aggregate), _shares(second, aggregate)
    return Settled(
        win=win_first * win_second,
        loss=loss_first * loss_second,
        flip=win_first * loss_second + loss_first * win_second,
        first_slot=(sum(first) / len(first) + 1.0 - sum(second) / len(second)) / 2,
    )


def _shares(points: Sequence[float], aggregate: Aggregate) -> tuple[float, float]:
    """Of one order: shares of wins and losses; a median between two verdicts is half of each."""
    import statistics

    if aggregate == "median":
        middle = statistics.median(points)
        return max(0.0, 2 * middle - 1), max(0.0, 1 - 2 * middle)
    return points.count(1.0) / len(points), points.count(0.0) / len(points)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said once of two answers to one item.

    Attributes:
        item: the sample.
        cluster: what intervals resample: role or scene.
        model_a, model_b: whose answers they are, in any order.
        first_slot: whose answer was shown first.
        winner: who won.
    """

    item: str
    cluster: str
    model_a: str
    model_b: str
    first_slot: Literal["a", "b"]
    winner: Winner


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one item ended between two models, all its verdicts considered; model_a is first in the alphabet.

    Attributes:
        item, cluster, model_a, model_b: see Verdict.
        winner: who won, on balance.
        settled: from model_a's side, where repeats leave something between win, tie and loss; None: all is `winner`.
    """

    item: str
    cluster: str
    model_a: str
    model_b: str
    winner: Winner
    settled: Settled | None = None

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of model_a's wins, model_b's wins and ties; they sum to 1."""
        if self.settled is not None:
            return self.settled.win, self.settled.loss, 1.0 - self.settled.win - self.settled.loss
        return float(self.winner == "a"), float(self.winner == "b"), float(self.winner == "tie")

    def points(self, model: str) -> float:
        """1 for a win of this model, 0.5 for a tie, 0 for a loss, or a value in between."""
        points = _POINTS[self.winner] if self.settled is None else self.settled.value
        return points if model == self.model_a else 1 - points


def settle(verdicts: Iterable[Verdict], *, aggregate: Aggregate = "median") -> list[Outcome]:
    """One outcome per item and pair, by `settled`.

    An item judged in one order only is left out: its outcome would carry the judge's preference for a slot.

    Args:
        verdicts: of any items and pairs.
        aggregate: of repeats, as the judge's scores have it.
    """
    return [
        Outcome(item, cluster, a, b, found.winner, found)
        for (item, cluster, a, b), found in _settled(verdicts, aggregate).items()
    ]


def _settled(verdicts: Iterable[Verdict], aggregate: Aggregate) -> dict[tuple[str, str, str, str], Settled]:
    """(item, cluster, a, b), a being first in the alphabet -> what came of it, where both orders were judged."""
    points: dict[tuple[str, str, str, str], tuple[list[float], list[float]]] = {}
    for v in verdicts:
        turned = v.model_a > v.model_b
        a, b = (v.model_b, v.model_a) if turned else (v.model_a, v.model_b)
        a_first = (v.first_slot == "a") != turned
        of_a = 1 - _POINTS[v.winner] if turned else _POINTS[v.winner]
        points.setdefault((v.item, v.cluster, a, b), ([], []))[0 if a_first else 1].append(of_a)
    return {
        key: settled(first, second, aggregate=aggregate) for key, (first, second) in points.items() if first and second
    }


def win_rate(outcomes: Sequence[Outcome], model: str, *, against: str | None = None) -> Estimate:
    """Share of wins, a tie counting half.

    Args:
        outcomes: from `settle`.
        model: whose wins.
        against: one opponent; None: every outcome the model is in.
    """
    mine = [o for o in outcomes if model in (o.model_a, o.model_b) and against in (None, o.model_a, o.model_b)]
    return _clustered([o.points(model) for o in mine], [o.cluster for o in mine])


def flip_rate(verdicts: Iterable[Verdict], *, aggregate: Aggregate = "median") -> Estimate:
    """Share of item and pair, judged in both orders, whose orders name different winners; see `Settled.flip`."""
    found = _settled(verdicts, aggregate)
    return _clustered([each.flip for each in found.values()], [cluster for _, cluster, _, _ in found])


def first_slot_rate(verdicts: Sequence[Verdict]) -> Estimate:
    """Share of verdicts for the answer shown first, ties counting half; 0.5 where both orders are judged and fair."""
    points = [0.5 if v.winner == "tie" else float(v.winner == v.first_slot) for v in verdicts]
    return _clustered(points, [v.cluster for v in verdicts])


def _clustered(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    import numpy as np

    return clustered_mean(np.array(values, dtype=np.float64), cluster_codes(clusters), within=(0.0, 1.0))
