"""Agreement: between judges, between repeats of one judge, and between judges and people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from roleeval.stats.accelerated import accelerated_ends
from roleeval.stats.bootstrap import LEVEL, t_quantile
from roleeval.stats.clusters import effective_clusters
from roleeval.stats.rates import rate_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Scale = Literal["nominal", "ordinal", "interval"]
Ends = tuple[float, float]
_MOST_LEFT_OUT = 100  # each computes the coefficient anew; more clusters are left out several at a time
_PERFECT = 1 - 1e-9


def krippendorff_alpha(ratings: "Floats", *, scale: Scale) -> float | None:
    """Krippendorff's alpha: 1 is agreement, 0 what chance gives, below 0 systematic disagreement.

    Args:
        ratings: [raters, items], NaN where a rater gave none.
        scale: what a difference between two values means: nothing but difference, ranks apart, or distance.

    Returns:
        None where no item has two ratings, or all ratings are alike: there is nothing to agree about.

    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    import numpy as np

    paired = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 2]
    values = np.unique(paired[~np.isnan(paired)])
    if len(values) < 2:
        return None
    counts = (paired[None] == values[:, None, None]).sum(axis=1).astype(np.float64)  # [values, items]
    raters = counts.sum(axis=0)
    coincidences = (counts / (raters - 1)) @ counts.T - np.diag((counts / (raters - 1)).sum(axis=1))
    margins = coincidences.sum(axis=1)
    distances = _distances(values, margins, scale)
    chance = np.outer(margins, margins) - np.diag(margins)
    observed, expected = (coincidences * distances).sum(), (chance * distances).sum() / (margins.sum() - 1)
    return float(1 - observed / expected)


def _distances(values: "Floats", margins: "Floats", scale: Scale) -> "Floats":
    import numpy as np

    if scale == "nominal":
        return 1.0 - np.eye(len(values))
    # On an ordinal scale values lie as far apart as there are ratings between them, half of their own included.
    places = values if scale == "interval" else np.cumsum(margins) - margins / 2
    squared: Floats = (places[:, None] - places[None, :]) ** 2
    return squared


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """How far two raters order items alike.

    Attributes:
        spearman: Spearman's rho; None where one of them says the same of all items, or fewer than three are shared.
        kendall: Kendall's tau-b, which allows for ties; None likewise.
        items: how many both have rated.
        spearman_ci, kendall_ci: 95 % intervals over clusters; None without clusters, or fewer than three of them.
    """

    spearman: float | None
    kendall: float | None
    items: int
    spearman_ci: Ends | None = None
    kendall_ci: Ends | None = None


def rank_correlation(
    one: "Floats",
    two: "Floats",
    clusters: "NDArray[np.intp] | None" = None,
    *,
    strata: "NDArray[np.intp] | None" = None,
    kendall: bool = True,
    skewed: bool = False,
) -> RankCorrelation:
    """Rank correlations of two raters over the items that both have.

    Args:
        one, two: [items], NaN where missing.
        clusters: [items], whole numbers naming each item's cluster; None: no intervals.
        strata: [items], whole numbers; the coefficient is then the mean of those within each stratum that has one, so
            that what strata differ by does not count.
        kendall: False leaves Kendall's tau out, which takes most of the time.
        skewed: clusters differ much in what they say (seeds of sessions): intervals as in accelerated.py.
    """
    import numpy as np
    from scipy.stats import kendalltau

    shared = ~np.isnan(one) & ~np.isnan(two)
    parts = np.zeros(len(one)) if strata is None else strata.astype(np.float64)
    both = np.stack([one[shared], two[shared], parts[shared]])

    def rho(ratings: "Floats") -> float | None:
        return _mean_over_strata(ratings, _spearman)

    def tau(ratings: "Floats") -> float | None:
        return _mean_over_strata(ratings, lambda pair: kendalltau(*pair).statistic) if kendall else None

    found = rho(both), tau(both)
    if clusters is None:
        return RankCorrelation(*found, both.shape[1])
    ends = (
        None if value is None else _coefficient_interval(of, both, clusters[shared], lowest=-1.0, skewed=skewed)
        for of, value in zip((rho, tau), found, strict=True)
    )
    return RankCorrelation(*found, both.shape[1], *ends)


def _spearman(ratings: "Floats") -> float:
    """Spearman's rho of [2, items]: Pearson's of the ranks."""
    import numpy as np
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(ratings, axis=1))[0, 1])


def _mean_over_strata(ratings: "Floats", coefficient: "Callable[[Floats], float]") -> float | None:
    """Of ratings [one and two and stratum, items]; None where no stratum has a coefficient."""
    import numpy as np

    parts = (ratings[:2, ratings[2] == stratum] for stratum in np.unique(ratings[2]))
    found = [float(coefficient(part)) for part in parts if _ranked(part)]
    return float(np.mean(found)) if found else None


def _ranked(ratings: "Floats") -> bool:
    return ratings.shape[1] >= 3 and bool((ratings.min(axis=1) < ratings.max(axis=1)).all())


def alpha_interval(ratings: "Floats", clusters: "NDArray[np.intp]", *, scale: Scale) -> Ends | None:
    """The 95 % interval of `krippendorff_alpha` over clusters; None where there is no alpha, or fewer than 3 clusters.

    Args:
        ratings: [raters, items], NaN where a rater gave none.
        clusters: [items], whole numbers naming each item's cluster.
        scale: as for the coefficient.
    """
    import numpy as np

    kept = (~np.isnan(ratings)).sum(axis=0) >= 2

    def alpha(ratings: "Floats") -> float | None:
        return krippendorff_alpha(ratings, scale=scale)

    return _coefficient_interval(alpha, ratings[:, kept], clusters[kept], lowest=-np.inf)


def _coefficient_interval(
    coefficient: "Callable[[Floats], float | None]",
    ratings: "Floats",
    clusters: "NDArray[np.intp]",
    *,
    lowest: float,
    skewed: bool = False,
) -> Ends | None:
    """From leaving out clusters, on a scale on which the coefficient has no end within reach.

    That scale is atanh for coefficients from -1 to 1, and log(1 - alpha) for one without a lower end. Raters who agree
    perfectly leave nothing to vary: then the interval holds what clusters not yet seen could do, by the rate at which
    items may disagree that never did; such an item is taken to cost twice what chance would.

    Source: Davison & Hinkley (1997), section 2.7.3, the jackknife; Fisher (1921), Metron 1, for atanh.
    """
    import numpy as np

    codes = np.unique(clusters, return_inverse=True)[1]
    counts = np.bincount(codes).astype(np.float64)
    value = coefficient(ratings)
    if value is None or len(counts) < 3:
        return None
    if abs(value) >= _PERFECT:
        _, most = rate_interval(np.zeros(len(counts)), counts)
        return (1 - 2 * most, 1.0) if value > 0 else (-1.0, 2 * most - 1)
    parts = codes % _MOST_LEFT_OUT
    groups = np.unique(parts)
    without = [coefficient(ratings[:, parts != group]) for group in groups]
    open_ended = not np.isfinite(lowest)

    def stretched(number: float) -> float:
        inside = min(number, _PERFECT) if open_ended else max(min(number, _PERFECT), -_PERFECT)
        return float(np.log(1 - inside)) if open_ended else float(np.arctanh(inside))

    left = np.array([stretched(each) for each in without if each is not None])
    if len(left) < len(groups):
        return None  # a cluster without which there is no coefficient
    error = np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum())
    half = t_quantile(1 - (1 - LEVEL) / 2, min(effective_clusters(counts), len(groups))) * float(error)
    middle = stretched(value)
    if skewed:
        low, high = accelerated_ends(middle, left)
        return float(np.tanh(low)), float(np.tanh(high))
    if open_ended:
        return float(1 - np.exp(middle + half)), float(1 - np.exp(middle - half))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


@dataclass(frozen=True, slots=True)
class Stability:
    """How alike one judge's repeats are.

    Attributes:
        same: share of pairs of repeats of an item that are equal, mean over items; None without any.
        sd: standard deviation of one repeat about its item's mean; None without any.
        items: items with at least two repeats.
    """

    same: float | None
    sd: float | None
    items: int


def repeat_stability(ratings: "Floats") -> Stability:
    """What asking the same judge again would change.

    Args:
        ratings: [items, repeats], NaN where missing; items with one repeat say nothing and are left out.
    """
    import numpy as np

    kept = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    if len(kept) == 0:
        return Stability(None, None, 0)
    equal = kept[:, :, None] == kept[:, None, :]
    repeats = (~np.isnan(kept)).sum(axis=1)
    same = (equal.sum(axis=(1, 2)) - repeats) / (repeats * (repeats - 1))
    variance = np.nansum((kept - np.nanmean(kept, axis=1, keepdims=True)) ** 2) / (repeats - 1).sum()
    return Stability(float(same.mean()), float(np.sqrt(variance)), len(kept))
