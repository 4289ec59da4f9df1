"""Splits the variance of a score between samples, seeds and the judge's repeats: shows which of them to increase."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """Variance components of one value; None where the design cannot tell one from another.

    Attributes:
        samples: between samples: some are hard.
        seeds: between seeds: a whole run is lucky. None with one seed.
        answers: one sample's answer differs from seed to seed. None with one seed (then part of `samples`).
        repeats: the judge says something else when asked again. None with one repeat (then part of `answers`, or with
            one seed as well, of `samples`).
        used: samples with every value.
        dropped: samples left out because a value is missing.
    """

    samples: float
    seeds: float | None
    answers: float | None
    repeats: float | None
    used: int
    dropped: int


def variance_split(values: "Floats") -> VarianceSplit | None:
    """Splits the variance by the method of moments; components that come out negative are 0.

    Args:
        values: [samples, seeds, repeats], NaN where missing; samples and seeds are crossed, repeats are within both.

    Returns:
        None with fewer than two samples that have every value.

    Source: Searle, Casella & McCulloch (1992), Variance Components, chapter 4: the balanced two-way crossed
        classification with interaction, random effects.
    """
    import numpy as np

    whole = ~np.isnan(values).any(axis=(1, 2))
    kept = values[whole]
    used, seeds, repeats = kept.shape
    if used < 2:
        return None
    cells, by_sample, by_seed, mean = kept.mean(axis=2), kept.mean(axis=(1, 2)), kept.mean(axis=(0, 2)), kept.mean()
    of_repeats = ((kept - cells[:, :, None]) ** 2).sum() / (used * seeds * (repeats - 1)) if repeats > 1 else 0.0
    of_samples = seeds * repeats * ((by_sample - mean) ** 2).sum() / (used - 1)
    of_answers, of_seeds = of_repeats, 0.0
    if seeds > 1:
        rest = cells - by_sample[:, None] - by_seed[None, :] + mean
        of_answers = repeats * (rest**2).sum() / ((used - 1) * (seeds - 1))
        of_seeds = used * repeats * ((by_seed - mean) ** 2).sum() / (seeds - 1)
    return VarianceSplit(
        samples=_component(of_samples - of_answers, seeds * repeats),
        seeds=_component(of_seeds - of_answers, used * repeats) if seeds > 1 else None,
        answers=_component(of_answers - of_repeats, repeats) if seeds > 1 else None,
        repeats=float(of_repeats) if repeats > 1 else None,
        used=used,
        dropped=len(values) - used,
    )


def _component(difference: float, times: int) -> float:
    return max(0.0, float(difference)) / times
