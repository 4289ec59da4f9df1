"""What all sub-commands share: typer's options, and tables on the terminal."""

from collections.abc import Sequence
from typing import Any

from roleeval.cli._say import show
from roleeval.plain import plain

# Without rich markup --help does not import rich.
OPTIONS: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "add_completion": False}


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Prints a table with left-aligned names and right-aligned numbers."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        show("  ".join(cells).rstrip())
