"""Simulated benchmarks with known truth: how often intervals cover it, and how often tests see what is not there.

    python -m tests.stats.simulate      prints the tables of docs/statistics.md (some five minutes on one core)

A role's rows share its difficulty: `icc` is the share of the variance that lies between roles. ROUGE-L of RoleGPT's
answers has 0.09 to 0.12, answer length 0.32 (python -m bench.statistics).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from roleeval.stats import (
    Estimate,
    Outcome,
    bradley_terry,
    clustered_mean,
    conclusion,
    holm,
    mean_of_means,
    paired_difference,
)
from roleeval.stats.bradley_terry import POINTS_PER_LOGIT
from roleeval.stats.paired import ALPHA

ROWS = 50
REPETITIONS = 2000
SIZES = (5, 10, 95)


@dataclass(frozen=True)
class Rates:
    """What became of the repetitions: intervals that cover the truth, lie above it, below it; mean width."""

    covered: float
    above: float
    below: float
    width: float


def rows(
    rng: np.random.Generator, clusters: int, icc: float, *, shape: str = "normal", uneven: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Values with mean 0 (a rate: 0.1) and their clusters; uneven: sizes from a third of ROWS to three times it."""
    sizes = np.full(clusters, ROWS)
    if uneven:
        sizes = np.round(ROWS * 3 ** np.linspace(-1, 1, clusters)).astype(int)
    names = np.repeat(np.arange(clusters), sizes)
    if shape == "rate":
        chances = rng.beta(0.1 * (1 / icc - 1), 0.9 * (1 / icc - 1), size=clusters)
        return (rng.random(len(names)) < chances[names]).astype(float), names
    draw = {"normal": rng.standard_normal, "skewed": lambda n: rng.exponential(size=n) - 1}[shape]
    return draw(clusters)[names] * np.sqrt(icc) + draw(len(names)) * np.sqrt(1 - icc), names


def coverage(estimate: Callable[[], Estimate], truth: float, repetitions: int = REPETITIONS) -> Rates:
    """How intervals of repeated experiments lie about the truth; one without an interval does not cover."""
    ends = np.array([[e.ci_low, e.ci_high] for e in (estimate() for _ in range(repetitions))], dtype=float)
    above, below = ends[:, 0] > truth, ends[:, 1] < truth
    covered = (ends[:, 0] <= truth) & (ends[:, 1] >= truth)
    return Rates(covered.mean(), above.mean(), below.mean(), float(np.nanmean(ends[:, 1] - ends[:, 0])))


def mean_coverage(
    clusters: int,
    icc: float,
    *,
    shape: str = "normal",
    uneven: bool = False,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Rates:
    """Of the plain mean of a run's rows."""
    rng = np.random.default_rng(seed)
    truth = 0.1 if shape == "rate" else 0.0
    return coverage(lambda: clustered_mean(*rows(rng, clusters, icc, shape=shape, uneven=uneven)), truth, repetitions)


def average_coverage(clusters: int, icc: float, *, seed: int = 0) -> Rates:
    """Of a plain mean of three groups over the same roles, as RoleBench's AVG."""
    rng = np.random.default_rng(seed)

    def estimate() -> Estimate:
        shared = rng.standard_normal(clusters) * np.sqrt(icc)
        groups = []
        for _ in range(3):
            values, names = rows(rng, clusters, 0.0)
            groups.append((values * np.sqrt(1 - icc) + shared[names], names))
        return mean_of_means(groups)

    return coverage(estimate, 0.0)


def _pair(rng: np.random.Generator, clusters: int, icc: float, shape: str, models: int) -> list[tuple[np.ndarray, ...]]:
    """A reference and models no different from it: shared difficulty, and each model's own luck with each role."""
    hard, names = rows(rng, clusters, icc, shape=shape)
    reference = hard + rows(rng, clusters, icc, shape=shape)[0]
    return [(reference, hard + rows(rng, clusters, icc, shape=shape)[0], names) for _ in range(models)]


def false_alarms(
    clusters: int, icc: float, *, shape: str = "normal", models: int = 1, repetitions: int = REPETITIONS, seed: int = 0
) -> tuple[float, float]:
    """Share of experiments in which p (Holm) falls to 5 %, and in which some model is called higher or lower."""
    rng = np.random.default_rng(seed)
    by_p = by_word = 0
    for _ in range(repetitions):
        found = [paired_difference([pair]) for pair in _pair(rng, clusters, icc, shape, models)]
        corrected = holm([difference.p for difference in found if difference.p is not None])
        by_p += min(corrected) <= ALPHA
        words = [conclusion(d, p, models) for d, p in zip(found, corrected, strict=True)]
        by_word += any(word in ("higher", "lower") for word in words)
    return by_p / repetitions, by_word / repetitions


def rating_coverage(clusters: int, *, repetitions: int, seed: int = 0) -> Rates:
    """Of the second model's rating, one of three; each role favours a model a little."""
    rng = np.random.default_rng(seed)
    strengths = {"a": 0.0, "b": 0.4, "c": -0.3}

    def estimate() -> Estimate:
        outcomes = []
        for a, b in (("a", "b"), ("a", "c"), ("b", "c")):
            gaps = (strengths[a] - strengths[b] + rng.normal(0, 0.4, size=clusters))[:, None] / 2
            odds = np.exp(np.hstack([gaps, -gaps, np.full_like(gaps, np.log(0.5))]))
            for role, chances in enumerate(odds / odds.sum(axis=1, keepdims=True)):
                winners = rng.choice(["a", "b", "tie"], size=ROWS, p=chances)
                outcomes += [Outcome(str(i), str(role), a, b, winner) for i, winner in enumerate(winners)]
        rating = next(r for r in bradley_terry(outcomes, anchor="a").models if r.model == "b")
        return Estimate(rating.rating, rating.ci_low, rating.ci_high, rating.outcomes, 0, clusters)

    return coverage(estimate, 1000 + 0.4 * POINTS_PER_LOGIT, repetitions)


def main() -> None:
    print(f"Coverage of 95 % intervals, {REPETITIONS} repetitions (one standard error is 0.005)")
    for name, options in {
        "normal, icc 0.1": {"icc": 0.1},
        "normal, icc 0.3": {"icc": 0.3},
        "normal, icc 0.1, uneven roles": {"icc": 0.1, "uneven": True},
        "skewed, icc 0.1": {"icc": 0.1, "shape": "skewed"},
        "skewed, icc 0.1, uneven roles": {"icc": 0.1, "shape": "skewed", "uneven": True},
        "rate of 10 %, icc 0.05": {"icc": 0.05, "shape": "rate"},
        "rate of 10 %, icc 0.3": {"icc": 0.3, "shape": "rate"},
    }.items():
        print(f"{name:<34}", *(f"{mean_coverage(k, **options).covered:.3f}" for k in SIZES), flush=True)  # type: ignore[arg-type]
    print(f"{'mean of three groups, icc 0.1':<34}", *(f"{average_coverage(k, 0.1).covered:.3f}" for k in SIZES))
    print("Ratings, 300 repetitions:", *(f"{rating_coverage(k, repetitions=300).covered:.3f}" for k in SIZES))
    print("False alarms: p (Holm) <= 0.05, and called higher or lower")
    for models in (1, 5):
        for shape in ("normal", "skewed"):
            found = [false_alarms(k, 0.1, shape=shape, models=models) for k in SIZES]
            print(f"{models} models, {shape:<24}", *(f"{p:.3f} / {word:.3f}" for p, word in found), flush=True)


if __name__ == "__main__":
    main()
