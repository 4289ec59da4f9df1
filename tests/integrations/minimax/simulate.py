"""Calibrations of synthetic sets with known truth: is the rule recovered, do intervals hold the true correlations?

    python -m tests.integrations.minimax.simulate rules [SETS]       sets whose rule is recovered, by rule
    python -m tests.integrations.minimax.simulate intervals [SETS]   share of 95 % intervals that hold the truth

The figures stand in docs/minimax.md. `rules` takes a minute, `intervals` some fifteen on one core.
"""

import sys
from dataclasses import dataclass

import numpy as np

from roleeval.benchmarks.minimax.scores import CANDIDATES, DIMENSIONS, Rule
from roleeval.integrations.minimax.calibration.agreement import Ranks, rank_agreement
from roleeval.integrations.minimax.calibration.rule import fit_rule
from roleeval.integrations.minimax.calibration.scores import overall_points
from tests.support.minimax_synthetic import World, synthetic_set

WEIGHTS = (45 / 95, 0.5, 0.3)
SETS_A_WORLD = 10
_MANY_SEEDS = 6000  # what stands for all seeds of a kind
KINDS = ("sessions", "within models", "models")


def recovered(rule: Rule, sets: int, *, spread: float = 1.0, seed: int = 0) -> int:
    """How many synthetic sets with this rule a calibration finds it in."""
    rng = np.random.default_rng([seed, CANDIDATES.index(rule)])
    found = 0
    for number in range(sets):
        known = synthetic_set(rng, rule, WEIGHTS[number % len(WEIGHTS)], spread=spread)
        fitted = fit_rule(known.languages, known.published)
        found += fitted is not None and fitted.chosen == rule
    return found


@dataclass(frozen=True)
class Held:
    """Of one kind of correlation: intervals that hold the truth, lie above it, below it; mean width."""

    held: float
    above: float
    below: float
    width: float


def _points(values: np.ndarray, score: str) -> np.ndarray:
    return overall_points(values, "sum") if score == "overall" else values[..., DIMENSIONS.index(score)]


def _correlations(found: Ranks) -> list[float]:
    values = found.sessions.spearman, found.within.spearman, found.models.spearman
    return [float("nan") if value is None else value for value in values]


def truth_of(
    world: World, rng: np.random.Generator, language: str, score: str, *, seeds: int = _MANY_SEEDS
) -> list[float]:
    """The three correlations over so many seeds that noise is gone."""
    official = world.official(rng, world.seeds(rng, language, seeds))
    one, other = _points(official, score), _points(world.ours(rng, official), score)
    return rank_truth(one, other)


def rank_truth(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Of [models, seeds, runs], without intervals."""
    from scipy.stats import spearmanr

    within = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    means = spearmanr(one.mean(axis=(1, 2)), other.mean(axis=(1, 2))).statistic
    return [float(spearmanr(one.ravel(), other.ravel()).statistic), float(np.mean(within)), float(means)]


def intervals(
    score: str, language: str, sets: int, *, noise: float = 10.0, seed: int = 0, seeds: int = _MANY_SEEDS
) -> dict[str, Held]:
    """Of one score in sets of the real size; every SETS_A_WORLD sets have models and a judge of their own."""
    from tests.support.minimax_synthetic import SEEDS

    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[bool, bool, bool, float]]] = {kind: [] for kind in KINDS}
    for number in range(sets):
        if number % SETS_A_WORLD == 0:
            world = World.draw(rng, noise=noise)
            truth = truth_of(world, rng, language, score, seeds=seeds)
        official = world.official(rng, world.seeds(rng, language, SEEDS[language]))
        found = rank_agreement(score, _points(official, score), _points(world.ours(rng, official), score))
        ends = found.sessions.spearman_ci, found.within.spearman_ci, found.models.ci
        for kind, true, end in zip(KINDS, truth, ends, strict=True):
            low, high = end or (float("nan"), float("nan"))
            rows[kind].append(
                (low <= true + 1e-9 and true <= high + 1e-9, low > true + 1e-9, high < true - 1e-9, high - low)
            )
    return {kind: Held(*(float(value) for value in np.mean(each, axis=0))) for kind, each in rows.items()}


def main() -> None:
    kind, *rest = sys.argv[1:] or ["rules"]
    sets = int(rest[0]) if rest else {"rules": 100, "intervals": 400}[kind]
    if kind == "rules":
        for spread in (1.0, 2.0):
            for rule in CANDIDATES:
                print(f"noise x {spread:g}, {rule}: {recovered(rule, sets, spread=spread)} of {sets}", flush=True)
        return
    for score, language in (("overall", "en"), ("interaction", "zh")):
        for noise in (10.0, 25.0):
            for what, held in intervals(score, language, sets, noise=noise).items():
                ends = f"above {held.above:.3f}, below {held.below:.3f}, width {held.width:.3f}"
                print(f"{score}, {language}, judge's noise {noise:g}, {what}: held {held.held:.3f}, {ends}", flush=True)


if __name__ == "__main__":
    main()
