"""`roleeval score`: scores any file of predictions."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roleeval.cli._columns import OPTIONS, print_columns
from roleeval.cli._say import say, show, show_json

if TYPE_CHECKING:
    from roleeval.integrations.rolebench_files import Coverage, FileScores

score = typer.Typer(help="Score a file of predictions from any system.", **OPTIONS)


class LanguageName(StrEnum):
    """The languages that metrics support."""

    en = "en"
    zh = "zh"


@score.command("rolebench")
def score_rolebench(
    references: Annotated[Path, typer.Option(help="JSON lines with role, question, generated: [reference, ...].")],
    predictions: Annotated[Path, typer.Option(help="JSON lines with role, question, generated: [prediction].")],
    language: Annotated[LanguageName, typer.Option(help="Language of the texts.")],
    reasoning_marks: Annotated[
        str, typer.Option(help='What reasoning stands in: auto, none, a name, or a pair of marks ("<plan> </plan>").')
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Score predictions in RoleBench's row format, joined on the exact role and question."""
    from roleeval.integrations.rolebench_files import score_rolebench as score_files

    scores = score_files(references, predictions, language.value, marks=reasoning_marks)
    text = json.dumps(scores.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    for warning in _warnings(scores.coverage):
        say(f"roleeval: {warning}")
    if out is not None:
        from roleeval.results import write_atomically

        write_atomically(out, f"{text}\n".encode())
    if as_json:
        show_json(text)
        return
    _print_scores(scores)
    _print_unmatched(scores.coverage)


def _warnings(coverage: "Coverage") -> list[str]:
    found = {
        f"contain reasoning, which was removed ({_marks(coverage)})": coverage.reasoning_removed,
        "open reasoning without closing it: no answer, scored 0": coverage.reasoning_unclosed,
        "contain no answer and are scored 0": coverage.no_answer,
        "contain several texts; only the first is scored": coverage.further_texts,
        "without a reference differ from a reference only in white space; keys must match exactly": (
            coverage.differ_in_white_space
        ),
        "without a reference differ from a reference only in letter case or Unicode form; keys must match exactly": (
            coverage.differ_in_form
        ),
    }
    warnings = [f"warning: {count} predictions {what}" for what, count in found.items() if count]
    if count := coverage.unmatched_references:
        warnings.append(
            f"warning: {count} of {coverage.references} references have no prediction; they are missing, and the means"
            " are over the others"
        )
    if count := coverage.wordless_references:
        warnings.append(
            f"warning: the references of {count} predictions hold no letter and no digit; metrics that compare with"
            " references are missing there"
        )
    return warnings


def _marks(coverage: "Coverage") -> str:
    from roleeval.models.marks import described

    return ", ".join(f"{described(name)}: {count}" for name, count in coverage.reasoning_marks.items())


def _print_scores(scores: "FileScores") -> None:
    from roleeval.report import ordered, value_text

    coverage = scores.coverage
    show(f"matched {coverage.matched} of {coverage.references} references and {coverage.predictions} predictions")
    rows = [("metric", "mean", "95 % interval", "n", "missing")]
    for name in ordered(scores.metrics, scores.infos):
        entry, unit = scores.metrics[name], scores.infos[name].unit
        mean = "–" if entry["mean"] is None else value_text(unit, entry["mean"])
        interval = (
            "–"
            if entry["ci_low"] is None
            else f"[{value_text(unit, entry['ci_low'])}, {value_text(unit, entry['ci_high'])}]"
        )
        rows.append((name, mean, interval, str(entry["n"]), str(entry["missing"])))
    print_columns(rows)


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
        say(f"{side.replace('_', ' ')}: {count}{first}")
        for role, question in keys:
            say(f"  {role!r} {question!r}")
