"""`roleeval calibrate`: how far judges agree with scores that somebody else has published."""

from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._columns import OPTIONS
from roleeval.cli._say import say

calibrate = typer.Typer(help="Measure how far a judge agrees with published scores.", **OPTIONS)


@calibrate.callback()
def _group() -> None:
    # with a single command typer would omit its name
    pass


@calibrate.command("minimax")
def calibrate_minimax(
    results: Annotated[list[Path], typer.Argument(help="Folders of imported official sessions, or above them.")],
    out: Annotated[Path, typer.Option(help="The folder for calibration.json, calibration.md and the plots.")],
    judge: Annotated[
        str | None, typer.Option(help="The judge's column, or its beginning; needed if there are several.")
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Published numbers (YAML); default: results/published/minimax.yaml.")
    ] = None,
    difference: Annotated[
        float, typer.Option(min=0.01, help="Points; the numbers of sessions that find it are given.")
    ] = 2.0,
) -> None:
    """Fit how official scores are made, and measure how far a judge of ours agrees with them."""
    from roleeval.integrations.minimax import calibration

    findings = calibration.calibrate(results, published=published, judge=judge, difference=difference)
    calibration.print_calibration(findings)
    for file in calibration.write_calibration(findings, out):
        say(f"written: {file}")
