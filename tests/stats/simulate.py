"""Simulated benchmarks with known truth: how often intervals cover it, and how often tests see what is not there.

    python -m tests.stats.simulate      prints the tables of docs/statistics.md (some ten minutes on one core)

A role's rows share its difficulty: `icc` is the share of the variance that lies between roles. ROUGE-L of RoleGPT's
answers has 0.09 to 0.12, answer length 0.32 (python -m bench.statistics).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from roleeval.stats import (
    OPEN,
    Estimate,
    Outcome,
    Range,
    alpha_interval,
    bradley_terry,
    clustered_mean,
    conclusion,
    detectable,
    holm,
    mean_of_means,
    paired_difference,
    rank_correlation,
)
from roleeval.stats.bradley_terry import POINTS_PER_LOGIT
from roleeval.stats.paired import ALPHA

ROWS = 50
REPETITIONS = 1000
# Of 95 roles, and of false alarms among five models: these take longest.
FEWER = 400
SIZES = (5, 10, 25, 95)
FRACTION: Range = (0.0, 1.0)

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Rates:
    """What became of the repetitions: intervals that cover the truth, lie above it, below it; mean width."""

    covered: float
    above: float
    below: float
    width: float


def sizes_of(clusters: int, *, uneven: bool = False) -> np.ndarray:
    """Rows of each role; uneven: from a third of ROWS to three times it."""
    if uneven:
        return np.round(ROWS * 3 ** np.linspace(-1, 1, clusters)).astype(int)
    return np.full(clusters, ROWS)


def rows(rng: np.random.Generator, clusters: int, icc: float, *, shape: str = "normal", uneven: bool = False) -> Rows:
    """Values with mean 0 and their clusters."""
    names = np.repeat(np.arange(clusters), sizes_of(clusters, uneven=uneven))
    draw = {"normal": rng.standard_normal, "skewed": lambda n: rng.exponential(size=n) - 1}[shape]
    return draw(clusters)[names] * np.sqrt(icc) + draw(len(names)) * np.sqrt(1 - icc), names


def events(rng: np.random.Generator, clusters: int, rate: float, icc: float, *, uneven: bool = False) -> Rows:
    """Zeros and ones with this rate, each role having a rate of its own."""
    names = np.repeat(np.arange(clusters), sizes_of(clusters, uneven=uneven))
    chances = rng.beta(rate * (1 / icc - 1), (1 - rate) * (1 / icc - 1), size=clusters)
    return (rng.random(len(names)) < chances[names]).astype(float), names


def overlaps(rng: np.random.Generator, clusters: int) -> Rows:
    """Like ROUGE-L: fractions with mean 0.2, skewed within and between roles."""
    names = np.repeat(np.arange(clusters), ROWS)
    middles = rng.beta(0.2 * 40, 0.8 * 40, size=clusters)[names]
    return rng.beta(middles * 6, (1 - middles) * 6), names


def mostly_zero(rng: np.random.Generator, clusters: int) -> Rows:
    """Fractions that are 0 in 95 of 100 rows, their share differing by role; mean 0.025."""
    hit, names = events(rng, clusters, 0.05, 0.1)
    return hit * rng.random(len(hit)), names


def points(rng: np.random.Generator, clusters: int) -> Rows:
    """A judge's points from 1 to 5, most of them 5; mean 4.6."""
    low, names = events(rng, clusters, 0.2, 0.15)
    return 5.0 - low * rng.integers(1, 4, size=len(low)), names


def coverage(estimate: Callable[[], Estimate], truth: float, repetitions: int = REPETITIONS) -> Rates:
    """How intervals of repeated experiments lie about the truth; one without an interval does not cover."""
    ends = np.array([[e.ci_low, e.ci_high] for e in (estimate() for _ in range(repetitions))], dtype=float)
    above, below = ends[:, 0] > truth, ends[:, 1] < truth
    covered = (ends[:, 0] <= truth) & (ends[:, 1] >= truth)
    return Rates(covered.mean(), above.mean(), below.mean(), float(np.nanmean(ends[:, 1] - ends[:, 0])))


def mean_coverage(
    draw: Callable[[np.random.Generator], Rows],
    truth: float,
    *,
    within: Range = OPEN,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> Rates:
    """Of the plain mean of a run's rows."""
    rng = np.random.default_rng(seed)
    return coverage(lambda: clustered_mean(*draw(rng), within=within), truth, repetitions)


def average_coverage(clusters: int, icc: float, *, repetitions: int = REPETITIONS, seed: int = 0) -> Rates:
    """Of a plain mean of three groups over the same roles, as RoleBench's AVG."""
    rng = np.random.default_rng(seed)

    def estimate() -> Estimate:
        shared = rng.standard_normal(clusters) * np.sqrt(icc)
        groups = []
        for _ in range(3):
            values, names = rows(rng, clusters, 0.0)
            groups.append((values * np.sqrt(1 - icc) + shared[names], names))
        return mean_of_means(groups)

    return coverage(estimate, 0.0, repetitions)


def average_rate_coverage(clusters: int, rate: float, *, repetitions: int = REPETITIONS, seed: int = 0) -> Rates:
    """The same of a rate: half, one and one and a half times `rate` in three groups of which one is smaller."""
    rng = np.random.default_rng(seed)

    def estimate() -> Estimate:
        chances = rng.beta(rate * 9, (1 - rate) * 9, size=clusters)
        groups = []
        for share, count in ((0.5, 50), (1.0, 50), (1.5, 10)):
            names = np.repeat(np.arange(clusters), count)
            groups.append(((rng.random(len(names)) < np.minimum(1, share * chances[names])).astype(float), names))
        return mean_of_means(groups, within=FRACTION)

    return coverage(estimate, rate, repetitions)


def difference_coverage(clusters: int, rate: float, icc: float, *, repetitions: int = REPETITIONS) -> Rates:
    """Of the difference of two models' rates, which are equal on average and share half of each role's events."""
    rng = np.random.default_rng(0)

    def estimate() -> Estimate:
        shared, names = events(rng, clusters, rate, icc)
        others = [np.where(rng.random(len(names)) < 0.5, shared, events(rng, clusters, rate, icc)[0]) for _ in range(2)]
        return paired_difference([(others[0], others[1], names)], within=FRACTION).estimate

    return coverage(estimate, 0.0, repetitions)


DIFFERENCES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, k: rng.normal(size=k),
    "skewed (exponential)": lambda rng, k: rng.exponential(size=k) - 1,
    "skewed, with noise": lambda rng, k: rng.exponential(size=k) - 1 + rng.normal(size=k) / 2,
    "very skewed (log-normal)": lambda rng, k: rng.lognormal(0, 1, size=k) - np.exp(0.5),
    "heavy tails (t, 3 df)": lambda rng, k: rng.standard_t(3, size=k),
    "one role in ten differs": lambda rng, k: (rng.random(k) < 0.1) - 0.1 + rng.normal(size=k) / 20,
}


def false_alarms(
    clusters: int, shape: str, *, models: int = 1, repetitions: int = REPETITIONS, seed: int = 0
) -> tuple[float, float]:
    """Share of experiments in which p (Holm) falls to 5 %, and in which some model is called higher or lower.

    Roles' differences have mean 0; nothing else is known of them: rows only add noise that makes them more normal.
    """
    rng = np.random.default_rng(seed)
    by_p = by_word = 0
    names, nothing = np.arange(clusters), np.zeros(clusters)
    for _ in range(repetitions):
        drawn = [DIFFERENCES[shape](rng, clusters) for _ in range(models)]
        found = [paired_difference([(nothing, values, names)]) for values in drawn]
        corrected = holm([difference.p for difference in found if difference.p is not None])
        by_p += min(corrected) <= ALPHA
        words = [conclusion(d, p, models) for d, p in zip(found, corrected, strict=True)]
        by_word += any(word in ("higher", "lower") for word in words)
    return by_p / repetitions, by_word / repetitions


def power(clusters: int, models: int, *, repetitions: int = FEWER, seed: int = 0) -> float | None:
    """How often a difference as large as "detectable" says is found at the level of Holm's first step."""
    rng = np.random.default_rng(seed)
    names, nothing = np.arange(clusters), np.zeros(clusters)
    noises = rng.normal(size=(repetitions, clusters))
    sizes = [detectable(paired_difference([(nothing, noise, names)]), models) for noise in noises[:50]]
    if None in sizes:
        return None
    size = np.mean([each for each in sizes if each is not None])
    found = [paired_difference([(nothing, noise + size, names)]) for noise in noises]
    words = [conclusion(d, min(1.0, (d.p or 0.0) * models), models) for d in found]
    return words.count("higher") / repetitions


def coefficient_coverage(clusters: int, rho: float, *, repetitions: int = FEWER) -> dict[str, float]:
    """Of Spearman, Kendall and alpha of two normal raters with this correlation; ten items a role, icc 0.2."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(np.array([[1.0, rho], [rho, 1.0]]))
    names = np.repeat(np.arange(clusters), 10)
    truth = {"Spearman": 6 / np.pi * np.arcsin(rho / 2), "Kendall": 2 / np.pi * np.arcsin(rho), "alpha": rho}
    covered = dict.fromkeys(truth, 0)
    for _ in range(repetitions):
        drawn = np.sqrt(0.2) * rng.normal(size=(clusters, 2))[names] + np.sqrt(0.8) * rng.normal(size=(len(names), 2))
        ratings = (drawn @ root.T).T
        ranks = rank_correlation(ratings[0], ratings[1], names)
        ends = {"Spearman": ranks.spearman_ci, "Kendall": ranks.kendall_ci}
        ends["alpha"] = alpha_interval(ratings, names, scale="interval")
        for name, found in ends.items():
            covered[name] += found is not None and found[0] <= truth[name] <= found[1]
    return {name: count / repetitions for name, count in covered.items()}


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


def _line(name: str, found: Callable[[int], str]) -> None:
    print(f"| {name} | {' | '.join(found(size) for size in SIZES)} |", flush=True)


def _covered(found: Rates) -> str:
    return f"{found.covered:.3f}".removeprefix("0") + f" ({found.width:.3f})".replace("(0.", "(.")


def _times(clusters: int) -> int:
    return FEWER if clusters > 50 else REPETITIONS


def _mean(clusters: int, draw: Callable[[np.random.Generator], Rows], truth: float, within: Range = OPEN) -> str:
    return _covered(mean_coverage(draw, truth, within=within, repetitions=_times(clusters)))


def print_rates() -> None:
    print(f"Rates: coverage (mean width), {REPETITIONS} repetitions ({FEWER} of 95 roles); roles", *SIZES)
    for rate in (0.01, 0.05, 0.2):
        for icc in (0.02, 0.1, 0.3):

            def found(k: int, rate: float = rate, icc: float = icc) -> str:
                return _mean(k, lambda rng: events(rng, k, rate, icc), rate, FRACTION)

            _line(f"{rate:.0%}, icc {icc}".replace("%", " %"), found)
    _line(
        "5 %, icc 0.1, roles of uneven size",
        lambda k: _mean(k, lambda rng: events(rng, k, 0.05, 0.1, uneven=True), 0.05, FRACTION),
    )
    _line(
        "mean of three groups, 5 %, icc 0.1", lambda k: _covered(average_rate_coverage(k, 0.05, repetitions=_times(k)))
    )
    _line(
        "difference of two rates of 5 %, icc 0.1",
        lambda k: _covered(difference_coverage(k, 0.05, 0.1, repetitions=_times(k))),
    )
    _line(
        "difference of two rates of 20 %, icc 0.3",
        lambda k: _covered(difference_coverage(k, 0.2, 0.3, repetitions=_times(k))),
    )


def print_means() -> None:
    print(f"Other metrics: coverage (mean width), {REPETITIONS} repetitions ({FEWER} of 95 roles); roles", *SIZES)
    for shape in ("normal", "skewed"):
        for icc, uneven in ((0.1, False), (0.3, False), (0.1, True)):

            def found(k: int, shape: str = shape, icc: float = icc, uneven: bool = uneven) -> str:
                return _mean(k, lambda rng: rows(rng, k, icc, shape=shape, uneven=uneven), 0.0)

            _line(f"{shape}, icc {icc}{', uneven roles' if uneven else ''}", found)
    _line("like ROUGE-L", lambda k: _mean(k, lambda rng: overlaps(rng, k), 0.2, FRACTION))
    _line("mostly zero", lambda k: _mean(k, lambda rng: mostly_zero(rng, k), 0.025, FRACTION))
    _line("points, most 5", lambda k: _mean(k, lambda rng: points(rng, k), 4.6, (1.0, 5.0)))
    _line("mean of three groups, icc 0.1", lambda k: _covered(average_coverage(k, 0.1, repetitions=_times(k))))


def print_tests() -> None:
    print("False alarms: p (Holm) <= 0.05, and called higher or lower; roles", *SIZES)
    for models in (1, 5):
        for shape in DIFFERENCES:

            def alarms(k: int, shape: str = shape, models: int = models) -> str:
                found = false_alarms(k, shape, models=models, repetitions=_times(k) if models == 1 else FEWER)
                return " / ".join(f"{share:.3f}".removeprefix("0") for share in found)

            _line(f"{models}, {shape}", alarms)
    print("Power at the size called detectable (normal differences); roles", 8, *SIZES[1:])
    for models in (1, 5, 10):
        found = [power(k, models) for k in (8, *SIZES[1:])]
        print(f"| {models} |", *(f"{'none' if each is None else f'{each:.2f}'} |" for each in found), flush=True)


def print_others() -> None:
    print("Coefficients: Spearman, Kendall, alpha; 400 repetitions (200); roles", *SIZES)
    for rho in (0.0, 0.5, 0.9):

        def found(k: int, rho: float = rho) -> str:
            return " / ".join(
                f"{share:.3f}".removeprefix("0")
                for share in coefficient_coverage(k, rho, repetitions=FEWER // 2 if k > 50 else FEWER).values()
            )

        _line(f"rho {rho}", found)
    _line("Rating, 300 repetitions (100)", lambda k: _covered(rating_coverage(k, repetitions=100 if k > 50 else 300)))


TABLES = {"rates": print_rates, "means": print_means, "tests": print_tests, "others": print_others}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or TABLES:
        TABLES[chosen]()
