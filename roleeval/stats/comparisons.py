"""Pairwise verdicts: from what a judge said in each order to win rates, flips and first-slot rates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from roleeval.stats.bootstrap import Estimate, clustered_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Winner = Literal["a", "b", "tie"]
_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}


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
    """How one item ended between two models, all its verdicts considered; model_a is first in the alphabet."""

    item: str
    cluster: str
    model_a: str
    model_b: str
    winner: Winner

    def points(self, model: str) -> float:
        """1 for a win of this model, 0.5 for a tie, 0 for a loss."""
        points = _POINTS[self.winner]
        return points if model == self.model_a else 1 - points


def settle(verdicts: Iterable[Verdict]) -> list[Outcome]:
    """One outcome per item and pair: where the two orders disagree it is a tie.

    An order judged several times counts as its majority. An item judged in one order only is left out: its outcome
    would carry the judge's preference for a slot.
    """
    outcomes = []
    for (item, cluster, a, b), (first, second) in _by_order(verdicts).items():
        if first and second:
            winner = _majority(first)
            outcomes.append(Outcome(item, cluster, a, b, winner if winner == _majority(second) else "tie"))
    return outcomes


def _by_order(verdicts: Iterable[Verdict]) -> dict[tuple[str, str, str, str], tuple[list[float], list[float]]]:
    """(item, cluster, a, b) -> a's points where a was shown first, and where b was; a is first in the alphabet."""
    found: dict[tuple[str, str, str, str], tuple[list[float], list[float]]] = {}
    for v in verdicts:
        turned = v.model_a > v.model_b
        a, b = (v.model_b, v.model_a) if turned else (v.model_a, v.model_b)
        points = 1 - _POINTS[v.winner] if turned else _POINTS[v.winner]
        a_first = (v.first_slot == "a") != turned
        found.setdefault((v.item, v.cluster, a, b), ([], []))[0 if a_first else 1].append(points)
    return found


def _majority(points: Sequence[float]) -> Winner:
    lead = sum(points) - len(points) / 2
    return "a" if lead > 0 else "b" if lead < 0 else "tie"


def win_rate(outcomes: Sequence[Outcome], model: str, *, against: str | None = None) -> Estimate:
    """Share of wins, a tie counting half.

    Args:
        outcomes: from `settle`.
        model: whose wins.
        against: one opponent; None: every outcome the model is in.
    """
    mine = [o for o in outcomes if model in (o.model_a, o.model_b) and against in (None, o.model_a, o.model_b)]
    return _clustered([o.points(model) for o in mine], [o.cluster for o in mine])


def flip_rate(verdicts: Iterable[Verdict]) -> Estimate:
    """Share of item and pair, judged in both orders, whose orders name different winners; a tie names none."""
    orders = [(key[1], _majority(a), _majority(b)) for key, (a, b) in _by_order(verdicts).items() if a and b]
    flips = [float({first, second} == {"a", "b"}) for _, first, second in orders]
    return _clustered(flips, [cluster for cluster, _, _ in orders])


def first_slot_rate(verdicts: Sequence[Verdict]) -> Estimate:
    """Share of verdicts for the answer shown first, ties counting half; 0.5 where both orders are judged and fair."""
    points = [0.5 if v.winner == "tie" else float(v.winner == v.first_slot) for v in verdicts]
    return _clustered(points, [v.cluster for v in verdicts])


def _clustered(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    import numpy as np

    return clustered_mean(np.array(values, dtype=np.float64), cluster_codes(clusters))


def cluster_codes(names: Sequence[str]) -> "NDArray[np.intp]":
    """[rows]: each row's cluster as a number."""
    import numpy as np

    return np.unique(np.array(names, dtype=str), return_inverse=True)[1].astype(np.intp)
