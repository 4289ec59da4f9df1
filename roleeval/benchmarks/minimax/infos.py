"""What `minimax_errors` declares of its metrics."""

from collections.abc import Mapping
from dataclasses import replace

from roleeval.benchmarks.minimax.errors import CHUNK, EMPTY, FULL
from roleeval.benchmarks.minimax.scores import CATEGORIES, OVERALL, RULE_TEXTS, RULES
from roleeval.benchmarks.minimax.session import FIRST
from roleeval.judging import criterion_title, points_info
from roleeval.metrics import MetricInfo

_SOURCE = "MiniMaxAI/role-play-bench; docs/minimax.md"
_RECIPE = "Mean over chunks of 100 minus 100 times the weights of the errors over the character's messages."


def point_infos(briefs: Mapping[str, str], *, messages: int, calibrated: Mapping[str, str]) -> list[MetricInfo]:
    """Points of dimensions, categories, the whole and single chunks.

    Args:
        briefs: dimension -> what it asks.
        messages: of a session.
        calibrated: metric on the official scale -> its recipe, the overall one last; {} without a calibration.
    """
    infos = [_points(name, f"{brief} {_RECIPE}") for name, brief in briefs.items()]
    for rule in RULES:
        main = rule == RULES[-1]
        for category in CATEGORIES:
            text = f"Of {', '.join(category.dimensions)}: {RULE_TEXTS[rule]}."
            infos.append(_points(f"{category.name}_{rule}", text, headline=main))
        text = f"0.5 Worlds + 0.25 Stories + 0.25 Preferences; a category is the {RULE_TEXTS[rule]}."
        infos.append(_points(f"{OVERALL}_{rule}", text, headline=True, primary=main))
    for number in range(1, -(-messages // CHUNK) + 1):
        first = FIRST + (number - 1) * CHUNK
        last = min(first + CHUNK, FIRST + messages) - 1
        chunk = _points(f"chunk_{number}", f"Overall ({RULES[-1]}) of rounds {first} to {last}.")
        infos.append(replace(chunk, series=f"chunk of {CHUNK} messages", place=number))
    infos += [_points(name, text, headline=name == list(calibrated)[-1]) for name, text in calibrated.items()]
    return [*infos, _points("worst_chunk", f"The lowest chunk's overall ({RULES[-1]}).")]


def _points(name: str, recipe: str, *, headline: bool = False, primary: bool = False) -> MetricInfo:
    info = points_info(name, recipe, low=0.0, high=FULL, primary=primary)
    return replace(info, headline=headline, source=_SOURCE)


def diagnostic_infos(subtypes: Mapping[str, str]) -> list[MetricInfo]:
    """What is counted beside the points.

    Args:
        subtypes: subtype of errors -> its dimension.
    """
    counts = [
        MetricInfo(
            f"errors/{name}",
            label=f"Errors: {criterion_title(name).lower()} ({dimension})",
            unit="count",
            recipe="Messages with such an error: the aggregate over the judge's samples, summed over chunks.",
            low=0.0,
            higher_is_better=False,
        )
        for name, dimension in {**subtypes, EMPTY: "no judge"}.items()
    ]
    first = MetricInfo(
        "first_error_round",
        label="Round of the first error",
        unit="number",
        recipe="Round of the first error; none without an error.",
        low=float(FIRST),
        higher_is_better=True,
        habit=True,
    )
    unquoted = MetricInfo(
        "unquoted",
        label="Errors without a true quote",
        unit="fraction",
        recipe="Share of listed errors that were dropped, because their quote is in no message of the character's.",
        low=0.0,
        high=1.0,
        habit=True,
    )
    return [*counts, first, unquoted]
