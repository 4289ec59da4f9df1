"""Reports: reads result folders and nothing else, and prints comparison tables with their coverage.

DIR/
  report.md    a headline and every metric of every group, runs side by side where they are comparable
  report.csv   one line per run, metric and group
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


def write_report(paths: Iterable[str | Path], out: Path) -> tuple[Path, Path]:
    """Writes report.md and report.csv for all finished runs at or below the paths; each file whole or not at all.

    Returns:
        The two files.

    Raises:
        ResultError: a path is not a folder, or a file could not be written.
    """
    from roleeval.report._csv import csv_text
    from roleeval.report._markdown import markdown
    from roleeval.results import write_atomically

    collection = collect(paths)
    files = out / "report.md", out / "report.csv"
    write_atomically(files[0], markdown(collection).encode(errors="backslashreplace"))
    write_atomically(files[1], csv_text(collection).encode(errors="backslashreplace"))
    return files
