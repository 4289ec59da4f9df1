"""Agreement: between judges, between repeats of one judge, and between judges and people."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Scale = Literal["nominal", "ordinal", "interval"]


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
    """

    spearman: float | None
    kendall: float | None
    items: int


def rank_correlation(one: "Floats", two: "Floats") -> RankCorrelation:
    """Rank correlations of two raters over the items that both have.

    Args:
        one, two: [items], NaN where missing.
    """
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    shared = ~np.isnan(one) & ~np.isnan(two)
    a, b = one[shared], two[shared]
    if len(a) < 3 or a.min() == a.max() or b.min() == b.max():
        return RankCorrelation(None, None, len(a))
    return RankCorrelation(float(spearmanr(a, b).statistic), float(kendalltau(a, b).statistic), len(a))


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
