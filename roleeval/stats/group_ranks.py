"""Do two raters order groups (models) alike, by means whose items (seeds) the groups share?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import LEVEL, SEED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_DRAWS = 4000
# What is tried of the covariance between groups: standard deviations as shares of the observed ones, correlations.
_SPREADS = tuple(0.15 * 13 ** (step / 14) for step in range(15))
_CORRELATIONS = tuple((step + 0.5) / 60 - 1 for step in range(120))


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
    leaves possible: normal means of groups, with the covariances between groups that the sample leaves possible.

    Args:
        one, two: [groups, clusters], each cluster's mean in each group; NaN where missing.

    Source: Gelman et al. (2013), Bayesian Data Analysis, section 5.4 (the hierarchical normal model), of two raters.
        How often intervals are right is in docs/minimax.md.
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
    return GroupRanks(observed, groups, _middle(_spearman(_possible_means(values))))


def _middle(drawn: "Floats") -> tuple[float, float]:
    """Ends of the middle 95 % of few different values, each of which counts half on either side of itself.

    Source: Lancaster (1961), Significance Tests in Discrete Distributions, JASA 56 (mid-p).
    """
    import numpy as np

    values, counts = np.unique(np.round(drawn, 9), return_counts=True)
    below = (np.cumsum(counts) - counts / 2) / counts.sum()
    tail = (1 - LEVEL) / 2
    inside = values[(below >= tail) & (below <= 1 - tail)]
    if not len(inside):  # nearly all draws are one value
        inside = values[[int(np.argmax(counts))]]
    return float(inside[0]), float(inside[-1])


def _possible_means(values: "Floats") -> "Floats":
    """[draws, groups, raters] of true means, given [groups, clusters, raters]."""
    import numpy as np

    apart = values - np.nanmean(values, axis=0)  # what a cluster does to all groups alike changes no rank
    means = np.nanmean(apart, axis=1)
    rest = np.nan_to_num(apart - means[:, None])
    counts = (~np.isnan(apart[..., 0])).sum(axis=1)
    errors = np.einsum("gci,gcj->gij", rest, rest) / (np.maximum(counts - 1, 1) * counts)[:, None, None]
    rng = np.random.default_rng(SEED)
    between = _possible_spreads(means, errors, rng)  # [draws, 2, 2]
    weights = between[:, None] @ np.linalg.inv(between[:, None] + errors)
    centre = means.mean(axis=0)
    expected = centre + np.einsum("dgij,gj->dgi", weights, means - centre)
    noise = rng.standard_normal((_DRAWS, len(means), 2))
    drawn: Floats = expected + np.einsum("dgij,dgj->dgi", _roots(weights @ errors), noise)
    return drawn


def _possible_spreads(means: "Floats", errors: "Floats", rng: "np.random.Generator") -> "Floats":
    """[draws, 2, 2]: covariances of the two raters' true means between groups, each as likely as the means make it.

    Standard deviations are flat on the scale of logarithms, the correlation is flat. A single best covariance will not
    do: its correlation is often 1, and then no order but the same one would be possible.
    """
    import numpy as np

    rest = means - means.mean(axis=0)
    total = np.maximum(rest.std(axis=0, ddof=1), 1e-12)
    one, other, rho = (
        axis.ravel()
        for axis in np.meshgrid(
            total[0] * np.array(_SPREADS), total[1] * np.array(_SPREADS), _CORRELATIONS, indexing="ij"
        )
    )
    # [cells, groups]: the entries of between + errors
    aa = (one**2)[:, None] + errors[:, 0, 0]
    bb = (other**2)[:, None] + errors[:, 1, 1]
    ab = (one * other * rho)[:, None] + errors[:, 0, 1]
    determinants = np.maximum(aa * bb - ab**2, 1e-300)
    x, y = rest[:, 0], rest[:, 1]
    distances = (bb * x**2 - 2 * ab * x * y + aa * y**2) / determinants
    logs = -0.5 * (np.log(determinants) + distances).sum(axis=1)
    chances = np.exp(logs - logs.max())
    cells = rng.choice(len(chances), size=_DRAWS, p=chances / chances.sum())
    covariance = one[cells] * other[cells] * rho[cells]
    entries = [one[cells] ** 2, covariance, covariance, other[cells] ** 2]
    return np.stack(entries, axis=-1).reshape(-1, 2, 2)


def _roots(matrices: "Floats") -> "Floats":
    """Square roots of covariances [..., 2, 2]."""
    import numpy as np

    values, vectors = np.linalg.eigh((matrices + np.swapaxes(matrices, -1, -2)) / 2)
    found: Floats = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
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
