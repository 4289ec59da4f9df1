"""Metric declarations that several judges share."""

from roleeval.metrics import MetricInfo

FLIP = MetricInfo(
    "flip",
    label="Flips of the judge",
    unit="fraction",
    recipe="Share of asked comparisons whose two orders name different winners.",
    low=0.0,
    high=1.0,
    habit=True,
)
FIRST_SLOT = MetricInfo(
    "first_slot",
    label="First slots of the judge",
    unit="fraction",
    recipe="Share of verdicts for what is shown first.",
    low=0.0,
    high=1.0,
    habit=True,
)


def criterion_title(criterion: str) -> str:
    """A criterion's name for people: "way_of_speaking" is "Way of speaking"."""
    return criterion.replace("_", " ").capitalize()


def points_info(criterion: str, recipe: str, *, low: float, high: float, primary: bool = False) -> MetricInfo:
    """Points of one criterion, or of all, on a scale whose high end is the better one."""
    return MetricInfo(
        criterion,
        label=f"{criterion_title(criterion)} (points)",
        unit="points",
        recipe=recipe,
        low=low,
        high=high,
        higher_is_better=True,
        headline=True,
        primary=primary,
    )


def share_info(name: str, label: str, recipe: str, *, headline: bool = False, primary: bool = False) -> MetricInfo:
    """A share from 0 to 1 of which more is better: wins, answers ranked lower."""
    return MetricInfo(
        name,
        label=label,
        unit="fraction",
        recipe=recipe,
        low=0.0,
        high=1.0,
        higher_is_better=True,
        headline=headline,
        primary=primary,
    )
