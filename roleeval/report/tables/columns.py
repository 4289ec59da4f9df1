"""What tables know of metric names: their order, which stand in the headline, and how a value is written."""

from collections.abc import Iterable

PARITY_RECALL = "rougeL_recall_pltrdy_max"
PARITY_F1 = "rougeL_f1_pltrdy_max"
LENGTH = "answer_words"
# Points of 0 to 100, a judge's (GCA) or imported ones.
_POINTS = ("avg", "storyline_consistency", "anthropomorphism", "character_fidelity", "storyline_quality")

HEADLINE = (
    PARITY_RECALL,
    PARITY_F1,
    LENGTH,
    "rougeL_f1_google_max",
    "rougeL_f1_google_char_max",
    "empty_rate",
    "refusal_rate",
    "ai_self_reference_rate",
    *(f"coser/{name}" for name in _POINTS),
    "coser/bleu4",
    "coser/bleu4_untrained",
    "coser/rougeL_f1_rouge_chinese",
)
_ORDER = (
    *HEADLINE[:5],
    "rougeL_f1_google_stem_max",
    "rougeL_f1_google_jieba_max",
    "bleu1_nltk_smooth3",
    "bleu4_nltk_smooth3",
    "answer_chars",
    *HEADLINE[5:],
    "distinct1_role",
    "distinct2_role",
)
_HEADLINE_WIDTH = 8
_JUDGED_HEADLINE = ("/overall", "/overall/win", "/overall/rank", *(f"/{name}" for name in _POINTS))


def ordered(names: Iterable[str]) -> list[str]:
    """Metric names in the order of a table's columns: the parity recall, its F1 and the length first."""
    place = {name: number for number, name in enumerate(_ORDER)}
    return sorted(set(names), key=lambda name: (place.get(name, len(place)), name))


def headline(names: Iterable[str]) -> list[str]:
    """The few metrics of the headline; the first ones where none of RoleBench's is among them."""
    columns = ordered(names)
    judged = [name for name in columns if is_judged(name) and name.endswith(_JUDGED_HEADLINE)]
    return [*(name for name in columns if name in HEADLINE), *judged] or columns[:_HEADLINE_WIDTH]


def is_judged(metric: str) -> bool:
    """Whether a metric is a judge's."""
    return metric.startswith("judge/")


def is_habit(metric: str) -> bool:
    """Whether a metric is about the judge itself, so that its n counts what it was asked (or found) and not answers."""
    return is_judged(metric) and metric.endswith(("/flip", "/first_slot", "/severity"))


def is_per_cluster(metric: str) -> bool:
    """Whether a metric has one value per role (distinct-n), so that its n counts roles and not answers."""
    return metric.endswith("_role")


def is_f1(metric: str) -> bool:
    """Whether a metric is an F1, which the parity recall needs beside it."""
    return "_f1_" in metric


def number(metric: str, value: float) -> str:
    """A value as tables print it: lengths with one decimal, points with two, fractions with four."""
    if metric.startswith("answer_"):
        return f"{value:.1f}"
    return f"{value:.2f}" if is_points(metric) else f"{value:.4f}"


def is_points(metric: str) -> bool:
    """Whether a metric is in points of 0 to 100."""
    return metric.rpartition("/")[2] in _POINTS and "/" in metric
