"""The best of a column, and what the paired comparison over clusters does not tell from it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from roleeval.errors import ResultError
from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry, RunResult
from roleeval.report.found.frames import Frames
from roleeval.report.found.paired import paired
from roleeval.stats import Difference, conclusion, holm

Mark = Literal["best", "tied", ""]
Cells = Sequence[tuple[RunResult, Entry | None]]


def marks(info: MetricInfo, cells: Cells, frames: Frames) -> list[Mark]:
    """A mark for each cell of a column; none where no direction is better, or all values are the same.

    p is Holm-corrected for the number of models compared with the best one. A model whose score rows cannot be read is
    not marked.
    """
    means = {place: entry.mean for place, (_, entry) in enumerate(cells) if entry and entry.mean is not None}
    if info.higher_is_better is None or len(means) < 2:
        return [""] * len(cells)
    best = (max if info.higher_is_better else min)(means, key=lambda place: means[place])
    compared = {place: _difference(info, cells, best, place, frames) for place in means if place != best}
    differences = {place: difference for place, difference in compared.items() if difference}
    tied = set(differences) - _worse(differences, "lower" if info.higher_is_better else "higher")
    equal = {place for place, mean in means.items() if mean == means[best]}
    if len(equal) == len(means):
        return [""] * len(cells)
    return ["best" if place in equal else "tied" if place in tied else "" for place in range(len(cells))]


def _worse(differences: Mapping[int, Difference], word: str) -> set[int]:
    corrected = iter(holm([each.p for each in differences.values() if each.p is not None]))
    tests = sum(each.p is not None for each in differences.values())
    p_holm = {place: None if each.p is None else next(corrected) for place, each in differences.items()}
    return {place for place, each in differences.items() if conclusion(each, p_holm[place], tests) == word}


def _difference(info: MetricInfo, cells: Cells, best: int, place: int, frames: Frames) -> Difference | None:
    """Another model minus the best; None where they have no rows in common to compare."""
    (best_row, there), (row, entry) = cells[best], cells[place]
    if there is None or entry is None or (there.mean_of, there.over_rows) != (entry.mean_of, entry.over_rows):
        return None
    parts = [(info.name, part) for part in entry.mean_of or _group_of(row, info.name, entry)]
    try:
        mine, other = frames.of(best_row), frames.of(row)
    except ResultError:
        return None
    if not all(part in mine and part in other for part in parts):
        return None
    return paired(mine, other, parts, over_rows=entry.over_rows, within=info.range)


def _group_of(row: RunResult, name: str, entry: Entry) -> tuple[str, ...]:
    """The group that an entry is of."""
    return tuple(group for group, other in row.entries[name].items() if other is entry)[:1]
