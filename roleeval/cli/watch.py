"""`roleeval watch`: runs while they are under way, on the terminal."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from roleeval.stages.watching import Mean, Seen

_COLOURS = {"running": "cyan", "finished": "green", "stopped": "yellow", "damaged": "red"}


def watch(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")],
    once: Annotated[bool, typer.Option("--once", help="Print what is there now, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 5.0,
) -> None:
    """Watch runs: how far each is, how fast, and the means of those that are finished. Ctrl-C ends it."""
    from rich.live import Live

    from roleeval.report.render.console import standard_output
    from roleeval.stages.watching import Watch

    watching, console = Watch(paths), standard_output()
    if once:
        console.print(_table(watching.look()))
        return
    first = _table(watching.look())
    with suppress(KeyboardInterrupt), Live(first, console=console, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(_table(watching.look()), refresh=True)


def _table(seen: "list[Seen]") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from roleeval.plain import plain

    table = Table(box=None, pad_edge=False)
    for head, number in (("state", False), ("run", False), ("samples", True), ("tokens/s", True), ("", False)):
        # what is said of a run is folded, never its name
        table.add_column(head, justify="right" if number else "left", overflow="fold", no_wrap=head != "")
    for run in seen:
        name = "/".join(run.path.resolve().parts[-3:])
        speed = f"{run.tokens_per_s:.0f}" if run.tokens_per_s is not None else ""
        said = "\n".join(plain(text) for text in (*map(_mean, run.means), run.note) if text)
        state = Text(run.state, style=_COLOURS[run.state])
        table.add_row(state, Text(plain(name)), _samples(run), speed, Text(said))
    return table if seen else Text("No runs yet.")


def _samples(run: "Seen") -> str:
    planned = "?" if run.planned is None else run.planned
    failed = f", {run.failed} failed" if run.failed else ""
    return f"{run.done}/{planned}{failed}" if run.done or run.planned is not None else ""


def _mean(mean: "Mean") -> str:
    low, high = mean.entry.ci_low, mean.entry.ci_high
    interval = f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else ""
    return f"{mean.group} {mean.label} {mean.entry.mean:.4g}{interval}"
