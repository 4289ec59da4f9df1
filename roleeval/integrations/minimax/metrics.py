"""The official scores as metrics: six dimensions, and the categories and the overall by both rules."""

from collections.abc import Mapping

from roleeval.benchmarks.minimax.scores import (
    CATEGORIES,
    DIMENSIONS,
    OVERALL,
    RULE_TEXTS,
    RULES,
    category_scores,
    overall_score,
)
from roleeval.metrics import MetricInfo
from roleeval.types import Score

PREFIX = "minimax_official"
_SOURCE = "MiniMaxAI/role-play-bench, evaluations"
_FIRST_PLACE = 150  # among a table's columns
_WEIGHTS = " + ".join(f"{category.weight:g} {category.label}" for category in CATEGORIES)


def official_rows(dimensions: Mapping[str, float]) -> list[Score]:
    """One session's rows: dimensions as they are in the file, categories and overall computed from them.

    Args:
        dimensions: dimension -> points.
    """
    rows = [Score(f"{PREFIX}/{name}", dimensions[name]) for name in DIMENSIONS]
    for rule in RULES:
        categories = category_scores(dimensions, rule)
        named = {f"{name}_{rule}" if _made(name) else name: value for name, value in categories.items()}
        known = {row.metric for row in rows}
        rows += [Score(f"{PREFIX}/{name}", value) for name, value in named.items() if f"{PREFIX}/{name}" not in known]
        rows.append(Score(f"{PREFIX}/{OVERALL}_{rule}", overall_score(categories)))
    return rows


def _made(category: str) -> bool:
    """Whether a category is of several dimensions, so that the rule matters."""
    return any(each.name == category and len(each.dimensions) > 1 for each in CATEGORIES)


def official_infos() -> dict[str, MetricInfo]:
    """Metric -> what it is, of all that `official_rows` gives."""
    infos = [_info(name, name.replace("_", " "), "as in the file") for name in DIMENSIONS]
    for category in CATEGORIES:
        if not _made(category.name):
            infos.append(_info(category.name, category.label, f"{category.dimensions[0]}", headline=True))
            continue
        of = ", ".join(category.dimensions)
        for rule in RULES:
            label = f"{category.label}, rule {rule}"
            recipe = f"{RULE_TEXTS[rule]} ({of}); the official rule is not published"
            infos.append(_info(f"{category.name}_{rule}", label, recipe, headline=True))
    for rule in RULES:
        recipe = f"{_WEIGHTS}, categories by rule {rule}"
        infos.append(_info(f"{OVERALL}_{rule}", f"overall, rule {rule}", recipe, headline=True, primary=rule == "sum"))
    placed = sorted(infos, key=lambda info: (not info.primary, not info.headline))
    return {
        info.name: MetricInfo.from_json(info.to_json() | {"position": _FIRST_PLACE + place})
        for place, info in enumerate(placed)
    }


def _info(name: str, label: str, recipe: str, *, headline: bool = False, primary: bool = False) -> MetricInfo:
    return MetricInfo(
        f"{PREFIX}/{name}",
        label=f"official {label} (points)",
        unit="points",
        recipe=recipe,
        source=_SOURCE,
        low=0.0,
        high=100.0,
        higher_is_better=True,
        headline=headline,
        primary=primary,
        caution="is by MiniMax's own judge, which is not published",
    )
