"""Synthetic official sessions with a known rule, a known judge and known noise, at the real set's size.

A session has six dimensions of five chunks, whole points each; what a model loses differs by model, seed, their
combination and run, and grows with the chunk. Noise is such that 80 to 115 paired sessions find a difference of 2
points in the overall score; on the real set 30 to 95 do (spec/minimax.md). Our judge sees what was lost with an error
of its own: a slope, a bias for each model and noise for each session. Published numbers come from other sessions on
the same seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roleeval.benchmarks.minimax.scores import CATEGORIES, DIMENSIONS, Rule, combine
from roleeval.integrations.minimax.calibration.rule import Published
from roleeval.integrations.minimax.calibration.scores import Scores

SEEDS: Mapping[str, int] = {"en": 45, "zh": 50}
MODELS, RUNS, CHUNKS = 11, 3, 5
# Spread of what is lost, on the scale of logarithms: model and seed together, runs; and the chunks' shape (gamma).
_PAIRS, _RUNS, _SHAPE = 0.08, 0.12, 8.0
NAMES = tuple(f"model-{letter}" for letter in "abcdefghijk")
_LOST = np.array([12.0, 14.0, 10.0, 16.0, 12.0, 9.0])  # points a dimension of a middling model's session


@dataclass(frozen=True)
class World:
    """A set of models, in each language, and a judge.

    Attributes:
        lost: language -> [models, dimensions], points lost on average.
        bias: [models, dimensions] of our judge, points.
        noise: of our judge on one session, points.
        slope: how many points our judge takes where the official one takes one.
        spread: how many times noisier sessions are than on the real set.
    """

    lost: Mapping[str, np.ndarray]
    bias: np.ndarray
    noise: float
    slope: float
    spread: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, *, noise: float = 10.0, bias: float = 2.0, spread: float = 1.0) -> "World":
        """Models as far apart as the published ones, whose Worlds are 80 to 30; languages rank them otherwise."""
        general = np.linspace(0.55, 1.95, MODELS)[:, None]
        own = {language: np.exp(rng.normal(0, 0.2, (MODELS, len(DIMENSIONS)))) for language in SEEDS}
        lost = {language: np.minimum(_LOST * general * each, 45.0) for language, each in own.items()}
        return cls(lost, rng.normal(0, bias, (MODELS, len(DIMENSIONS))), noise, 0.7, spread)

    def seeds(self, rng: np.random.Generator, language: str, count: int) -> np.ndarray:
        """New seeds: what each model loses on each of them, [models, seeds, dimensions], points."""
        of_seed = np.exp(rng.normal(0, 0.3, (1, count, 1)) + rng.normal(0, 0.2, (1, count, len(DIMENSIONS))))
        of_pair = np.exp(rng.normal(0, _PAIRS * self.spread, (MODELS, count, len(DIMENSIONS))))
        return self.lost[language][:, None, :] * of_seed * of_pair

    def official(self, rng: np.random.Generator, seeds: np.ndarray) -> np.ndarray:
        """Scores of new sessions, [models, seeds, runs, dimensions], points: means of whole points."""
        of_run = rng.normal(0, _RUNS * self.spread, (*seeds.shape[:2], RUNS, len(DIMENSIONS)))
        mean = seeds[:, :, None, :] * np.exp(of_run)
        growth = np.linspace(0.6, 1.4, CHUNKS)[:, None]
        shape = _SHAPE / self.spread**2
        chunks = np.round(100 - rng.gamma(shape, mean[..., None, :] * growth / shape)).clip(0, 100)
        return chunks.mean(axis=3)

    def ours(self, rng: np.random.Generator, official: np.ndarray) -> np.ndarray:
        """What our judge says of the same sessions."""
        seen = self.slope * (100 - official) + self.bias[:, None, None, :]
        return (100 - np.maximum(seen + rng.normal(0, self.noise, seen.shape), 0.0)).clip(0, 100)

    def published(
        self, rng: np.random.Generator, seeds: Mapping[str, np.ndarray], rule: Rule, weight: float
    ) -> dict[str, np.ndarray]:
        """Category -> [models], of other sessions on the same seeds; `weight` is of English. Rounded as printed."""
        found = {category.name: np.zeros(MODELS) for category in CATEGORIES}
        for language, share in (("en", weight), ("zh", 1 - weight)):
            official = self.official(rng, seeds[language])
            for category in CATEGORIES:
                places = [DIMENSIONS.index(name) for name in category.dimensions]
                points = combine(official[..., places], rule).mean(axis=(1, 2))
                found[category.name] = found[category.name] + share * points
        return {name: np.round(values, 2) for name, values in found.items()}


@dataclass(frozen=True)
class Known:
    """A synthetic set, and what is true of it."""

    world: World
    rule: Rule
    weight: float
    languages: tuple[Scores, ...]
    published: Published


def synthetic_set(
    rng: np.random.Generator, rule: Rule, weight: float, *, noise: float = 10.0, spread: float = 1.0
) -> Known:
    """Official scores, ours and published numbers, at the real set's size."""
    world = World.draw(rng, noise=noise, spread=spread)
    seeds = {language: world.seeds(rng, language, count) for language, count in SEEDS.items()}
    languages = tuple(scores_of(world, rng, language, of) for language, of in seeds.items())
    printed = world.published(rng, seeds, rule, weight)
    published = {name: dict(zip(NAMES, map(float, values), strict=True)) for name, values in printed.items()}
    return Known(world, rule, weight, languages, published)


def scores_of(world: World, rng: np.random.Generator, language: str, seeds: np.ndarray) -> Scores:
    """New sessions of a language as a calibration reads them."""
    official = world.official(rng, seeds)
    names = tuple(f"{language}_dialogue_{number:03d}" for number in range(1, seeds.shape[1] + 1))
    return Scores(language, NAMES, names, official, world.ours(rng, official))
