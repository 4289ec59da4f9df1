"""A calibration as files and on the terminal."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval import __version__
from roleeval.benchmarks.minimax.calibration import calibration_json
from roleeval.integrations.minimax.calibration.findings import Findings
from roleeval.integrations.minimax.calibration.plots import models_png, rule_png
from roleeval.integrations.minimax.calibration.tables import calibration_tables
from roleeval.plain import plain
from roleeval.report import print_table, table_lines
from roleeval.results import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

_ARRAYS = ("official", "ours")  # of Scores: the result folders have them
_OPENING = (
    "How the official scores of the Role-play Bench are made, as far as the released sessions say it, and how far a"
    " judge of ours agrees with them. Languages are never pooled, except where published numbers are. Made by roleeval"
)


def print_calibration(findings: Findings, console: "Console | None" = None) -> None:
    """Prints the tables."""
    from rich.text import Text

    from roleeval.report.render.console import standard_output

    console = console or standard_output()
    for table in calibration_tables(findings):
        print_table(table, console)
        for note in table.notes:
            console.print(Text(plain(note), style="dim"))
        console.print()


def write_calibration(findings: Findings, out: Path) -> list[Path]:
    """Writes calibration.json, calibration.md and the plots; a plot without anything to show is left out.

    Raises:
        ResultError: a file could not be written.
    """
    plots = {"rule.png": rule_png(findings), "models.png": models_png(findings)}
    data = json.dumps(as_json(findings), ensure_ascii=False, indent=2, allow_nan=False)
    contents = {
        "calibration.json": f"{data}\n".encode(),
        "calibration.md": _markdown(findings, [name for name, content in plots.items() if content]).encode(
            errors="backslashreplace"
        ),
        **plots,
    }
    for name, content in contents.items():
        if content:
            write_atomically(out / name, content)
        else:
            (out / name).unlink(missing_ok=True)  # of an earlier calibration
    return [out / name for name, content in contents.items() if content]


def as_json(findings: Findings) -> dict[str, Any]:
    """What a later run reads (benchmarks.minimax.calibration), and all details."""
    scale = {each.scores.language: each.tuning.lines for each in findings.languages if each.tuning is not None}
    return calibration_json(findings.used, findings.judge, scale) | {"details": _plain(findings)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name not in _ARRAYS}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown(findings: Findings, plots: list[str]) -> str:
    lines = ["# Calibration on the Role-play Bench", "", f"{_OPENING} {__version__}.", ""]
    lines += [line for table in calibration_tables(findings) for line in table_lines(table)]
    for name in plots:
        lines += [f"![{name.removesuffix('.png')}]({name})", ""]
    return "\n".join(lines).rstrip("\n") + "\n"
