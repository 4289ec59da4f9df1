"""The headline on the terminal: metrics as rows and models as columns if all models fit, otherwise transposed.

80 columns are enough; the models of a table are never split up.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.found.collect import Collection
from roleeval.report.found.compare import caption, run_sets
from roleeval.report.found.groups import headline_groups
from roleeval.report.tables.differences import Comparison, difference_table
from roleeval.report.tables.published import published_tables
from roleeval.report.tables.ratings import Rated, ratings_table
from roleeval.report.tables.tables import Notes, Table, group_table

if TYPE_CHECKING:
    from rich.console import Console

_BORDERS = 3  # a column's padding and line
_VALUE_WIDTH = 16  # [0.1234, 0.5678]


def print_collection(
    collection: Collection,
    console: "Console",
    compared: Sequence[Comparison] | None = None,
    ratings: Sequence[Rated] = (),
    *,
    published: bool = True,
) -> None:
    """Prints every set's headline, ratings over all criteria and differences, then hints and what is not shown.

    `published` adds what papers report on the same benchmarks.
    """
    from rich.text import Text

    sets = run_sets(collection.rows)
    for run_set in sets:
        if run_set.difference:
            console.print(Text(plain(f"{run_set.title}: {run_set.difference}"), style="yellow"))
        notes = Notes()
        said: list[str] = []
        clusters: set[int] = set()
        for group in headline_groups(run_set.runs):
            table = group_table(run_set, group, title=f"{run_set.title}: {group}", short=True, notes=notes)
            print_table(table, console)
            said += table.notes
            clusters |= table.clusters
        for line in (caption(run_set, clusters), *dict.fromkeys(said)):
            console.print(Text(plain(line), style="dim"))
        console.print()
        for each in ratings:
            if each.run_set.title == run_set.title and each.criterion == "overall":
                _print_ratings(each, console)
        for comparison in compared or ():
            if comparison.run_set.title == run_set.title:
                _print_differences(comparison, console)
    for table in published_tables(run_set.benchmark for run_set in sets) if published else ():
        print_table(table, console)
        for line in (table.caption, *table.notes):
            console.print(Text(plain(line), style="dim"))
        console.print()
    if compared is None and any(len(run_set.rows) > 1 for run_set in sets):
        hint = "Paired differences: roleeval report FOLDER --reference MODEL, with one of the models above."
        console.print(Text(hint, style="dim"))
    if any(run.facts.judges for run in collection.runs):
        console.print(Text("Reliability of the judges: roleeval judge-card FOLDER.", style="dim"))
    if collection.not_shown:
        console.print(Text("Not shown:", style="yellow"))
        for item in collection.not_shown:
            console.print(Text(plain(f"  {item.path}: {item.reason}")), soft_wrap=True)


def _print_ratings(found: Rated, console: "Console") -> None:
    from rich.text import Text

    table = ratings_table(found)
    print_table(table, console)
    for line in (table.caption, *table.notes):
        console.print(Text(plain(line), style="dim"))
    console.print()


def _print_differences(comparison: Comparison, console: "Console") -> None:
    from rich.text import Text

    said: list[str] = []
    for group in headline_groups(comparison.run_set.runs) if comparison.others else ():
        title = f"{comparison.run_set.title}: {group}, differences from {comparison.reference.label}"
        table = difference_table(comparison, group, title=title, short=True)
        print_table(table, console)
        said += [table.caption, *table.notes]
    for line in dict.fromkeys(said):
        console.print(Text(plain(line), style="dim"))
    console.print()


def print_table(table: Table, console: "Console") -> None:
    """Prints one table; its caption and notes are the caller's."""
    columns = [[_cell(cell) for cell in row] for row in table.rows]
    names = [plain(name) for name in table.columns]
    if _width(names) + sum(_width(column) for column in columns) < console.width:
        rows = [[name, *(column[number] for column in columns)] for number, name in enumerate(names)]
        _print_rows(plain(table.title), rows, console)
        return
    columns = [[_stacked(cell) for cell in column] for column in columns]
    models = [names[0], *_short([column[0] for column in columns])]
    rest = [[_folded(name), *(column[n] for column in columns)] for n, name in enumerate(names) if n]
    start = 0
    while start < len(rest):
        end, room = start, console.width - _width(models) - 1
        while end < len(rest) and (end == start or _width(rest[end]) <= room):
            room -= _width(rest[end])
            end += 1
        part = f", columns {start + 1} to {end} of {len(rest)}" if end - start < len(rest) else ""
        _print_rows(plain(table.title) + part, list(zip(models, *rest[start:end], strict=True)), console)
        start = end


def _print_rows(title: str, rows: Sequence[Sequence[str]], console: "Console") -> None:
    from rich.table import Table as RichTable
    from rich.text import Text

    view = RichTable(title=Text(title, style="bold"), title_justify="left", show_header=False)
    view.add_column(no_wrap=True)
    for _ in rows[0][1:]:
        view.add_column(justify="right", overflow="fold")
    for number, row in enumerate(rows):
        view.add_row(*(Text(cell) for cell in row), end_section=number == 0)
    console.print(view)


def _width(cells: Sequence[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n")) + _BORDERS


def _cell(cell: Sequence[str]) -> str:
    """A value and its interval on one line; what names a row, and what has labels, on several."""
    lines = [plain(line) for line in cell]
    if len(lines) > 1 and lines[1].startswith(("[", "–")):
        lines[:2] = [f"{lines[0]} {lines[1]}"]
    return "\n".join(lines)


def _stacked(cell: str) -> str:
    """The same in a narrower column: an interval below its value, a run's name below its family."""
    return cell.replace(" [", "\n[").replace(" seed", "\nseed")


def _short(models: Sequence[str]) -> Sequence[str]:
    """The models' names alone where they tell the rows apart."""
    names = [model.split("\n")[0] for model in models]
    return names if len(set(names)) == len(names) else models


def _folded(name: str) -> str:
    """A metric's name in lines that are as narrow as a value with its interval."""
    lines = [""]
    for part in re.findall(r"[^_ ]+[_ ]*", name):
        if lines[-1] and len(lines[-1]) + len(part) > _VALUE_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
