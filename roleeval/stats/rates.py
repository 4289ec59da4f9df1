"""Intervals of rates: what counts of clusters say of a probability, also where it was never seen to happen.

Resampling cannot do this: a bootstrap of zeros is zeros, and its interval would have no width.
"""

from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import LEVEL
from roleeval.stats.clusters import ClusterTable, cluster_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roleeval.stats.clusters import Parts

    Floats = NDArray[np.float64]

_RATES = 64  # cells of the rate, equal in arcsine; quantiles then agree with a grid of 2000 to three digits
_CORRELATIONS = 24  # Gauss-Legendre nodes
_TAIL = 1e-5


def rate_interval(successes: "Floats", trials: "Floats") -> tuple[float, float]:
    """The central 95 % of a rate's posterior under the beta-binomial model, the observed rate always within.

    Each cluster has a rate of its own from a beta distribution with mean p and intra-cluster correlation rho; p is
    uniform, rho is Beta(1, 4), which expects 0.2. The likelihood depends on counts through gamma functions, so
    fractions of a success are allowed; values inside [0, 1] vary less than a coin of the same mean, and their interval
    is then too wide rather than too narrow.

    Args:
        successes: [clusters].
        trials: [clusters], above 0.

    Source: Skellam (1948), Journal of the Royal Statistical Society B 10, for the model; coverage: docs/statistics.md.
    """
    import numpy as np

    kinds, times = np.unique(
        np.round(np.stack([successes, trials - successes]), 9).clip(min=0), axis=1, return_counts=True
    )
    low, high = 0.0, 1.0
    for last in (False, True):
        angles = np.linspace(low, high, _RATES + 1)
        masses = _masses(kinds, times, angles)
        below = np.concatenate([[0.0], np.cumsum(masses) / masses.sum()])
        if not last:
            low = angles[max(int(np.searchsorted(below, _TAIL)) - 1, 0)]
            high = angles[min(int(np.searchsorted(below, 1 - _TAIL)), _RATES)]
    ends = np.interp([(1 - LEVEL) / 2, (1 + LEVEL) / 2], below, _rate(angles))
    seen = successes.sum() / trials.sum()
    return float(min(ends[0], seen)), float(max(ends[1], seen))


def _rate(angles: "Floats") -> "Floats":
    import numpy as np

    rates: Floats = np.sin(np.pi / 2 * angles) ** 2
    return rates


def _masses(kinds: "Floats", times: "NDArray[np.intp]", angles: "Floats") -> "Floats":
    """Posterior mass of each cell of the rate, up to a factor; kinds: [2, kinds of clusters] successes and failures."""
    import numpy as np
    from scipy.special import betaln

    nodes, weights = np.polynomial.legendre.leggauss(_CORRELATIONS)
    place = (nodes + 1) / 2
    # Nodes lie close at both ends, where the likelihood bends.
    rho = place**2 * (3 - 2 * place)
    prior = weights * place * (1 - place) * (1 - rho) ** 3
    size = 1 / rho - 1
    rates = _rate((angles[1:] + angles[:-1]) / 2)[:, None]
    a, b = rates * size, (1 - rates) * size
    logs = betaln(a[..., None] + kinds[0], b[..., None] + kinds[1]) @ times - times.sum() * betaln(a, b)
    masses: Floats = (np.exp(logs - logs.max()) * prior).sum(axis=1) * np.diff(_rate(angles))
    return masses


def between_ends(parts: "Parts", *, low: float, zero: float, high: float) -> tuple[float, float]:
    """The interval of a mean of bounded values from the rates at which they lie above and below `zero`.

    A mean of values in [0, 1] has zero = low = 0: it is one rate. A difference of two such values has its zero in the
    middle: it is the rate of gains less the rate of losses, whose intervals are put together by their distances from
    the rates (MOVER), allowing for gains and losses excluding each other. Values that are all alike have themselves as
    zero: no row was seen to differ, and the interval is what rows not yet seen could do.

    Args:
        parts: see `Parts`; without missing groups.
        low, high: ends of the values' range.
        zero: what rows are counted from.

    Source: Zou & Donner (2008), Statistics in Medicine 27, equations 5 and 6, with their correlation that of a
        multinomial.
    """
    import numpy as np

    gain, loss = ((0.0, (0.0, 0.0)),) * 2
    if high > zero:
        gain = _one_side(cluster_table([(np.maximum(v - zero, 0) / (high - zero), c) for v, c in parts]))
    if low < zero:
        loss = _one_side(cluster_table([(np.maximum(zero - v, 0) / (zero - low), c) for v, c in parts]))
    (up, up_ends), (down, down_ends) = gain, loss
    odds = up * down / ((1 - up) * (1 - down)) if up < 1 and down < 1 else 0.0
    correlation = -min(1.0, np.sqrt(odds))
    above, below = high - zero, zero - low
    middle = zero + above * up - below * down

    def distance(one: float, other: float) -> float:
        return float(np.sqrt(one**2 + other**2 - 2 * correlation * one * other))

    return (
        max(low, middle - distance(above * (up - up_ends[0]), below * (down_ends[1] - down))),
        min(high, middle + distance(above * (up_ends[1] - up), below * (down - down_ends[0]))),
    )


def _one_side(table: ClusterTable) -> tuple[float, tuple[float, float]]:
    # Several groups' clusters count as in the mean of means, and all of them together as its number of rows.
    contributions, shares = table.contributions, table.shares
    return float(contributions.sum()), rate_interval(contributions * table.rows, shares * table.rows)
