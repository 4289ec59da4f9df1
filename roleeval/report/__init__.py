"""Reports: read only result folders, and print comparison tables with their coverage.

DIR/
  report.md         a headline and every metric of every group; comparable runs share a table
  report.csv        one line per run, metric and group
  report.html       the headline tables as a page
  report.tex        the headline tables as a document that compiles as it is
  report.png        what represents the largest set, as dots with intervals
  differences.csv   with a reference: one line per other model, metric and group
  ratings.csv       with pairwise judges: one line per judge, criterion and model
  plots/            with `write_plots`: every plot as SVG, PDF and PNG, and captions.md
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from roleeval.report.found.collect import Collection, NotShown, RunResult, collect
from roleeval.report.render.markdown import table_lines
from roleeval.report.render.terminal import print_table
from roleeval.report.tables.columns import ordered, value_text
from roleeval.report.tables.published import published_values
from roleeval.report.tables.tables import NOTHING, Cell, Table

if TYPE_CHECKING:
    from rich.console import Console

_FILES = (
    *("report.md", "report.csv", "report.html", "report.tex", "report.png"),
    *("differences.csv", "ratings.csv"),
)
Format = Literal["markdown", "csv", "latex", "html"]

__all__ = [
    "NOTHING",
    "Cell",
    "Collection",
    "Format",
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

    def __init__(
        self,
        paths: Iterable[str | Path],
        *,
        reference: str | None = None,
        metrics: Sequence[str] = (),
        models: Sequence[str] = (),
    ) -> None:
        """Reads and compares.

        Args:
            paths: result folders, or folders above them.
            reference: as for `print_report`.
            metrics: columns of the headline tables: names, their last parts, or labels; () is the few that represent
                a benchmark.
            models: rows of the headline tables; () is all.

        Raises:
            ResultError: a path is not a folder, or the reference, a metric or a model is not among the runs.
        """
        from roleeval.report.found.names import with_names
        from roleeval.report.found.seeds import with_rows
        from roleeval.report.tables.chosen import Choice
        from roleeval.report.tables.contents import contents

        collection = with_names(with_rows(collect(paths)))
        choice = Choice(tuple(metrics), tuple(models))
        self._contents = contents(collection, reference=reference, choice=choice)

    @property
    def runs(self) -> int:
        """How many runs it is about."""
        return len(self._contents.collection.runs)

    def show(self, console: "Console | None" = None, *, published: bool = True, diagnostics: bool = False) -> int:
        """Prints it; `diagnostics` adds tables of all metrics. Otherwise see `print_report`."""
        from roleeval.report.render import terminal
        from roleeval.report.render.console import standard_output

        terminal.print_report(
            self._contents, console or standard_output(), published=published, diagnostics=diagnostics
        )
        return self.runs

    def text(self, kind: Format) -> str:
        """The headline tables alone, for a paper or a program."""
        from roleeval.report.render.html import html
        from roleeval.report.render.latex import latex
        from roleeval.report.render.markdown import headlines
        from roleeval.report.render.tidy import tidy

        return {"markdown": headlines, "csv": tidy, "latex": latex, "html": html}[kind](self._contents)

    def write_plots(self, out: Path, *, kinds: Sequence[str] = ()) -> list[Path]:
        """Writes all plots that the data allow, with their captions.

        Args:
            out: the report's folder; they are in plots/ below it.
            kinds: of files ("svg", "pdf", "png"); () is all.

        Returns:
            The files; [] where there is nothing to draw.

        Raises:
            ResultError: a file could not be written.
        """
        from roleeval.report.plots import plots
        from roleeval.report.render.markdown import escape
        from roleeval.results import write_atomically

        drawn, folder = plots(self._contents, kinds=kinds), out / "plots"
        lines = ["# Plots", ""]
        for plot in drawn:
            lines += [f"![]({quote(plot.name)}.{next(iter(plot.files))})", "", escape(plot.caption), ""]
        files = {folder / f"{plot.name}.{kind}": data for plot in drawn for kind, data in plot.files.items()}
        if drawn:
            files[folder / "captions.md"] = "\n".join(lines).encode(errors="backslashreplace")
        for file, content in files.items():
            write_atomically(file, content)
        for old in folder.glob("*"):
            if old not in files and old.suffix in (".svg", ".pdf", ".png"):
                old.unlink()  # of an earlier report, about other runs
        return list(files)

    def write(self, out: Path) -> list[Path]:
        """See `write_report`."""
        from roleeval.report.plots import headline_picture
        from roleeval.report.render.csv import csv_text
        from roleeval.report.render.markdown import markdown
        from roleeval.report.tables.differences import differences_csv
        from roleeval.report.tables.ratings import ratings_csv
        from roleeval.results import write_atomically

        found = self._contents
        texts = {
            "report.md": markdown(found),
            "report.csv": csv_text(found.collection),
            "report.html": self.text("html"),
            "report.tex": self.text("latex"),
            "differences.csv": differences_csv(found.compared) if found.compared else "",
            "ratings.csv": ratings_csv(found.ratings) if found.ratings else "",
        }
        contents = {"report.png": headline_picture(found)}
        contents |= {name: text.encode(errors="backslashreplace") for name, text in texts.items()}
        contents = {name: contents[name] for name in _FILES}
        for name, content in contents.items():
            if content:
                write_atomically(out / name, content)
            else:
                (out / name).unlink(missing_ok=True)  # of an earlier report, about other runs
        return [out / name for name, content in contents.items() if content]
