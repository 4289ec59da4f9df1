"""`roleeval judge-card`: measures how reliable the judges of finished runs are."""

from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._say import say
from roleeval.errors import ResultError


def judge_card(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")],
    labels: Annotated[
        Path | None, typer.Option(help="Human labels (.csv, .jsonl): sample, model, criterion, value[, rater].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for card.json and card.md; default: the first path.")] = None,
) -> None:
    """Measure the judges of finished runs: failures, stability, biases and agreement."""
    from roleeval.report.judge_card import judge_cards, print_cards, write_cards

    cards = judge_cards(paths, labels)
    if not cards:
        where = ", ".join(map(str, paths))
        raise ResultError(f"no judged run in or below {where}; judge a run with judge=NAME stages=[judge]")
    print_cards(cards)
    for file in write_cards(cards, out or paths[0]):
        say(f"written: {file}")
