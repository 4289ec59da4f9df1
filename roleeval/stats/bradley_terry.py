"""Ratings of many models from pairwise outcomes with ties, anchored at one of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from roleeval.errors import DataError
from roleeval.stats.bootstrap import FEW_CLUSTERS, LEVEL, clustered_intervals, jackknife_error, t_quantile
from roleeval.stats.clusters import cluster_codes, effective_clusters
from roleeval.stats.comparisons import Outcome
from roleeval.stats.paired import holm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roleeval.stats.bootstrap import Statistic

    Floats = NDArray[np.float64]

ANCHOR_RATING = 1000.0
POINTS_PER_LOGIT = 173.71779276130073  # 400 / ln 10: 400 points are odds of 10 to 1
RESAMPLES = 2000
_HALF = 0.5
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Rating:
    """One model.

    Attributes:
        model: its name.
        rating: the anchor has ANCHOR_RATING, 400 points are odds of 10 to 1 among outcomes that are no ties.
        ci_low, ci_high: 95 % interval of its distance from the anchor; None with fewer than two clusters, and for the
            anchor.
        letters: models that share one are not separable (Holm over all pairs); "a" stands at the best model.
        outcomes: how many it is in.
    """

    model: str
    rating: float
    ci_low: float | None
    ci_high: float | None
    letters: str
    outcomes: int


@dataclass(frozen=True, slots=True)
class Ratings:
    """All models, best first.

    Attributes:
        anchor: whose rating is fixed.
        models: their ratings.
        tie_strength: Davidson's nu: between equal models a tie is nu times as likely as a win of either.
        clusters: clusters of the intervals.
        method: how these were made; percentiles are of RESAMPLES resamples.
    """

    anchor: str
    models: tuple[Rating, ...]
    tie_strength: float
    clusters: int
    method: Literal["student-t", "percentiles"]


def bradley_terry(outcomes: Sequence[Outcome], *, anchor: str) -> Ratings:
    """Fits the Bradley-Terry model with Davidson's ties and compares every pair of models.

    Half an outcome of each kind is added to every pair that met, so that a model that won every comparison has a
    rating.

    Args:
        outcomes: from `settle`.
        anchor: the model whose rating is fixed.

    Raises:
        DataError: the anchor is in no outcome, or some models are linked to others by no chain of outcomes.

    Source: Davidson (1970), Journal of the American Statistical Association 65; the added
        halves as Anscombe's in a table's empty cells.
    """
    import numpy as np

    models = sorted({name for o in outcomes for name in (o.model_a, o.model_b)})
    if anchor not in models:
        raise DataError(f"anchor {anchor}: in no outcome; there are: {', '.join(models) or 'none'}")
    _check_connected(models, outcomes)
    pairs, counts = _counts(models, outcomes)
    shares = counts.sum(axis=(1, 2))
    at = models.index(anchor)

    def distances(draws: "Floats") -> "Floats":
        strengths, _ = _fit(_summed(draws, counts), pairs, len(models), halves=counts.sum(axis=0))
        relative: Floats = POINTS_PER_LOGIT * (strengths - strengths[:, [at]])
        return relative

    strengths, tie_strength = _fit(counts.sum(axis=0)[None], pairs, len(models), halves=counts.sum(axis=0))
    ratings: Floats = ANCHOR_RATING + POINTS_PER_LOGIT * (strengths[0] - strengths[0, at])
    floors = POINTS_PER_LOGIT * _independent_errors(
        counts.sum(axis=0), pairs, len(models), strengths[0], tie_strength[0]
    )
    low, high = clustered_intervals(distances, shares, resamples=RESAMPLES)
    # Clusters that all say the same do not vary; what independent outcomes leave open is left open all the same.
    half = t_quantile(1 - (1 - LEVEL) / 2, effective_clusters(shares)) * floors[at]
    low, high = np.minimum(low, ratings - ANCHOR_RATING - half), np.maximum(high, ratings - ANCHOR_RATING + half)
    letters = letter_groups(ratings.tolist(), _separable(ratings, distances, shares, floors))
    rated = [
        Rating(
            model=model,
            rating=float(ratings[i]),
            ci_low=None if i == at or np.isnan(low[i]) else float(ANCHOR_RATING + low[i]),
            ci_high=None if i == at or np.isnan(high[i]) else float(ANCHOR_RATING + high[i]),
            letters=letters[i],
            outcomes=sum(model in (o.model_a, o.model_b) for o in outcomes),
        )
        for i, model in enumerate(models)
    ]
    few = effective_clusters(shares) < FEW_CLUSTERS
    rated.sort(key=lambda r: (-r.rating, r.model))
    return Ratings(anchor, tuple(rated), float(tie_strength[0]), len(shares), "student-t" if few else "percentiles")


def _check_connected(models: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    group = {model: {model} for model in models}
    for o in outcomes:
        if group[o.model_a] is not group[o.model_b]:
            joined = group[o.model_a] | group[o.model_b]
            group.update(dict.fromkeys(joined, joined))
    parts = sorted({tuple(sorted(names)) for names in group.values()})
    if len(parts) > 1:
        apart = "; ".join(", ".join(part) for part in parts)
        raise DataError(
            f"no verdict links these groups of models, so they cannot be rated together: {apart}."
            " Judge at least one pair across them, or rate each group alone"
        )


def _counts(models: Sequence[str], outcomes: Sequence[Outcome]) -> "tuple[NDArray[np.intp], Floats]":
    """Pairs that met [pairs, 2], and per cluster how often a won, b won and none did [clusters, pairs, 3].

    An outcome that repeats left undecided counts by its shares, so that ratings rest on the numbers of win rates.
    """
    import numpy as np

    place = {model: number for number, model in enumerate(models)}
    met = sorted({(place[o.model_a], place[o.model_b]) for o in outcomes})
    number = {pair: i for i, pair in enumerate(met)}
    clusters = cluster_codes([o.cluster for o in outcomes])
    counts = np.zeros((clusters.max() + 1, len(met), 3))
    rows = np.array([number[place[o.model_a], place[o.model_b]] for o in outcomes], dtype=np.intp)
    np.add.at(counts, (clusters, rows), np.array([o.shares for o in outcomes]))
    return np.array(met, dtype=np.intp), counts


def _summed(draws: "Floats", counts: "Floats") -> "Floats":
    summed: Floats = (draws @ counts.reshape(len(counts), -1)).reshape(-1, *counts.shape[1:])
    return summed


def _fit(counts: "Floats", pairs: "NDArray[np.intp]", models: int, *, halves: "Floats") -> "tuple[Floats, Floats]":
    """Maximum likelihood for many tables at once, by Newton's method on the log-linear form.

    Args:
        counts: [tables, pairs, 3] wins of a, wins of b, ties.
        pairs: [pairs, 2].
        models: their number.
        halves: [pairs, 3] of the whole data: half an outcome is added to each pair, to ties only where there are any;
            zeros add nothing.

    Returns:
        Log strengths [tables, models], the first 0; tie strength [tables].
    """
    import numpy as np

    ties = bool(halves[:, 2].any() or counts[:, :, 2].any())
    design = _design(pairs, models, ties=ties)
    counts = counts[:, :, : design.shape[1]] + (_HALF if halves.any() else 0.0)
    totals = counts.sum(axis=2, keepdims=True)
    size = design.shape[2]
    flat = design.reshape(-1, size)
    squares = (flat[:, :, None] * flat[:, None, :]).reshape(len(flat), -1)
    found = np.zeros((len(counts), size))
    for _ in range(_STEPS):
        odds = np.exp(found @ flat.T).reshape(counts.shape)
        expected = totals * odds / odds.sum(axis=2, keepdims=True)
        gradient = (counts - expected).reshape(len(counts), -1) @ flat
        per_pair = np.einsum("rpc,pcd->rpd", expected, design)
        curvature = (expected.reshape(len(counts), -1) @ squares).reshape(-1, size, size)
        curvature -= (per_pair / np.maximum(totals, 1e-300)).transpose(0, 2, 1) @ per_pair
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    strengths = np.concatenate([np.zeros((len(found), 1)), found[:, : models - 1]], axis=1)
    return strengths, np.exp(found[:, -1]) if ties else np.zeros(len(found))


def _design(pairs: "NDArray[np.intp]", models: int, *, ties: bool) -> "Floats":
    """[pairs, outcomes, parameters] of the log-linear form: strengths without the first model's, log tie strength."""
    import numpy as np

    design = np.zeros((len(pairs), 3 if ties else 2, models + ties))
    row = np.arange(len(pairs))
    design[row, 0, pairs[:, 0]] = design[row, 1, pairs[:, 1]] = 0.5
    design[row, 0, pairs[:, 1]] = design[row, 1, pairs[:, 0]] = -0.5
    if ties:
        design[:, 2, -1] = 1.0
    return design[:, :, 1:]


def _independent_errors(
    counts: "Floats", pairs: "NDArray[np.intp]", models: int, strengths: "Floats", tie_strength: float
) -> "Floats":
    """[models, models] standard errors of the differences of log strengths if outcomes were independent."""
    import numpy as np

    ties = bool(counts[:, 2].any())
    design = _design(pairs, models, ties=ties)
    totals = counts[:, : design.shape[1]].sum(axis=1) + _HALF * design.shape[1]
    found = np.append(strengths[1:], np.log(tie_strength)) if ties else strengths[1:]
    odds = np.exp(design @ found)
    chances = odds / odds.sum(axis=1, keepdims=True)
    middle = np.einsum("pc,pcd->pd", chances, design)
    apart = design - middle[:, None, :]
    information = np.einsum("p,pc,pcd,pce->de", totals, chances, apart, apart)
    covariance = np.zeros((models, models))
    covariance[1:, 1:] = np.linalg.inv(information)[: models - 1, : models - 1]
    variances = np.diag(covariance)
    errors: Floats = np.sqrt(np.maximum(variances[:, None] + variances[None, :] - 2 * covariance, 0))
    return errors


def _separable(ratings: "Floats", distances: "Statistic", shares: "Floats", floors: "Floats") -> set[tuple[int, int]]:
    """Pairs (better, worse) that t tests tell apart, with the jackknife's errors, at least floors [models, models]."""
    import numpy as np
    from scipy.special import stdtr

    pairs = list(combinations(range(len(ratings)), 2))
    first, second = np.array(pairs).T
    if len(shares) < 2:
        return set()

    def gaps(draws: "Floats") -> "Floats":
        values = distances(draws)
        return values[:, first] - values[:, second]

    gap = ratings[first] - ratings[second]
    errors = np.maximum(jackknife_error(gaps, len(shares)), floors[first, second])
    p_values = 2 * stdtr(max(effective_clusters(shares) - 1, 1.0), -np.abs(gap) / errors)
    return {
        (i, j) if lead > 0 else (j, i)
        for (i, j), p, lead in zip(pairs, holm(p_values.tolist()), gap, strict=True)
        if p <= 1 - LEVEL
    }


def letter_groups(values: Sequence[float], separable: Collection[tuple[int, int]]) -> list[str]:
    """Letters for each value: two values share one if and only if nothing separates them.

    A single rank cannot say this: the lowest value of all may be too unsure to be separable from any other, and would
    share the first rank with the highest, below models that are separably worse than that.

    Args:
        values: the higher, the better; "a" begins at the best.
        separable: pairs of places in `values` that are told apart, in either order.

    Source: Piepho (2004), Journal of Computational and Graphical Statistics 13: insert and absorb.
    """
    groups = [frozenset(range(len(values)))]
    for one, two in separable:
        split = [part for group in groups for part in _without(group, one, two)]
        groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    best_first = sorted(groups, key=lambda group: sorted(-values[i] for i in group))
    named = [(_letter(number), group) for number, group in enumerate(best_first)]
    return ["".join(letter for letter, group in named if i in group) for i in range(len(values))]


def _without(group: frozenset[int], one: int, two: int) -> list[frozenset[int]]:
    return [group - {one}, group - {two}] if {one, two} <= group else [group]


def _letter(number: int) -> str:
    """a to z, then a2, b2, ..."""
    turn, place = divmod(number, 26)
    return chr(ord("a") + place) + (str(turn + 1) if turn else "")
