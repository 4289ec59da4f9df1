"""Do two raters order groups (models) alike, by means whose items (seeds) the groups share?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import LEVEL, SEED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_DRAWS = 4000
_LEAST = 1e-6  # of the total variance: what a component that comes out negative is set to


@dataclass(frozen=True, slots=True)
class GroupRanks:
    """Spearman's rho between two raters' means of groups.

    Attributes:
        spearman: of the means as they are, which noise in the means lowers; None with fewer than three groups, or where
            one rater has equal means.
        groups: how many.
        ci: 95 % interval of rho between the means without noise; None with fewer than three clusters.
    """

    spearman: float | None
    groups: int
    ci: tuple[float, float] | None = None


def group_rank_correlation(one: "Floats", two: "Floats") -> GroupRanks:
    """Compares two raters' means of groups.

    A resample's means have the noise of the means twice, so its ranks agree less than those of the sample, as those
    agree less than the true ones: a bootstrap interval lies too low. Here the true means are drawn from what the sample
    leaves possible: normal means of groups, their variances and covariance between groups estimated from the sample.

    Args:
        one, two: [groups, clusters], each cluster's mean in each group; NaN where missing.

    Source: Morris (1983), Parametric Empirical Bayes Inference, JASA 78, for two correlated means; how often
        intervals are right is in docs/minimax.md.
    """
    import numpy as np

    values = np.stack([one, two], axis=-1)
    values[np.isnan(values).any(axis=-1)] = np.nan
    values = values[:, ~np.isnan(values).all(axis=(0, 2))]
    values = values[~np.isnan(values).all(axis=(1, 2))]
    groups, clusters = values.shape[:2]
    if groups < 3:
        return GroupRanks(None, groups)
    means = np.nanmean(values, axis=1)
    if (means.min(axis=0) == means.max(axis=0)).any():
        return GroupRanks(None, groups)
    observed = float(_spearman(means[None])[0])
    if clusters < 3:
        return GroupRanks(observed, groups)
    drawn = _spearman(_possible_means(values))
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2))
    return GroupRanks(observed, groups, (float(low), float(high)))


def _possible_means(values: "Floats") -> "Floats":
    """[draws, groups, raters] of true means, given [groups, clusters, raters]."""
    import numpy as np

    apart = values - np.nanmean(values, axis=0)  # what a cluster does to all groups alike changes no rank
    means = np.nanmean(apart, axis=1)
    rest = np.nan_to_num(apart - means[:, None])
    counts = (~np.isnan(apart[..., 0])).sum(axis=1)
    errors = np.einsum("gci,gcj->gij", rest, rest) / (np.maximum(counts - 1, 1) * counts)[:, None, None]
    total = np.cov(means.T)
    between = _positive(total - errors.mean(axis=0), float(np.trace(total)))
    weights = between @ np.linalg.inv(between + errors)
    centre = means.mean(axis=0)
    expected = centre + np.einsum("gij,gj->gi", weights, means - centre)
    spread = weights @ errors
    roots = [_root((each + each.T) / 2) for each in spread]
    noise = np.random.default_rng(SEED).standard_normal((_DRAWS, len(means), 2))
    drawn: Floats = expected + np.einsum("gij,dgj->dgi", np.stack(roots), noise)
    return drawn


def _positive(matrix: "Floats", scale: float) -> "Floats":
    import numpy as np

    values, vectors = np.linalg.eigh(matrix)
    found: Floats = (vectors * np.maximum(values, _LEAST * scale)) @ vectors.T
    return found


def _root(matrix: "Floats") -> "Floats":
    import numpy as np

    values, vectors = np.linalg.eigh(matrix)
    found: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return found


def _spearman(means: "Floats") -> "Floats":
    """[draws] from [draws, groups, raters]."""
    import numpy as np
    from scipy.stats import rankdata

    ranks = rankdata(means, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    one, two = ranks[..., 0], ranks[..., 1]
    found: Floats = (one * two).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    return found
