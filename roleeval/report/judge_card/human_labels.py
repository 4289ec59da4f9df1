"""Human labels: people's ratings of the same answers, from a CSV or JSON Lines file.

sample      as in transcripts.jsonl ("eng_general/1")
model       the run's model, or MODEL/RUN
criterion   a metric of the judge without its column ("overall", "character", "style"; "style/win" is "style")
value       a number: points, or for comparisons 1 (win), 0.5 (tie) or 0 (loss)
rater       optional; several raters of one answer are averaged
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.errors import DataError
from roleeval.jsonfiles import parse_json

_NEEDED = ("sample", "model", "criterion", "value")


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """One person's rating of one answer; `line` is its line in the file."""

    sample: str
    model: str
    criterion: str
    value: float
    rater: str
    line: int


def read_human_labels(file: Path) -> list[HumanLabel]:
    """Reads a file of human labels (.csv, .jsonl).

    Raises:
        DataError: it cannot be read, a column is missing, a value is no number, or a rater labels an answer twice;
            names line and column.
    """
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}.get(file.suffix.lower())
    if rows is None:
        raise DataError(f"{file}: labels are a .csv or .jsonl file with the columns {', '.join(_NEEDED)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text ({error})") from error
    labels: list[HumanLabel] = []
    first: dict[tuple[str, ...], int] = {}
    for line, row in rows(file, text):
        label = _label(file, line, row)
        key = (label.sample, label.model, label.criterion, label.rater)
        if key in first:
            raise DataError(
                f"{file}, line {line}: the same sample, model and criterion as line {first[key]}; give raters in a"
                " column rater, or remove one"
            )
        first[key] = line
        labels.append(label)
    if not labels:
        raise DataError(f"{file}: contains no labels")
    return labels


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        _check_columns(file, 1, reader.fieldnames or ())
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error})") from error


def _json_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line.encode(errors="surrogatepass"))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: not a JSON object")
        _check_columns(file, number, row)
        yield number, row


def _check_columns(file: Path, line: int, there: Any) -> None:
    if absent := [name for name in _NEEDED if name not in there]:
        found = ", ".join(map(str, there)) or "none"
        raise DataError(f"{file}, line {line}: the column {absent[0]!r} is missing; there are: {found:.300}")


def _label(file: Path, line: int, row: Mapping[str, Any]) -> HumanLabel:
    for name in _NEEDED:
        if row[name] is None or not str(row[name]).strip():
            raise DataError(f"{file}, line {line}: {name} is empty")
    try:
        value = float(row["value"])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{file}, line {line}: value is {row['value']!r}, not a number")
    sample, model, criterion = (str(row[name]).strip() for name in ("sample", "model", "criterion"))
    return HumanLabel(sample, model, criterion, value, str(row.get("rater") or "").strip(), line)
