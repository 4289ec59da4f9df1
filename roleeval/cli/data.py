"""roleeval data: checks and fetches benchmark data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._columns import OPTIONS, print_columns
from roleeval.cli._say import say, show
from roleeval.errors import DataError

if TYPE_CHECKING:
    from roleeval.benchmarks.rolebench.check import FolderCheck

_MALFORMED_LISTED = 20
data = typer.Typer(help="Check and fetch benchmark data.", **OPTIONS)


@data.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A folder in the layout of RoleBench or of the Role-play Bench.")],
) -> None:
    """Read every row of a benchmark's folder and print counts; fails if a row is malformed."""
    from roleeval.benchmarks.minimax import check as minimax

    if minimax.is_there(path):
        _check_minimax(path)
    else:
        _check_rolebench(path)


def _check_rolebench(path: Path) -> None:
    from roleeval.benchmarks.rolebench.check import check_rolebench

    check = check_rolebench(path)
    _print_check(check)
    _refuse(path, check.malformed, "malformed rows")


def _check_minimax(path: Path) -> None:
    from roleeval.benchmarks.minimax.check import check_minimax

    check = check_minimax(path)
    head = ("table", "rows", "seeds", "models", "runs", "empty messages", "malformed")
    rows: list[tuple[str, ...]] = [head]
    for table in check.tables:
        counts = (table.rows, table.seeds, table.models, table.runs, table.empty, len(table.malformed))
        rows.append((table.file, *map(str, counts)))
    print_columns(rows)
    show("empty messages: of models, in dialogues; they are outcomes. Languages are never pooled.")
    for note in check.notes:
        show(note)
    if check.absent:
        show(f"missing tables: {', '.join(check.absent)}")
    _refuse(path, check.problems, "malformed rows, or sessions and scores without their counterpart")


def _refuse(path: Path, reasons: Sequence[str], what: str) -> None:
    if reasons:
        for reason in reasons[:_MALFORMED_LISTED]:
            say(reason)
        raise DataError(f"{path}: {len(reasons)} {what}; fix them, or run with benchmark.on_error=skip")


def _print_check(check: "FolderCheck") -> None:
    head = ("file", "rows", "roles", "references", "duplicates", "newline", "strip merges", "malformed")
    rows: list[tuple[str, ...]] = [head]
    for file in check.files:
        counts = (file.rows, file.roles, file.references, file.duplicates, file.newline_questions, file.strip_merges)
        rows.append((file.file, *map(str, counts), str(len(file.malformed))))
    print_columns(rows)
    print("duplicates: rows that repeat an exact (role, question); newline: questions that contain a line break;")
    print("strip merges: keys that differ only in outer white space (they are never stripped).")
    for name, counted in (("role descriptions", check.descriptions), ("RAW references", check.raw_references)):
        show(f"{name}: " + ", ".join(f"{language} {count or 'none'}" for language, count in counted.items()))
    if check.absent:
        show(f"missing splits: {', '.join(check.absent)}")


@data.command("fetch")
def data_fetch(
    address: Annotated[str, typer.Argument(help="hf://OWNER/NAME@COMMIT, with all 40 digits of the commit.")],
    to: Annotated[Path, typer.Option(help="The folder to write the files to.")],
) -> None:
    """Download a pinned revision of RoleBench or of the Role-play Bench from the Hugging Face hub."""
    from roleeval.benchmarks import minimax, rolebench
    from roleeval.benchmarks.hub import fetch_pinned

    files = (*rolebench.FILES, *minimax.FILES)  # a data set has those of one of them
    show(f"fetched: {fetch_pinned(address, files, to=to, example=minimax.RELEASE)}")
