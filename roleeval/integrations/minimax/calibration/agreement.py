"""How far a judge of ours agrees with the official scores: ranks, a scale tuned on 60 % of the seeds, known pairs.

Source: spec/minimax.md, "Judging" (the calibration).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.benchmarks.minimax.calibration import Line
from roleeval.benchmarks.minimax.scores import DIMENSIONS, OVERALL, Rule
from roleeval.integrations.minimax.calibration.rule import same_name
from roleeval.integrations.minimax.calibration.scores import Scores, overall_points
from roleeval.stats import Difference, GroupRanks, RankCorrelation, conclusion, group_rank_correlation, rank_correlation
from roleeval.stats import paired_difference as paired

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The first is better than the second in MiniMax's own table. Source: spec/minimax.md.
KNOWN_PAIRS = (("claude-opus-4.5 (high)", "claude-opus-4.5 (low)"), ("deepseek-v3.1", "deepseek-v3.2"))
TUNED = 0.6  # share of the seeds that a scale is tuned on
_SPLIT_SEED = 20_261_101


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank correlations of one score, with 95 % intervals over seeds.

    Attributes:
        score: dimension, or "overall".
        sessions: over all sessions.
        within: mean over models of that within each model.
        models: of the models' means.
    """

    score: str
    sessions: RankCorrelation
    within: RankCorrelation
    models: GroupRanks


@dataclass(frozen=True, slots=True)
class Check:
    """How far predicted models' means lie from the official ones, points: root mean square, and the worst model."""

    rms: float
    worst: float
    worst_model: str


@dataclass(frozen=True, slots=True)
class Tuning:
    """A scale tuned on some seeds or models and tested on the others; of the overall score.

    Attributes:
        tuned_seeds, tested_seeds: how many.
        as_judged: our scores as they are, on the tested seeds.
        tuned: with the lines, on the tested seeds.
        ranks: of the tuned overall score on the tested seeds.
        left_out: every model predicted by lines of the other models' means, over all seeds.
        lines: dimension -> line, tuned on all seeds and models: what a later run may use.
    """

    tuned_seeds: int
    tested_seeds: int
    as_judged: Check
    tuned: Check
    ranks: GroupRanks
    left_out: Check
    lines: Mapping[str, Line]


@dataclass(frozen=True, slots=True)
class PairResult:
    """A known pair: the first's overall score minus the second's by seed, and what may be said of it."""

    better: str
    worse: str
    source: str
    difference: Difference
    conclusion: str

    @property
    def in_order(self) -> bool | None:
        """None where there is no difference to speak of."""
        mean = self.difference.estimate.mean
        return None if mean is None else mean > 0


def all_ranks(scores: Scores, rule: Rule) -> tuple[Ranks, ...]:
    """Of every dimension and of the overall score by the rule."""
    assert scores.ours is not None
    named = [(name, scores.official[..., place], scores.ours[..., place]) for place, name in enumerate(DIMENSIONS)]
    named.append((OVERALL, overall_points(scores.official, rule), overall_points(scores.ours, rule)))
    return tuple(rank_agreement(name, official, ours) for name, official, ours in named)


def rank_agreement(name: str, official: "Floats", ours: "Floats") -> Ranks:
    """Of [models, seeds, runs]; a session counts where both have scored it."""
    import numpy as np

    models, seeds, _ = official.shape
    of_seed = np.broadcast_to(np.arange(seeds)[None, :, None], official.shape).ravel()
    of_model = np.broadcast_to(np.arange(models)[:, None, None], official.shape).ravel()
    one, other = official.ravel(), ours.ravel()
    return Ranks(
        score=name,
        sessions=rank_correlation(one, other, of_seed, kendall=False, skewed=True),
        within=rank_correlation(one, other, of_seed, strata=of_model, kendall=False, skewed=True),
        models=group_rank_correlation(*_shared_means(official, ours, axis=2)),
    )


def _shared_means(one: "Floats", other: "Floats", *, axis: int | tuple[int, ...]) -> "tuple[Floats, Floats]":
    """Means over what both have; NaN where they share nothing."""
    import numpy as np

    there = ~np.isnan(one) & ~np.isnan(other)
    counts = there.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [np.where(there, each, 0.0).sum(axis=axis) / counts for each in (one, other)]
    return found[0], found[1]


def tune(scores: Scores, rule: Rule) -> Tuning | None:
    """Tunes and tests a scale; None with fewer than three models or five seeds."""
    import numpy as np

    if scores.ours is None or len(scores.models) < 3 or len(scores.seeds) < 5:
        return None
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(scores.seeds))
    cut = round(TUNED * len(order))
    tuned, tested = np.sort(order[:cut]), np.sort(order[cut:])
    lines = _lines(scores.official[:, tuned], scores.ours[:, tuned])
    official, ours = scores.official[:, tested], scores.ours[:, tested]
    scaled = _scaled(ours, lines)
    points, ours_points = overall_points(official, rule), overall_points(scaled, rule)
    return Tuning(
        tuned_seeds=len(tuned),
        tested_seeds=len(tested),
        as_judged=_check(points, overall_points(ours, rule), scores.models),
        tuned=_check(points, ours_points, scores.models),
        ranks=group_rank_correlation(*_shared_means(points, ours_points, axis=2)),
        left_out=_left_out(scores, rule),
        lines=_lines(scores.official, scores.ours),
    )


def _lines(official: "Floats", ours: "Floats") -> dict[str, Line]:
    """Least squares on the models' means, dimension by dimension."""
    import numpy as np

    one, other = _shared_means(official, ours, axis=(1, 2))  # [models, dimensions]
    found = {}
    for place, name in enumerate(DIMENSIONS):
        there = ~np.isnan(one[:, place]) & ~np.isnan(other[:, place])
        y, x = one[there, place], other[there, place]
        apart = x - x.mean()
        varies = bool((apart**2).sum() > 1e-12)
        slope = float((apart * y).sum() / (apart**2).sum()) if varies else 0.0
        found[name] = Line(float(y.mean() - slope * x.mean()), slope)
    return found


def _scaled(ours: "Floats", lines: Mapping[str, Line]) -> "Floats":
    import numpy as np

    intercepts = np.array([lines[name].intercept for name in DIMENSIONS])
    slopes = np.array([lines[name].slope for name in DIMENSIONS])
    found: Floats = np.clip(intercepts + slopes * ours, 0.0, 100.0)
    return found


def _check(official: "Floats", predicted: "Floats", models: Sequence[str]) -> Check:
    """Of [models, seeds, runs] points."""
    import numpy as np

    one, other = _shared_means(official, predicted, axis=(1, 2))
    rests = other - one
    worst = int(np.nanargmax(np.abs(rests)))
    return Check(float(np.sqrt(np.nanmean(rests**2))), float(rests[worst]), models[worst])


def _left_out(scores: Scores, rule: Rule) -> Check:
    import numpy as np

    assert scores.ours is not None
    scaled = np.empty_like(scores.ours)
    for place in range(len(scores.models)):
        others = [each for each in range(len(scores.models)) if each != place]
        scaled[place] = _scaled(scores.ours[place], _lines(scores.official[others], scores.ours[others]))
    return _check(overall_points(scores.official, rule), overall_points(scaled, rule), scores.models)


def known_pairs(scores: Scores, rule: Rule) -> tuple[PairResult, ...]:
    """The known pairs whose models are both there, by the official scores and by ours."""
    names = {same_name(name): place for place, name in enumerate(scores.models)}
    sources = [("official", scores.official)] + ([("ours", scores.ours)] if scores.ours is not None else [])
    found = []
    for better, worse in KNOWN_PAIRS:
        if same_name(better) not in names or same_name(worse) not in names:
            continue
        for source, values in sources:
            points = overall_points(values, rule)
            high, low = points[names[same_name(better)]], points[names[same_name(worse)]]
            found.append(_pair(better, worse, source, high, low))
    return tuple(found)


def _pair(better: str, worse: str, source: str, high: "Floats", low: "Floats") -> PairResult:
    """Of [seeds, runs] each."""
    import numpy as np

    one, other = (_run_means(each) for each in (low, high))
    difference = paired([(one, other, np.arange(len(one)))])
    return PairResult(better, worse, source, difference, conclusion(difference, difference.p, 1))


def _run_means(points: "Floats") -> "Floats":
    found, _ = _shared_means(points, points, axis=1)
    return found
