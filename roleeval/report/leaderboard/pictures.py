"""The report's plots for the site: plots/p0.svg and so on, each with its caption."""

from pathlib import Path

from roleeval.report.found.collect import Collection
from roleeval.report.plots import plots
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.contents import contents
from roleeval.results import write_atomically


def write_plots(collection: Collection, site: Path) -> list[dict[str, str]]:
    """Draws all plots that the data allow.

    Args:
        collection: the runs, with rows and names.
        site: the site's folder.

    Returns:
        File below the site's folder and caption of each, as the index holds them.

    Raises:
        ResultError: score rows or judgements cannot be read, or a file could not be written.
    """
    found = []
    for number, plot in enumerate(plots(contents(collection, reference=None, choice=Choice()), kinds=("svg",))):
        file = f"plots/p{number}.svg"
        write_atomically(site / file, plot.files["svg"])
        found.append({"file": file, "caption": plot.caption})
    return found
