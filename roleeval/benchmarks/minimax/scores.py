"""From the six dimensions to categories and an overall score, by every rule that is under discussion.

The weights reproduce every published overall score to 0.01. How dimensions make a category is not published: "mean" and
"sum" are reported side by side until a calibration (`roleeval calibrate minimax`) decides. Source: spec/minimax.md,
"Judging".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# What a category may be of its dimensions; CANDIDATES are tried in a calibration, RULES are reported.
Rule = Literal["mean", "sum", "sum_unclamped", "product", "min"]
RULES: tuple[Rule, ...] = ("mean", "sum")
CANDIDATES: tuple[Rule, ...] = get_args(Rule)
RULE_TEXTS: Mapping[Rule, str] = {
    "mean": "mean of the dimensions",
    "sum": "100 minus the sum of the dimensions' deductions, at least 0",
    "sum_unclamped": "100 minus the sum of the dimensions' deductions",
    "product": "100 times the product of the dimensions as fractions",
    "min": "the lowest dimension",
}


@dataclass(frozen=True, slots=True)
class Category:
    """A group of dimensions, and its weight in the overall score."""

    name: str
    label: str
    weight: float
    dimensions: tuple[str, ...]


CATEGORIES = (
    Category("worlds", "Worlds", 0.50, ("basics", "logic", "knowledge")),
    Category("stories", "Stories", 0.25, ("diversity", "content_logic")),
    Category("preferences", "Preferences", 0.25, ("interaction",)),
)
DIMENSIONS = tuple(dimension for category in CATEGORIES for dimension in category.dimensions)
OVERALL = "overall"


def combine(scores: "Floats", rule: Rule) -> "Floats":
    """A category's scores from those of its dimensions.

    Args:
        scores: [..., dimensions], points 0-100; NaN makes the result NaN.
        rule: how.

    Returns:
        [...], points; only "sum_unclamped" may be below 0.
    """
    import numpy as np

    if rule == "mean":
        found = scores.mean(axis=-1)
    elif rule == "product":
        found = 100 * (scores / 100).prod(axis=-1)
    elif rule == "min":
        found = scores.min(axis=-1)
    else:
        found = 100 - (100 - scores).sum(axis=-1)
        found = np.maximum(found, 0.0) if rule == "sum" else found
    combined: Floats = np.asarray(found, dtype=np.float64)
    return combined


def category_scores(dimensions: Mapping[str, float | None], rule: Rule) -> dict[str, float | None]:
    """Category -> points of one session; None where one of its dimensions is missing.

    Args:
        dimensions: dimension -> points 0-100; None or absent: missing.
        rule: how dimensions make a category.
    """
    import numpy as np

    found: dict[str, float | None] = {}
    for category in CATEGORIES:
        points = [dimensions.get(name) for name in category.dimensions]
        present = [value for value in points if value is not None]
        whole = len(present) == len(points)
        found[category.name] = float(combine(np.array(present), rule)) if whole else None
    return found


def overall_score(categories: Mapping[str, float | None]) -> float | None:
    """The weighted sum of the categories, points; None where one is missing."""
    points = [categories.get(category.name) for category in CATEGORIES]
    present = [value for value in points if value is not None]
    if len(present) < len(points):
        return None
    return sum(category.weight * value for category, value in zip(CATEGORIES, present, strict=True))
