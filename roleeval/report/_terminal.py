"""The headline on the terminal: metrics downwards, models across, as many as fit, so that 80 columns are enough."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from roleeval.report._collect import Collection
from roleeval.report._compare import caption, run_sets
from roleeval.report._groups import headline_groups
from roleeval.report._markdown import plain
from roleeval.report._tables import Notes, Table, group_table

if TYPE_CHECKING:
    from rich.console import Console

_BORDERS = 3  # a column's padding and line


def print_collection(collection: Collection, console: "Console") -> None:
    """Prints every set's headline, then what is not shown."""
    from rich.text import Text

    for run_set in run_sets(collection.runs):
        if run_set.difference:
            console.print(Text(plain(f"{run_set.title}: {run_set.difference}"), style="yellow"))
        notes = Notes()
        said: list[str] = []
        clusters: set[int] = set()
        for group in headline_groups(run_set.runs):
            table = group_table(run_set, group, title=f"{run_set.title}: {group}", short=True, notes=notes)
            _print_table(table, console)
            said += table.notes
            clusters |= table.clusters
        for line in (caption(run_set, clusters), *dict.fromkeys(said)):
            console.print(Text(plain(line), style="dim"))
        console.print()
    if collection.not_shown:
        console.print(Text("Not shown:", style="yellow"))
        for item in collection.not_shown:
            console.print(Text(plain(f"  {item.path}: {item.reason}")), soft_wrap=True)


def _print_table(table: Table, console: "Console") -> None:
    from rich.table import Table as RichTable
    from rich.text import Text

    first = max(map(len, table.columns))
    columns = [[_cell(cell) for cell in row] for row in table.rows]
    if len(list(_chunks(columns, first, console.width))) > 1:
        columns = [[_stacked(cell) for cell in row] for row in columns]
    for start, chunk in _chunks(columns, first, console.width):
        title = plain(table.title)
        if len(chunk) < len(columns):
            title += f" (models {start + 1} to {start + len(chunk)} of {len(columns)})"
        view = RichTable(title=Text(title, style="bold"), title_justify="left", show_header=False)
        view.add_column(no_wrap=True)
        for _ in chunk:
            view.add_column(justify="right", overflow="fold")
        for number, name in enumerate(table.columns):
            view.add_row(Text(plain(name)), *(Text(column[number]) for column in chunk), end_section=number == 0)
        console.print(view)


def _cell(cell: Sequence[str]) -> str:
    """A value and its interval on one line; what names a row, and what has labels, on several."""
    lines = [plain(line) for line in cell]
    if len(lines) > 1 and lines[1].startswith(("[", "–")):
        lines[:2] = [f"{lines[0]} {lines[1]}"]
    return "\n".join(lines)


def _stacked(cell: str) -> str:
    """The same in a narrower column: an interval below its value, a run's name below its family."""
    return cell.replace(" [", "\n[").replace(" seed", "\nseed")


def _chunks(columns: Sequence[list[str]], first: int, width: int) -> Iterator[tuple[int, Sequence[list[str]]]]:
    """Parts of the columns that fit beside the metrics' names, at least one at a time."""
    room = width - first - _BORDERS - 1
    start = 0
    while start < len(columns):
        end, used = start, 0
        while end < len(columns):
            used += max(len(line) for cell in columns[end] for line in cell.split("\n")) + _BORDERS
            if used > room and end > start:
                break
            end += 1
        yield start, columns[start:end]
        start = end
