"""Length-controlled win rates: what to expect for answers of equal length, because judges prefer long ones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS = 50
_PRIOR_SD = 2.5  # of the slope, in logits per unit of tanh: a length that separates wins perfectly has an end


def length_controlled(wins: "Floats", longer: "Floats") -> "Floats":
    """Values whose mean is the win rate at equal length and whose spread over clusters is that rate's.

    A logistic regression explains wins by the difference in length (tanh of it in standard deviations); the rate is
    what it expects where there is none. Each value is that rate plus what its row did to it (the influence function),
    so the interval is that of any other mean: `clustered_mean`. One value alone means nothing and may leave [0, 1].

    Args:
        wins: [rows] 1, 0.5 or 0; NaN where missing, and NaN in the result.
        longer: [rows] how much longer the model's answer is than the other's, in any unit.

    Returns:
        [rows]; the wins themselves where all are alike or no length differs.

    Source: AlpacaEval 2 (Dubois et al. 2024, arXiv 2404.04475), section 3, without its term for instructions; the prior
        on the slope after Gelman et al. (2008), Annals of Applied Statistics 2.
    """
    import numpy as np

    present = ~np.isnan(wins)
    y, difference = wins[present], longer[present]
    if len(y) == 0 or difference.std() == 0 or y.min() == y.max():
        return wins.copy()
    x = np.stack([np.ones_like(y), np.tanh(difference / difference.std())], axis=1)
    coefficients, information = _logistic(x, y)
    rate = _expected(coefficients[:1])[0]
    scores = x * (y - _expected(x @ coefficients))[:, None]
    influence = len(y) * rate * (1 - rate) * (scores @ np.linalg.inv(information))[:, 0]
    result = np.full(len(wins), np.nan)
    result[present] = rate + influence - influence.mean()
    return result


def _logistic(x: "Floats", y: "Floats") -> "tuple[Floats, Floats]":
    """Coefficients and their information, by Newton's method with the prior on the slope."""
    import numpy as np

    coefficients = np.zeros(2)
    prior = np.array([0.0, _PRIOR_SD**-2])
    for _ in range(_STEPS):
        expected = _expected(x @ coefficients)
        information = (x.T * (expected * (1 - expected))) @ x + np.diag(prior)
        step = np.linalg.solve(information, x.T @ (y - expected) - prior * coefficients)
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return coefficients, information


def _expected(logits: "Floats") -> "Floats":
    from scipy.special import expit

    expected: Floats = expit(logits)
    return expected
