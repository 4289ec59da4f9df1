"""Reports: read only result folders, and print comparison tables with their coverage.

DIR/
  report.md         a headline and every metric of every group; comparable runs share a table
  report.csv        one line per run, metric and group
  report.png        the headline groups as dots with their intervals
  differences.csv   with a reference: one line per other model, metric and group
  ratings.csv       with pairwise judges: one line per judge, criterion and model
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.report.found.collect import Collection, NotShown, RunResult, collect
from roleeval.report.render.markdown import table_lines
from roleeval.report.render.terminal import print_table
from roleeval.report.tables.columns import ordered, value_text
from roleeval.report.tables.published import published_values
from roleeval.report.tables.tables import NOTHING, Cell, Table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "NOTHING",
    "Cell",
    "Collection",
    "NotShown",
    "Report",
    "RunResult",
    "Table",
    "collect",
    "ordered",
    "print_report",
    "print_table",
    "published_values",
    "table_lines",
    "value_text",
    "write_report",
]


def print_report(
    paths: Iterable[str | Path],
    *,
    reference: str | None = None,
    console: "Console | None" = None,
    published: bool = True,
) -> int:
    """Prints the headline of all finished runs at or below the paths; names the folders it cannot show.

    Args:
        paths: result folders, or folders above them.
        reference: the name in tables (or MODEL/RUN) of the model that the others are compared with, sample by sample,
            and whose rating by pairwise judges is fixed; None: no comparison.
        console: where to print; None is standard output.
        published: also print what papers report on the same benchmarks, apart.

    Returns:
        The number of runs shown.

    Raises:
        ResultError: a path is not a folder, or the reference is not among the runs.
    """
    return Report(paths, reference=reference).show(console, published=published)


def write_report(paths: Iterable[str | Path], out: Path, *, reference: str | None = None) -> list[Path]:
    """Writes the files of a report for all finished runs at or below the paths, each whole or not.

    Args:
        paths: result folders, or folders above them.
        out: the report's folder.
        reference: as for `print_report`.

    Returns:
        The files; without a picture where there is nothing to draw.

    Raises:
        ResultError: a path is not a folder, the reference is not among the runs, or a file could not be written.
    """
    return Report(paths, reference=reference).write(out)


class Report:
    """What `print_report` shows and `write_report` writes, read and compared once."""

    def __init__(self, paths: Iterable[str | Path], *, reference: str | None = None) -> None:
        """Reads and compares; arguments and errors are those of `print_report`."""
        from roleeval.report.found.names import with_names
        from roleeval.report.found.seeds import with_rows
        from roleeval.report.tables.differences import comparisons
        from roleeval.report.tables.ratings import with_ratings

        collection = with_names(with_rows(collect(paths)))
        self._compared = None if reference is None else comparisons(collection, reference)
        self._collection, self._ratings = with_ratings(collection, reference)

    def show(self, console: "Console | None" = None, *, published: bool = True) -> int:
        """See `print_report`."""
        from roleeval.report.render.console import standard_output
        from roleeval.report.render.terminal import print_collection

        console = console or standard_output()
        print_collection(self._collection, console, self._compared, self._ratings, published=published)
        return len(self._collection.runs)

    def write(self, out: Path) -> list[Path]:
        """See `write_report`."""
        from roleeval.report.render.csv import csv_text
        from roleeval.report.render.markdown import markdown
        from roleeval.report.render.plot import png
        from roleeval.report.tables.differences import differences_csv
        from roleeval.report.tables.ratings import ratings_csv
        from roleeval.results import write_atomically

        compared, ratings = self._compared or [], self._ratings
        contents = {
            out / "report.md": markdown(self._collection, compared, ratings).encode(errors="backslashreplace"),
            out / "report.csv": csv_text(self._collection).encode(errors="backslashreplace"),
            out / "report.png": png(self._collection),
            out / "differences.csv": differences_csv(compared).encode(errors="backslashreplace") if compared else b"",
            out / "ratings.csv": ratings_csv(ratings).encode(errors="backslashreplace") if ratings else b"",
        }
        for file, content in contents.items():
            if content:
                write_atomically(file, content)
            else:
                file.unlink(missing_ok=True)  # of an earlier report, about other runs
        return [file for file, content in contents.items() if content]
