"""Win rates as they would be if both answers were equally long: judges like long answers."""

from collections.abc import Sequence

_STEPS = 50
_RIDGE = 1e-2


def length_controlled(wins: Sequence[float | None], longer: Sequence[float]) -> list[float | None]:
    """Per pair the win without what the difference in length explains.

    A logistic regression of the win on the difference (tanh of it in standard deviations) gives each pair's expected
    win at its own difference and at none; what lies between them is taken off. The mean of the result is the
    length-controlled win rate, and its rows can be resampled as any others.

    Args:
        wins: 1, 0.5 or 0; None where missing, and missing in the result.
        longer: how much longer the own answer is.

    Source: AlpacaEval 2 (Dubois et al. 2024, arXiv 2404.04475), section 3, without its terms for instructions.
    """
    import numpy as np

    present = np.array([win is not None for win in wins], dtype=bool)
    y = np.array([win for win in wins if win is not None], dtype=np.float64)
    difference = np.array(longer, dtype=np.float64)[present]
    if len(y) == 0 or y.min() == y.max() or (spread := difference.std()) == 0:
        return list(wins)
    x = np.stack([np.ones_like(y), np.tanh(difference / spread)], axis=1)
    weights = np.zeros(2)
    penalty = np.array([0.0, _RIDGE])  # of the slope alone, so that a length that separates wins perfectly has an end
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (y - p) - penalty * weights
        curvature = (x.T * np.maximum(p * (1 - p), 1e-9)) @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    expected = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
    level = 1 / (1 + np.exp(-np.clip(weights[0], -30, 30)))
    adjusted = iter((y + level - expected).tolist())
    return [next(adjusted) if here else None for here in present]
