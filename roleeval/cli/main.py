"""The console script `roleeval`. Everything heavy is imported inside the command that needs it.

Exit codes: 0 done; 1 what was asked for is not possible (one line on stderr says why); 2 the command line is wrong;
130 interrupted. `run` has those of roleeval.cli.hydra_app.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from roleeval import __version__
from roleeval.cli.adapters import adapters
from roleeval.cli.imports import imports
from roleeval.cli.judge import judge_card
from roleeval.cli.prompts import prompts
from roleeval.errors import DataError, ResultError, RoleEvalError

if TYPE_CHECKING:
    from roleeval.benchmarks.rolebench.check import FolderCheck
    from roleeval.integrations.rolebench_files import Coverage, FileScores

_MALFORMED_LISTED = 20


class LanguageName(StrEnum):
    """The languages that metrics know."""

    en = "en"
    zh = "zh"


class _Group(TyperGroup):
    """Turns the errors a user can act on into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RoleEvalError as error:
            print(f"roleeval: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("\nroleeval: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None


# Without rich markup --help does not import rich.
_OPTIONS: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "add_completion": False}
app = typer.Typer(
    cls=_Group, help="Evaluates role-playing language models.", pretty_exceptions_enable=False, **_OPTIONS
)
score = typer.Typer(help="Score a file of predictions, whoever made it.", **_OPTIONS)
data = typer.Typer(help="Check and fetch benchmark data.", **_OPTIONS)
zoo = typer.Typer(help="The project's own small models.", **_OPTIONS)
export = typer.Typer(help="Write results in the layout of other tools.", **_OPTIONS)
app.add_typer(score, name="score")
app.add_typer(export, name="export")
app.add_typer(data, name="data")
app.add_typer(zoo, name="zoo")
app.add_typer(adapters, name="adapters")
app.add_typer(prompts, name="prompts")
app.command("judge-card")(judge_card)
app.add_typer(imports, name="import")


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


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(help="Result folders, or folders above them, such as results/.")],
    out: Annotated[Path | None, typer.Option(help="Also write report.md and report.csv into this folder.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="A model (or MODEL/RUN): also show paired differences of the others from it.")
    ] = None,
) -> None:
    """Compare finished runs: the headline here, all metrics in report.md and report.csv."""
    from roleeval.report import Report

    found = Report(paths, reference=reference)
    if not found.show():
        where = ", ".join(str(path) for path in paths)
        raise ResultError(f"no finished and scored run at or below {where}")
    if out is not None:
        for file in found.write(out):
            print(f"written: {file}", file=sys.stderr)


@score.command("rolebench")
def score_rolebench(
    references: Annotated[Path, typer.Option(help="JSON lines with role, question, generated: [reference, ...].")],
    predictions: Annotated[Path, typer.Option(help="JSON lines with role, question, generated: [prediction].")],
    language: Annotated[LanguageName, typer.Option(help="Language of the texts.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON into this file.")] = None,
) -> None:
    """Score predictions in RoleBench's row format, joined on the exact role and question."""
    from roleeval.integrations import rolebench_files as scoring_files

    scores = scoring_files.score_rolebench(references, predictions, language.value)
    text = json.dumps(scores.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    for warning in _warnings(scores.coverage):
        print(f"roleeval: {warning}", file=sys.stderr)
    if out is not None:
        from roleeval.results import write_atomically

        write_atomically(out, f"{text}\n".encode())
    if as_json:
        print(text)
        return
    _print_scores(scores)
    _print_unmatched(scores.coverage)


def _warnings(coverage: "Coverage") -> list[str]:
    found = {
        "hold reasoning, which was removed up to the last </think>": coverage.reasoning_removed,
        "open <think> and never close it: no answer, scored 0": coverage.reasoning_unclosed,
        "hold no answer and are scored 0": coverage.no_answer,
        "hold several texts; the first of each is scored": coverage.further_texts,
        "without a reference differ from one only in outer white space; keys are compared exactly": (
            coverage.differ_in_white_space
        ),
    }
    return [f"warning: {count} predictions {what}" for what, count in found.items() if count]


def _print_scores(scores: "FileScores") -> None:
    from roleeval.report import number, ordered

    coverage = scores.coverage
    print(f"matched {coverage.matched} of {coverage.references} references and {coverage.predictions} predictions")
    rows = [("metric", "mean", "95 % interval", "n", "missing")]
    for name in ordered(scores.metrics):
        entry = scores.metrics[name]
        mean = "–" if entry["mean"] is None else number(name, entry["mean"])
        interval = (
            "–" if entry["ci_low"] is None else f"[{number(name, entry['ci_low'])}, {number(name, entry['ci_high'])}]"
        )
        rows.append((name, mean, interval, str(entry["n"]), str(entry["missing"])))
    _print_columns(rows)


def _print_unmatched(coverage: "Coverage") -> None:
    counts: Mapping[str, int] = {
        "unmatched_references": coverage.unmatched_references,
        "unmatched_predictions": coverage.unmatched_predictions,
    }
    for side, count in counts.items():
        if not count:
            continue
        keys = coverage.examples[side]
        first = f" (the first {len(keys)})" if count > len(keys) else ""
        print(f"{side.replace('_', ' ')}: {count}{first}", file=sys.stderr)
        for role, question in keys:
            print(f"  {role!r} {question!r}", file=sys.stderr)


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned names, right-aligned numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


@data.command("check")
def data_check(path: Annotated[Path, typer.Argument(help="A folder in RoleBench's layout.")]) -> None:
    """Read every row of a RoleBench folder and say what is there; fails when a row is malformed."""
    from roleeval.benchmarks.rolebench.check import check_rolebench

    check = check_rolebench(path)
    _print_check(check)
    if check.malformed:
        for reason in check.malformed[:_MALFORMED_LISTED]:
            print(reason, file=sys.stderr)
        raise DataError(f"{path}: {len(check.malformed)} malformed; mend them, or run with benchmark.on_error=skip")


def _print_check(check: "FolderCheck") -> None:
    head = ("file", "rows", "roles", "references", "duplicates", "newline", "strip merges", "malformed")
    rows: list[tuple[str, ...]] = [head]
    for file in check.files:
        counts = (file.rows, file.roles, file.references, file.duplicates, file.newline_questions, file.strip_merges)
        rows.append((file.file, *map(str, counts), str(len(file.malformed))))
    _print_columns(rows)
    print("duplicates: rows whose exact (role, question) came before; newline: questions that hold one;")
    print("strip merges: keys that would fall together if they were stripped (they never are).")
    for name, counted in (("role descriptions", check.descriptions), ("RAW references", check.raw_references)):
        print(f"{name}: " + ", ".join(f"{language} {count or 'none'}" for language, count in counted.items()))
    if check.absent:
        print(f"splits that are not there: {', '.join(check.absent)}")


@data.command("fetch")
def data_fetch(
    address: Annotated[str, typer.Argument(help="hf://OWNER/NAME@COMMIT, the commit with all its 40 digits.")],
    to: Annotated[Path, typer.Option(help="The folder to put the files into.")],
) -> None:
    """Download a pinned revision of RoleBench from the Hugging Face hub."""
    from roleeval.benchmarks.rolebench import fetch

    print(f"fetched: {fetch(address, to=to)}")


@zoo.command("build")
def zoo_build(
    out: Annotated[
        Path | None, typer.Option(help="Where to put the models; default: the package's own folder.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build this one only; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
) -> None:
    """Train the small models on the embedded data, on the CPU, reproducibly."""
    from roleeval.resources import ZOO_WEIGHTS
    from roleeval.zoo.build import build

    folder = out or ZOO_WEIGHTS
    record = build(folder, only or None, seed)
    print(f"built: {', '.join(record)} in {folder}")


@zoo.command("list")
def zoo_list() -> None:
    """List the small models and their sizes."""
    from roleeval.resources import zoo_names, zoo_path

    for name in zoo_names():
        size = sum(file.stat().st_size for file in zoo_path(name).rglob("*") if file.is_file()) / 1e6
        print(f"zoo:{name}  {size:.1f} MB in {zoo_path(name)}")


@export.command("lm-eval")
def export_lm_eval(
    folder: Annotated[Path, typer.Argument(help="A finished, scored result folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write into.")],
) -> None:
    """Write a result folder in lm-eval's results/samples layout."""
    from roleeval.integrations.lm_eval.export import export as write

    for file in write(folder, out):
        print(file)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="roleeval")
