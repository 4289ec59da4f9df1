"""Reports: reads result folders and nothing else, and prints comparison tables with their coverage.

DIR/
  report.md    a headline and every metric of every group, runs side by side where they are comparable
  report.csv   one line per run, metric and group
  report.png   the headline groups as dots with their intervals
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.report._collect import Collection, NotShown, RunResult, collect
from roleeval.report._recipes import number, ordered

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Collection", "NotShown", "RunResult", "collect", "number", "ordered", "print_report", "write_report"]


def print_report(paths: Iterable[str | Path], *, console: "Console | None" = None) -> int:
    """Prints the headline of all finished runs at or below the paths; names the folders it cannot show.

    Args:
        paths: result folders, or folders above them.
        console: where to print; None is standard output.

    Returns:
        The number of runs shown.

    Raises:
        ResultError: a path is not a folder.
    """
    from rich.console import Console as RichConsole

    from roleeval.report._terminal import print_collection

    collection = collect(paths)
    print_collection(collection, console or RichConsole(highlight=False))
    return len(collection.runs)


def write_report(paths: Iterable[str | Path], out: Path) -> list[Path]:
    """Writes report.md, report.csv and report.png for all finished runs at or below the paths, each whole or not.

    Returns:
        The files; without a picture where there is nothing to draw.

    Raises:
        ResultError: a path is not a folder, or a file could not be written.
    """
    from roleeval.report._csv import csv_text
    from roleeval.report._markdown import markdown
    from roleeval.report._plot import png
    from roleeval.results import write_atomically

    collection = collect(paths)
    contents = {
        out / "report.md": markdown(collection).encode(errors="backslashreplace"),
        out / "report.csv": csv_text(collection).encode(errors="backslashreplace"),
        out / "report.png": png(collection),
    }
    files = [file for file, content in contents.items() if content]
    for file in files:
        write_atomically(file, contents[file])
    return files
