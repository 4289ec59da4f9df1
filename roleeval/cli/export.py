"""`roleeval export`: results in the layout of other tools."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._columns import OPTIONS
from roleeval.cli._say import say, show

export = typer.Typer(help="Export results in the layout of other tools.", **OPTIONS)
Paths = Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")]


class LogFormat(StrEnum):
    """What `export inspect --format` takes."""

    eval = "eval"
    json = "json"


@export.command("lm-eval")
def lm_eval(
    folder: Annotated[Path, typer.Argument(help="A finished, scored result folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write into.")],
) -> None:
    """Write a result folder in lm-eval's results/samples layout."""
    from roleeval.integrations.lm_eval.export import export as write

    for file in write(folder, out):
        show(file)


@export.command("inspect")
def inspect(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="The folder for the logs, for inspect view --log-dir.")],
    format: Annotated[LogFormat, typer.Option(help="Inspect's compressed format, or its JSON.")] = LogFormat.eval,
) -> None:
    """Write a log of inspect-ai for each run; needs the extra inspect."""
    from roleeval.integrations.inspect_log.export import export as write

    written, left_out = write(paths, out, format=format.value)
    for each in left_out:
        say(f"not exported: {each.path}: {each.reason}")
    for file in written:
        show(file)
