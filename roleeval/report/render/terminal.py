"""A report on the terminal. Tables of all metrics have metrics as rows and models as columns if all models fit, else
transposed: 80 columns are enough, and the models of a table are never split up.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.render.standings import print_standings
from roleeval.report.tables.contents import Contents
from roleeval.report.tables.published import published_tables
from roleeval.report.tables.ratings import ratings_table
from roleeval.report.tables.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

_BORDERS = 3  # a column's padding and line
_VALUE_WIDTH = 16  # [0.1234, 0.5678]


def print_report(found: Contents, console: "Console", *, published: bool = True, diagnostics: bool = False) -> None:
    """Prints every benchmark's headline, ratings over all criteria and differences, then hints and what is not shown.

    Args:
        found: what a report holds.
        console: where to print.
        published: also what papers report on the same benchmarks.
        diagnostics: also tables of all metrics.
    """
    from rich.text import Text

    for section in found.sections:
        if section.run_set.difference:
            words = f"{section.run_set.title}: {section.run_set.difference}"
            console.print(Text(plain(words), style="yellow"))
        if section.standings:
            print_standings(section.standings, console)
        for table in section.details() if diagnostics else ():
            _print_whole(table, console)
        for each in section.ratings:
            if each.criterion == "overall":
                _print_whole(ratings_table(each), console)
        if differences := section.changes():
            print_standings(differences, console, facts=False)
        for table in section.differences() if diagnostics else ():
            _print_whole(table, console)
    if found.overall is not None:
        print_standings([found.overall], console, facts=False)
    for table in published_tables(section.run_set.benchmark for section in found.sections) if published else ():
        _print_whole(table, console)
    for hint in _hints(found, diagnostics=diagnostics):
        console.print(Text(hint, style="dim"))
    if found.not_shown:
        console.print(Text("Not shown:", style="yellow"))
        for item in found.not_shown:
            console.print(Text(plain(f"  {item.path}: {item.reason}")), soft_wrap=True)


def _hints(found: Contents, *, diagnostics: bool) -> list[str]:
    """What the same command could show besides."""
    sets = [section.run_set for section in found.sections]
    hints = ["All metrics: roleeval report FOLDER --diagnostics."] if sets and not diagnostics else []
    if found.reference is None and any(len(run_set.rows) > 1 for run_set in sets):
        hints.append("Paired differences: roleeval report FOLDER --reference MODEL, with one of the models above.")
    if any(run.facts.judges for run_set in sets for run in run_set.runs):
        hints.append("Reliability of the judges: roleeval judge-card FOLDER.")
    return hints


def _print_whole(table: Table, console: "Console") -> None:
    """A table with its caption and notes."""
    print_table(table, console)
    _print_notes([table.caption, *table.notes], console)


def _print_notes(lines: Sequence[str], console: "Console") -> None:
    from rich.text import Text

    for line in dict.fromkeys(lines):
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
