"""`roleeval site`: the leaderboard, with every answer behind it, as a folder that opens in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from roleeval.cli._say import say, show


def site(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")],
    out: Annotated[Path, typer.Option(help="The folder to write: new, empty, or an earlier site, which is replaced.")],
    plots: Annotated[bool, typer.Option("--plots", help="Also draw the report's plots; a second or two each.")] = False,
) -> None:
    """Write the results as a web page that needs no server: leaderboard, answers, judgements, comparisons."""
    from roleeval.report.leaderboard import build_site

    written = build_site(paths, out, plots=plots)
    for each in written.not_shown:
        say(f"not shown: {each.path}: {each.reason}")
    say(f"{written.runs} runs, {written.bytes / 1e6:.1f} MB of data; open this file in a browser:")
    show(written.page)
