"""Intervals from leaving out clusters, where some clusters say much more than others: bias, skewness, heavy tails."""

from typing import TYPE_CHECKING

from roleeval.stats.bootstrap import LEVEL, t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def accelerated_ends(value: float, left: "Floats") -> tuple[float, float]:
    """The 95 % interval of a statistic on a scale on which it has no end within reach.

    Unlike value +- t x error it is moved by the jackknife's estimate of bias, lies further on the side to which
    clusters are skewed, and has fewer degrees of freedom where a few clusters decide.

    Args:
        value: of all clusters.
        left: [clusters], without each of them.

    Source: DiCiccio & Efron (1992), Biometrika 79 (the ABC endpoint, here with influences and bias of the jackknife);
        degrees of freedom of a variance with kurtosis k: 2 n / (k - 1), at most n.
    """
    import numpy as np

    n = len(left)
    influences = left.mean() - left
    squares = float((influences**2).sum())
    if squares <= 0:
        return value, value
    error = np.sqrt((n - 1) / n * squares)
    bias = (n - 1) * (left.mean() - value)
    acceleration = float((influences**3).sum()) / (6 * squares**1.5)
    kurtosis = float((influences**4).mean()) / (squares / n) ** 2
    freedom = min(n - 1.0, 2 * n / max(kurtosis - 1, 1e-9))
    quantile = t_quantile(1 - (1 - LEVEL) / 2, freedom + 1) * np.sqrt(n / (n - 1))
    shift = acceleration - bias / error
    ends = []
    for side in (-quantile, quantile):
        place = shift + side
        ends.append(float(value + error * place / (1 - acceleration * place) ** 2))
    return ends[0], ends[1]
