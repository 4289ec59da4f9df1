"""The console script `roleeval`. Everything heavy is imported inside the command that needs it.

Exit codes: 0 done; 1 failed (one line on stderr says why); 2 the command line is wrong; 130 interrupted. `run` has the
exit codes of roleeval.cli.hydra_app, `regress` and `gate` those of roleeval.cli.regress.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from roleeval import __version__
from roleeval.cli._columns import OPTIONS
from roleeval.cli._say import say, show
from roleeval.cli.adapters import adapters
from roleeval.cli.calibrate import calibrate
from roleeval.cli.data import data
from roleeval.cli.export import export
from roleeval.cli.gate import gate
from roleeval.cli.imports import imports
from roleeval.cli.judge import judge_card
from roleeval.cli.plan import plan
from roleeval.cli.prompts import prompts
from roleeval.cli.regress import regress
from roleeval.cli.score import score
from roleeval.cli.site import site
from roleeval.cli.watch import watch
from roleeval.cli.zoo import zoo
from roleeval.errors import ResultError, RoleEvalError


class _Group(TyperGroup):
    """Turns errors that a user can fix into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RoleEvalError as error:
            say(f"roleeval: {' '.join(str(error).split())}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("\nroleeval: interrupted")
            raise typer.Exit(130) from None


app = typer.Typer(cls=_Group, help="Evaluates role-playing language models.", pretty_exceptions_enable=False, **OPTIONS)
app.add_typer(score, name="score")
app.add_typer(export, name="export")
app.add_typer(data, name="data")
app.add_typer(zoo, name="zoo")
app.add_typer(adapters, name="adapters")
app.add_typer(prompts, name="prompts")
app.command("judge-card")(judge_card)
app.command("site")(site)
app.command("regress")(regress)
app.command("gate")(gate)
app.command("watch")(watch)
app.add_typer(imports, name="import")
app.add_typer(calibrate, name="calibrate")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"roleeval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def run(context: typer.Context) -> None:
    """Run an evaluation; takes the arguments of run_eval.py (roleeval run --help lists them)."""
    from roleeval.cli.hydra_app import main

    raise typer.Exit(main(context.args))


app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(plan)


class TableFormat(StrEnum):
    """What `report --format` takes."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"
    html = "html"


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")],
    out: Annotated[Path | None, typer.Option(help="Also write the report's files into this folder.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="A row's name in tables, or MODEL/RUN: also show the paired difference of every other model from it."
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="Columns of the headline tables: names in files, their last parts or labels, by commas."),
    ] = "",
    models: Annotated[str, typer.Option(help="Rows of the headline tables, by commas.")] = "",
    diagnostics: Annotated[bool, typer.Option("--diagnostics", help="Also print tables of all metrics.")] = False,
    plots: Annotated[
        bool, typer.Option("--plots", help="With --out: also all plots that the data allow (SVG, PDF, PNG).")
    ] = False,
    plot_formats: Annotated[
        str, typer.Option(help="Which files --plots writes of each plot, by commas: svg, pdf, png; one is fastest.")
    ] = "svg,pdf,png",
    kind: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Print only the headline tables, in this format, and no hints."),
    ] = None,
) -> None:
    """Compare finished runs: prints headline metrics; report.md and report.csv have all metrics."""
    from roleeval.report import Report
    from roleeval.report.plots.canvas import KINDS

    if plots and out is None:
        raise ResultError("--plots needs a folder to write into: add --out DIR")
    kinds = _listed(plot_formats)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ResultError(f"--plot-formats {unknown[0]}: no such format; there are: {', '.join(KINDS)}")
    found = Report(paths, reference=reference, metrics=_listed(metrics), models=_listed(models))
    if not found.runs:
        found.show()
        where = ", ".join(str(path) for path in paths)
        raise ResultError(
            f"no finished and scored run in or below {where}; give result folders, or a folder above them"
        )
    if kind is None:
        found.show(diagnostics=diagnostics)
    else:
        show(found.text(kind.value).rstrip("\n"))
    if out is not None:
        for file in (*found.write(out), *(found.write_plots(out, kinds=kinds) if plots else ())):
            say(f"written: {file}")


def _listed(words: str) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in words.split(",") if word.strip()]


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="roleeval")
