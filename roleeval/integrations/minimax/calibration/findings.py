"""Everything a calibration finds: reads the sessions, and puts the steps together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.benchmarks.minimax.scores import CATEGORIES, DIMENSIONS, OVERALL, Rule
from roleeval.errors import DataError
from roleeval.integrations.minimax.calibration.agreement import (
    PairResult,
    Ranks,
    Tuning,
    all_ranks,
    known_pairs,
    tune,
)
from roleeval.integrations.minimax.calibration.lattice import Lattice, find_lattice
from roleeval.integrations.minimax.calibration.noise import Noise, all_noise
from roleeval.integrations.minimax.calibration.rule import Published, RuleResult, fit_rule
from roleeval.integrations.minimax.calibration.scores import Scores, overall_points, read_scores
from roleeval.integrations.minimax.metrics import PREFIX
from roleeval.report import published_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FALLBACK: Rule = "sum"  # where the published numbers decide nothing


@dataclass(frozen=True, slots=True)
class LanguageFindings:
    """One language: its sessions, and everything about them.

    Attributes:
        scores: the sessions.
        lattice: the steps of the official floats.
        noise: of the official scores, by dimension and overall.
        our_noise: of ours; () without a judge.
        ranks: agreement; () without a judge.
        tuning: the scale; None without a judge, or with too few models or seeds.
        pairs: known pairs that are there.
        missing_p: of an even share of missing chunks over models; None where none is missing, or nothing was asked.
    """

    scores: Scores
    lattice: Lattice
    noise: tuple[Noise, ...]
    our_noise: tuple[Noise, ...]
    ranks: tuple[Ranks, ...]
    tuning: Tuning | None
    pairs: tuple[PairResult, ...]
    missing_p: float | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """A calibration.

    Attributes:
        judge: our judge's column; "" without one.
        rule: how categories are made; None where too few models have published numbers.
        used: the rule that overall scores here are by.
        difference: the difference of two models that numbers of sessions are given for, points.
        languages: en and zh, as far as there are sessions.
    """

    judge: str
    rule: RuleResult | None
    used: Rule
    difference: float
    languages: tuple[LanguageFindings, ...]


def read_published(file: Path) -> Published:
    """Category -> model -> points, from a file of published numbers.

    Raises:
        DataError: the file has no column for a category.
    """
    values = published_values(file)
    if absent := [c.name for c in CATEGORIES if f"{PREFIX}/{c.name}" not in values]:
        raise DataError(f"{file}: no column is {PREFIX}/{absent[0]}")
    found = {category.name: values[f"{PREFIX}/{category.name}"] for category in CATEGORIES}
    whole = set.intersection(*(set(models) for models in found.values()))
    return {name: {model: points for model, points in each.items() if model in whole} for name, each in found.items()}


def calibrate(
    paths: Iterable[str | Path],
    *,
    published: Path | None = None,
    judge: str | None = None,
    difference: float = 2.0,
) -> Findings:
    """Calibrates on imported official sessions.

    Args:
        paths: result folders, or folders above them.
        published: a file of published numbers; None: results/published/minimax.yaml.
        judge: beginning of our judge's column; None: the only one there is.
        difference: see Findings.

    Raises:
        ResultError: there are no official sessions, or several judges.
        DataError: the published numbers cannot be read.
    """
    from roleeval.resources import resource

    scores, column = read_scores(list(paths), judge)
    numbers = read_published(published or resource("results/published/minimax.yaml"))
    return find(scores, numbers, judge=column, difference=difference)


def find(scores: Sequence[Scores], published: Published, *, judge: str = "", difference: float = 2.0) -> Findings:
    """Calibrates on scores that have been read; arguments as for `calibrate`."""
    rule = fit_rule(scores, published)
    used = rule.chosen if rule else _FALLBACK
    return Findings(judge, rule, used, difference, tuple(_language(each, used, difference) for each in scores))


def _language(scores: Scores, rule: Rule, difference: float) -> LanguageFindings:
    def noise(points: "Floats") -> tuple[Noise, ...]:
        named = [(name, points[..., place]) for place, name in enumerate(DIMENSIONS)]
        return all_noise([*named, (OVERALL, overall_points(points, rule))], difference=difference)

    judged = scores.judged()
    return LanguageFindings(
        scores=scores,
        lattice=find_lattice(scores),
        noise=noise(scores.official),
        our_noise=() if judged is None or judged.ours is None else noise(judged.ours),
        ranks=() if judged is None else all_ranks(judged, rule),
        tuning=None if judged is None else tune(judged, rule),
        pairs=known_pairs(scores, rule),
        missing_p=_missing_p(scores),
    )


def _missing_p(scores: Scores) -> float | None:
    """A chi-squared test of equal shares."""
    from scipy.stats import chi2_contingency

    asked = [each for each in scores.asked.values() if each.planned]
    missing = [each.missing for each in asked]
    if len(asked) < 2 or not 0 < sum(missing) < sum(each.planned for each in asked):
        return None
    table = [missing, [each.planned - each.missing for each in asked]]
    return float(chi2_contingency(table).pvalue)
