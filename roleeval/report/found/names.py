"""What rows are called. Where several share a model's name, what tells them apart is added: "base (gemma-3-270m)".

Names are for a benchmark: its other rows decide what is needed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from roleeval.report.found.collect import Collection, RunResult
from roleeval.report.found.compare import run_sets

# Options whose value says enough by itself; in the first two sections of `Facts.telling` are places.
_BARE = ("family", "engine")
_NONE = "–"
# (option, its value in a cell, the words in a name)
Axes = tuple[tuple[str, str, str], ...]
_HUB_CACHE = re.compile(r".*/models--(?P<owner>[^/]+)--(?P<name>[^/]+)/snapshots/[^/]+/*")


def with_names(collection: Collection) -> Collection:
    """The same collection; rows that share a benchmark and a model's name, and their runs, have an addition."""
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for row in collection.rows:
        groups.setdefault((row.benchmark, row.model), []).append(row)
    apart: dict[Path, Axes] = {}
    for rows in groups.values():
        for row, told in zip(rows, _additions(rows), strict=True):
            apart |= {run.path: told for run in (row, *row.members)}
    return replace(
        collection,
        runs=tuple(_named(run, apart) for run in collection.runs),
        rows=tuple(_named(row, apart) for row in collection.rows),
    )


def _named(run: RunResult, apart: dict[Path, Axes]) -> RunResult:
    members = tuple(_named(member, apart) for member in run.members)
    told = apart.get(run.path, ())
    words = ", ".join(word for _, _, word in told if word)
    return replace(run, apart=words, axes=tuple((option, value) for option, value, _ in told), members=members)


def _additions(rows: Sequence[RunResult]) -> list[Axes]:
    """For each row what tells it apart, () for a name of its own: the first options that do, and no more of them."""
    axes: list[Axes] = [() for _ in rows]
    for section in range(max(len(row.facts.telling) for row in rows)):
        told = [row.facts.telling[section] if section < len(row.facts.telling) else {} for row in rows]
        for option in dict.fromkeys(key for each in told for key in each):
            values = [each.get(option) for each in told]
            finer = [(_words(before), value) for before, value in zip(axes, values, strict=True)]
            if len(set(finer)) > len({_words(each) for each in axes}):
                is_place = section < 2
                short = _ends(value for value in values if value is not None) if is_place else {}
                cells = [_NONE if value is None else short.get(value, value) for value in values]
                said = _said(option, values, short)
                axes = [(*before, (option, cell, word)) for before, cell, word in zip(axes, cells, said, strict=True)]
    for row_set in run_sets(rows):
        same = [number for number, row in enumerate(rows) if any(row is other for other in row_set.rows)]
        alike = [number for number in same if sum(_words(axes[number]) == _words(axes[other]) for other in same) > 1]
        for number in alike:
            axes[number] = (*axes[number], ("run", rows[number].name, rows[number].name))
    return axes


def _words(axes: Axes) -> tuple[str, ...]:
    return tuple(word for _, _, word in axes)


def _said(option: str, values: Sequence[str | None], short: dict[str, str]) -> list[str]:
    if short or option in _BARE:
        return [f"no {option}" if value is None else short.get(value, value) for value in values]
    return [f"no {option}" if value is None else f"{option}={value}" for value in values]


def _ends(places: Iterable[str]) -> dict[str, str]:
    """Place -> as little of its end as tells it from the others; a model in the hub's cache is called as in the hub."""
    known = {place: _HUB_CACHE.sub(r"\g<owner>/\g<name>", place) for place in places}
    if len(set(known.values())) < len(known):
        known = {place: place for place in known}
    parts = {place: PurePosixPath(name).parts or (name,) for place, name in known.items()}
    for count in range(1, max(map(len, parts.values())) + 1):
        ends = {place: "/".join(part[-count:]) for place, part in parts.items()}
        if len(set(ends.values())) == len(ends):
            return ends
    return known
