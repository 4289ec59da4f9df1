"""`roleeval export`: results in the layout of other tools."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

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


Project = Annotated[str, typer.Option(help="What the runs are listed below there.")]


@export.command("mlflow")
def mlflow(paths: Paths, project: Project = "roleeval") -> None:
    """Log finished runs to MLflow (MLFLOW_TRACKING_URI says where): options, headline means, the report."""
    _track(paths, "mlflow", project)


@export.command("wandb")
def wandb(paths: Paths, project: Project = "roleeval") -> None:
    """Log finished runs to Weights & Biases (WANDB_MODE=offline keeps them here)."""
    _track(paths, "wandb", project)


@export.command("trackio")
def trackio(paths: Paths, project: Project = "roleeval") -> None:
    """Log finished runs to trackio (TRACKIO_DIR says where)."""
    _track(paths, "trackio", project)


def _track(paths: list[Path], tracker: Literal["mlflow", "wandb", "trackio"], project: str) -> None:
    from roleeval.integrations.trackers import track

    found = track(paths, tracker, project=project)
    for each in found.not_shown:
        say(f"not exported: {each.path}: {each.reason}")
    say(f"{len(found.runs)} runs logged to {tracker}, {project}")
