"""`roleeval import`: imports results of other tools as result folders."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._say import show

if TYPE_CHECKING:
    from roleeval.integrations.coser.importer import Difference

_LISTED = 20
# Without rich markup --help does not import rich.
imports = typer.Typer(
    help="Import results of other tools as result folders.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


class ProtocolName(StrEnum):
    """The protocols of CoSER's evaluation that differ in how scores are capped or averaged."""

    paper = "paper"
    feb25 = "feb25"
    head = "head"
    her = "her"


@imports.command("coser")
def import_coser(
    file: Annotated[Path, typer.Argument(help="An evaluation file written by CoSER's code.")],
    model: Annotated[str, typer.Option(help="The name of the simulated model in reports.")],
    out: Annotated[Path, typer.Option(help="The result folder to write, for example results/coser/NAME/official.")],
    simulation: Annotated[
        Path | None, typer.Option(help="The file with the simulations, if FILE does not contain them.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="CoSER's test_set.json: separates id from ood; default: one group.")
    ] = None,
    judge: Annotated[str, typer.Option(help="The name of the judge model in reports.")] = "not named by the file",
    protocol: Annotated[
        ProtocolName, typer.Option(help="paper: scores are not capped at 100, and id and ood have equal weight.")
    ] = ProtocolName.head,
) -> None:
    """Recompute the scores of an official evaluation file and write them as a result folder.

    Prints every stored score that differs from the one recomputed from its flaws.
    """
    from roleeval.integrations.coser import importer

    done = importer.import_coser(
        file, out, model=model, simulation=simulation, data=data, judge=judge, protocol=protocol.value
    )
    for remark in done.remarks:
        show(f"severity: {remark.case}, {remark.dimension}, {remark.text}")
    for difference in done.differences:
        show(_line(difference))
    show(
        f"imported: {done.cases} cases, {done.verdicts} verdicts; {len(done.differences)} stored scores differ,"
        f" {len(done.remarks)} severities read with a remark, {done.missing} dimension scores missing; {out}"
    )


class TableLanguage(StrEnum):
    """The languages of the Role-play Bench, which are never pooled."""

    en = "en"
    zh = "zh"


class OnError(StrEnum):
    """What a malformed row does."""

    stop = "raise"
    skip = "skip"


@imports.command("minimax")
def import_minimax(
    dialogues: Annotated[Path, typer.Option(help="The table of sessions of one language (.jsonl, .parquet).")],
    evaluations: Annotated[Path, typer.Option(help="The table of their official scores.")],
    out: Annotated[Path, typer.Option(help="The folder for a result folder of each model: results/minimax.")],
    seeds: Annotated[
        Path | None, typer.Option(help="The table of seeds: adds the cards, without which nothing can be judged again.")
    ] = None,
    language: Annotated[
        TableLanguage | None, typer.Option(help="Of the files, if neither the seeds' ids nor the folder say it.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="skip: leave out malformed rows, and sessions without scores, and count them.")
    ] = OnError.stop,
) -> None:
    """Write official sessions of the Role-play Bench and their scores as result folders, one for each model."""
    from roleeval.integrations.minimax import importer

    done = importer.import_minimax(
        dialogues,
        evaluations,
        out=out,
        seeds=seeds,
        language=None if language is None else language.value,
        on_error=on_error.value,
    )
    for kind, lines in (("skipped", done.skipped), ("left out", done.unpaired), ("opening", done.other_openings)):
        for line in lines[:_LISTED]:
            show(f"{kind}: {line}")
        if len(lines) > _LISTED:
            show(f"{kind}: {len(lines) - _LISTED} more")
    for folder in done.folders:
        show(folder)
    show(
        f"imported: {done.sessions} sessions of {done.seeds} seeds ({done.language}) in {len(done.folders)} folders;"
        f" {len(done.skipped)} malformed rows, {len(done.unpaired)} sessions or scores without their counterpart,"
        f" {len(done.other_openings)} sessions that do not begin as their seed, {done.empty} empty messages,"
        f" {done.reasoning_removed} messages with reasoning, which is kept apart"
    )


def _line(difference: "Difference") -> str:
    case = difference.case or "mean over all cases"
    recomputed = "none" if difference.recomputed is None else f"{difference.recomputed:.6g}"
    return f"differs: {case}, {difference.dimension}: stored {difference.stored:.6g}, recomputed {recomputed}"
