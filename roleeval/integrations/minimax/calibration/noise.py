"""How much scores vary without any difference between models, and how many sessions a difference takes.

Two models are compared seed by seed. Of one seed's difference, runs bring 2 v_run / runs of the variance and the
combination of model and seed 2 v_pair; what a seed does to all models alike cancels. Source: Searle, Casella &
McCulloch (1992), Variance Components, chapter 4 (stats/variance.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.benchmarks.minimax.data import RUN_IDS
from roleeval.stats import variance_split
from roleeval.stats.bootstrap import t_quantile
from roleeval.stats.paired import ALPHA, POWER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST = 1_000_000
RUN_COUNTS = (1, len(RUN_IDS))


@dataclass(frozen=True, slots=True)
class Noise:
    """Of one score in one language; standard deviations in points, None where the design cannot tell.

    Attributes:
        score: dimension, or "overall".
        runs: of a session about the mean of its model's runs of the same seed.
        pairs: of the combination of model and seed.
        seeds: of seeds, over all models alike.
        models: of the models' means.
        detectable: the true difference of two models that these seeds and runs find four times out of five, points.
        needed: runs a seed -> paired seeds that find the stated difference likewise; None beyond a million.
    """

    score: str
    runs: float | None
    pairs: float | None
    seeds: float | None
    models: float | None
    detectable: float | None
    needed: dict[int, int | None]


def measure_noise(name: str, points: "Floats", *, difference: float) -> Noise:
    """Takes the variance of a score apart.

    Args:
        name: of the score.
        points: [models, seeds, runs].
        difference: the difference of two models that is asked for, points.
    """
    import numpy as np

    whole = ~np.isnan(points).any(axis=(0, 2))
    kept = points[:, whole]
    models, seeds, runs = kept.shape
    if seeds < 2 or models < 2:
        return Noise(name, None, None, None, None, None, dict.fromkeys(RUN_COUNTS))
    # seeds are crossed with models; runs are repeats within both
    split = variance_split(np.moveaxis(kept, 0, 1))
    assert split is not None and split.answers is not None
    of_runs = split.repeats or 0.0
    needed = {count: _needed(split.answers, of_runs / count, difference) for count in RUN_COUNTS}
    error = math.sqrt(2 * (split.answers + of_runs / runs) / seeds)
    return Noise(
        score=name,
        runs=None if split.repeats is None else math.sqrt(of_runs),
        pairs=math.sqrt(split.answers),
        seeds=math.sqrt(split.samples),
        models=float(kept.mean(axis=(1, 2)).std(ddof=1)),
        detectable=_errors(seeds) * error,
        needed=needed,
    )


def _needed(of_pairs: float, of_runs: float, difference: float) -> int | None:
    """Seeds, the fewest for which the difference is as many standard errors as a test needs."""
    variance = 2 * (of_pairs + of_runs)
    low, high = 2, _MOST
    if _errors(high) * math.sqrt(variance / high) > difference:
        return None
    while low < high:
        middle = (low + high) // 2
        if _errors(middle) * math.sqrt(variance / middle) <= difference:
            high = middle
        else:
            low = middle + 1
    return low


def _errors(seeds: int) -> float:
    """Standard errors that a difference must have to be found with the usual power (Bloom 1995; see stats.paired)."""
    return t_quantile(1 - ALPHA / 2, seeds) + t_quantile(POWER, seeds)


def all_noise(values: "Sequence[tuple[str, Floats]]", *, difference: float) -> tuple[Noise, ...]:
    """Of several scores: (name, [models, seeds, runs])."""
    return tuple(measure_noise(name, points, difference=difference) for name, points in values)
