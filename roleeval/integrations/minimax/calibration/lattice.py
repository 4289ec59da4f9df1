"""Which steps the official floats lie on: what that says of the number of chunks and samples behind each.

A session's score is a mean over chunks (and samples) of scores in whole units: with c chunks, s samples averaged and
unit u it is a multiple of u / (c s). A session that lost a chunk lies on the steps of c - 1. Source: spec/minimax.md,
"Judging".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.integrations.minimax.calibration.scores import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_UNITS = (10.0, 5.0, 4.0, 2.5, 2.0, 1.0, 0.5)  # of one chunk's score, points
_WAYS = tuple((unit, chunks, samples) for unit in _UNITS for chunks in range(1, 11) for samples in range(1, 6))
_ENOUGH = 0.95  # share of the values on the steps
_CHANCE = 0.2  # share of evenly spread values that would lie on them
_EXACT = 1e-4  # points
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Origin:
    """A number of chunks and samples and a unit that give the steps found."""

    chunks: int
    samples: int
    unit: float


@dataclass(frozen=True, slots=True)
class Lattice:
    """What was found in one language.

    Attributes:
        values: distinct scores looked at.
        decimals: most decimals that any of them has, up to 6.
        step: points; None where no steps hold 95 % of them better than chance. One of the last decimal's size may be
            nothing but rounding.
        share: of all scores that lie on the steps.
        origins: what gives such steps.
        off: model -> share of its sessions with a score off the steps (a chunk or a sample may be missing there).
    """

    values: int
    decimals: int
    step: float | None
    share: float
    origins: tuple[Origin, ...]
    off: dict[str, float]


def find_lattice(scores: Scores) -> Lattice:
    """The largest steps that hold nearly all official scores: exactly, or else as rounded as they are printed."""
    import numpy as np

    flat = scores.official[~np.isnan(scores.official)]
    distinct = np.unique(flat)
    decimals = next((n for n in range(_DECIMALS) if np.allclose(distinct, np.round(distinct, n), atol=1e-9)), _DECIMALS)
    last = 10.0**-decimals
    for tolerance, least in ((_EXACT, 1.5 * last), (last / 2, 1.5 * last), (_EXACT, 0.0)):
        step = _largest(flat, distinct, tolerance, least=least)
        if step is not None:
            off = {
                model: float(1 - _on(each[~np.isnan(each).any(axis=-1)], step, tolerance).all(axis=-1).mean())
                for model, each in zip(scores.models, scores.official, strict=True)
            }
            share = float(_on(flat, step, tolerance).mean())
            return Lattice(len(distinct), decimals, step, share, _origins(step), off)
    return Lattice(len(distinct), decimals, None, 0.0, (), {})


def _largest(flat: "Floats", distinct: "Floats", tolerance: float, *, least: float) -> float | None:
    """Steps above `least` on which nearly all scores, and most distinct ones, lie within a tolerance."""
    for step in sorted({unit / (c * s) for unit, c, s in _WAYS}, reverse=True):
        if step <= least or 2 * tolerance / step > _CHANCE:
            return None
        # that many sessions have 100 points says nothing: most distinct scores must lie on the steps as well
        if _on(flat, step, tolerance).mean() >= _ENOUGH and _on(distinct, step, tolerance).mean() >= _ENOUGH / 2:
            return step
    return None


def _origins(step: float) -> tuple[Origin, ...]:
    return tuple(Origin(c, s, unit) for unit, c, s in _WAYS if abs(unit / (c * s) - step) < 1e-9)


def _on(values: "Floats", step: float, tolerance: float) -> "NDArray[np.bool_]":
    import numpy as np

    places = values / step
    found: NDArray[np.bool_] = np.abs(places - np.round(places)) * step <= tolerance
    return found
