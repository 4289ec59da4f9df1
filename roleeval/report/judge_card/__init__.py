"""Judge cards: how reliable a judge's verdicts in finished folders are.

DIR/
  card.json   everything, with full precision
  card.md     the same as tables
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.judge_card.human_labels import HumanLabel, read_human_labels
from roleeval.report.judge_card.measure import Agreement, Card, measure
from roleeval.report.judge_card.tables import card_tables

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Agreement", "Card", "HumanLabel", "judge_cards", "print_cards", "read_human_labels", "write_cards"]


def judge_cards(paths: Iterable[str | Path], labels: Path | None = None) -> list[Card]:
    """One card for each judge's column in the finished folders at or below the paths.

    Args:
        paths: result folders, or folders above them.
        labels: a file of human labels (`read_human_labels`).

    Raises:
        ResultError: a path is no folder, or a folder's files are damaged.
        DataError: the labels are not what `read_human_labels` describes, or are about what no judge has judged.
    """
    from roleeval.report import collect
    from roleeval.results import ResultFolder
    from roleeval.results.verdicts import judge_columns

    given = read_human_labels(labels) if labels else []
    return measure(judge_columns(ResultFolder(run.path) for run in collect(paths).runs), given, source=str(labels))


def print_cards(cards: Sequence[Card], console: "Console | None" = None) -> None:
    """Prints the cards' tables."""
    from rich.text import Text

    from roleeval.report import print_table
    from roleeval.report.render.console import standard_output

    console = console or standard_output()
    for table in card_tables(cards):
        print_table(table, console)
        for note in table.notes:
            console.print(Text(plain(note), style="dim"))
        console.print()


def write_cards(cards: Sequence[Card], out: Path) -> list[Path]:
    """Writes card.json and card.md.

    Raises:
        ResultError: a file could not be written.
    """
    from roleeval.report import table_lines
    from roleeval.results import write_atomically

    lines = ["# Judge card", "", *(line for table in card_tables(cards) for line in table_lines(table))]
    data = json.dumps([card.to_json() for card in cards], ensure_ascii=False, indent=2, allow_nan=False)
    contents = {out / "card.json": f"{data}\n", out / "card.md": "\n".join(lines).rstrip("\n") + "\n"}
    for file, content in contents.items():
        write_atomically(file, content.encode(errors="backslashreplace"))
    return list(contents)
