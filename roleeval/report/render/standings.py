"""Headline tables on the terminal: one line a model, in 100 columns with six models and six metrics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.tables.facts import PER_GROUP, counted, fact_columns, share
from roleeval.report.tables.standings import Line, Score, Standings
from roleeval.report.tables.tables import NOTHING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

MARKS = {"best": "*", "tied": "≈", "": " "}
_GAP = 1


def print_standings(found: Sequence[Standings], console: "Console", *, facts: bool = True) -> None:
    """Prints a benchmark's tables, what is known of their rows (`facts`), and each note once."""
    for each in found:
        _print_scores(each, console)
    if facts:
        _print_facts(found, console)
    said = [line for each in found for line in (each.caption, *each.notes)]
    for line in dict.fromkeys(said):
        _dim(line, console)
    console.print()


def _print_scores(found: Standings, console: "Console") -> None:
    from rich.cells import cell_len
    from rich.text import Text

    names = [plain(line.row.label) for line in found.lines]
    name_width = min(max(map(cell_len, ("model", *names))), console.width // 3)
    room = console.width - name_width - _GAP
    flat = [[_value(line.scores[place], " ") for line in found.lines] for place in range(len(found.heads))]
    if sum(_width(column) + _GAP for column in flat) > room:
        flat = [[_value(line.scores[place], "\n") for line in found.lines] for place in range(len(found.heads))]
    widths = _widths([plain(head) for head in found.heads], [_width(column) for column in flat], room)
    console.print(Text(plain(found.title), style="bold"))
    table = _table()
    table.add_column("model", width=name_width, overflow="fold")
    for head, width in zip(found.heads, widths, strict=True):
        table.add_column(Text(plain(head)), justify="right", width=width, overflow="fold")
    for place, name in enumerate(names):
        table.add_row(Text(name), *(column[place] for column in flat))
    console.print(table)


def _print_facts(found: Sequence[Standings], console: "Console") -> None:
    """What does not depend on the group once; n and coverage of each group."""
    from rich.text import Text

    table = _table()
    table.add_column("model", max_width=console.width // 3, overflow="fold")
    table.add_column("family", overflow="fold")
    for column in fact_columns(found[0]):
        if column.head not in PER_GROUP:
            table.add_column(plain(column.head), justify="right" if column.number else "left", overflow="fold")
    for each in found:
        group = f" {each.group}" if len(found) > 1 else ""
        counts = [_counts(line) for line in each.lines]
        width = max(len(text) for text in counts)
        table.add_column(Text(plain(f"n{group} (coverage)")), justify="right", width=width, overflow="fold")
    for place, line in enumerate(found[0].lines):
        columns = [column.texts[place] for column in fact_columns(found[0]) if column.head not in PER_GROUP]
        counts = [_counts(each.lines[place]) for each in found]
        table.add_row(*(Text(plain(text)) for text in (line.row.label, line.row.family, *columns, *counts)))
    console.print(table)


def _counts(line: Line) -> str:
    return f"{counted(line.n)} ({share(line.coverage)})"


def _table() -> "RichTable":
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")


def _value(score: Score | None, between: str) -> "Text":
    """A mean with half its interval, and its mark."""
    from rich.text import Text

    if score is None:
        return Text(f"{NOTHING} ")
    mark, half = MARKS[score.mark], score.half
    style = "bold" if score.mark == "best" else ""
    if between == "\n":
        return Text(f"{score.mean}{mark}" + (f"\n±{half} " if half else ""), style=style)
    return Text(f"{score.mean}{f'±{half}' if half else ''}{mark}", style=style)


def _width(column: Sequence["Text"]) -> int:
    return max(len(line) for cell in column for line in cell.plain.split("\n"))


def _widths(heads: Sequence[str], widths: Sequence[int], room: int) -> list[int]:
    """Widths of columns: as wide as their values, and where there is room as their heads' longest words."""
    found = list(widths)
    for place, head in enumerate(heads):
        spare = room - sum(found) - _GAP * len(found)
        longest = max(len(word) for word in head.split())
        found[place] += max(0, min(longest - found[place], spare))
    return found


def _dim(line: str, console: "Console") -> None:
    from rich.text import Text

    console.print(Text(plain(line), style="dim"))
