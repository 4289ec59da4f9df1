"""Reading RoleBench's files in their original layout.

    <data_dir>/rolebench-eng/instruction-generalization/{general,role_specific}/{train,test}.jsonl
    <data_dir>/rolebench-eng/role-generalization/{general,role_specific}/test.jsonl
    <data_dir>/rolebench-zh/{general,role_specific}/{train,test}.jsonl
    <data_dir>/profiles-{eng,zh}/desc.json           role -> description (may be missing)
    <data_dir>/instructions-{eng,zh}/*.jsonl         instruction, target: the RAW references (may be missing)

Row: {"role": str, "question": str, "generated": [str, ...], "type": str | [str]}. Texts are exact: a stripped question
would merge rows whose answers differ.
Source: RoleLLM (arXiv 2310.00746) and its released files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roleeval.errors import DataError, cause_of
from roleeval.jsonfiles import json_lines, parse_json, read_json
from roleeval.models import nfc
from roleeval.types import Language


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Where a split is, and what it is compared with."""

    folder: str
    language: Language
    general: bool

    @property
    def test(self) -> str:
        return f"{self.folder}/test.jsonl"

    @property
    def train(self) -> str:
        return f"{self.folder}/train.jsonl"


SPLITS: dict[str, SplitSpec] = {
    "eng_general": SplitSpec("rolebench-eng/instruction-generalization/general", "en", True),
    "eng_specific": SplitSpec("rolebench-eng/instruction-generalization/role_specific", "en", False),
    "rolegen_general": SplitSpec("rolebench-eng/role-generalization/general", "en", True),
    "rolegen_specific": SplitSpec("rolebench-eng/role-generalization/role_specific", "en", False),
    "zh_general": SplitSpec("rolebench-zh/general", "zh", True),
    "zh_specific": SplitSpec("rolebench-zh/role_specific", "zh", False),
}
_SUFFIX: dict[Language, str] = {"en": "eng", "zh": "zh"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a RoleBench file. `number` counts lines from 1."""

    role: str
    question: str
    generated: tuple[str, ...]
    type: str
    number: int


def split_file(data_dir: Path, split: str) -> Path:
    """The test file of a split.

    Raises:
        DataError: it is not there; names the splits that are.
    """
    file = data_dir / SPLITS[split].test
    if not file.is_file():
        found = [name for name, spec in SPLITS.items() if (data_dir / spec.test).is_file()]
        there = f"splits in the folder: {', '.join(found)}" if found else "no RoleBench file in the folder"
        raise DataError(f"benchmark.splits: {split} needs {file}, which does not exist; {there}")
    return file


def read_rows(
    file: Path, *, on_error: Literal["raise", "skip"] = "raise", skipped: list[str] | None = None
) -> Iterator[Row]:
    """Yields the rows of a file; a malformed one raises, or is noted in `skipped`.

    Raises:
        DataError: a row is malformed (names file and line), or the file holds no row.
    """
    empty = True
    for number, line in json_lines(file):
        empty = False
        try:
            row = _row(line, number)
        except Exception as error:  # whatever one row brings out
            reason = f"{file}, line {number}: {error if isinstance(error, ValueError) else cause_of(error)}"
            if on_error == "raise":
                raise DataError(f"{reason}; fix it, or set benchmark.on_error=skip to skip such rows") from error
            if skipped is not None:
                skipped.append(reason)
            continue
        yield row
    if empty:
        raise DataError(f"{file}: contains no rows")


def _row(line: bytes, number: int) -> Row:
    data = parse_json(line)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    role, question = _text(data, "role"), _text(data, "question")
    generated = data.get("generated")
    if not isinstance(generated, list) or not generated or not all(isinstance(g, str) for g in generated):
        raise ValueError("generated must be a non-empty list of strings")
    kind = data.get("type", "")
    kind = "+".join(kind) if isinstance(kind, list) and all(isinstance(k, str) for k in kind) else kind
    if not isinstance(kind, str):
        raise ValueError("type must be a string or a list of strings")
    return Row(role, question, tuple(generated), kind, number)


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a non-empty string")
    return value


def read_descriptions(data_dir: Path, language: Language) -> dict[str, str]:
    """Role, in Unicode's composed form (NFC), -> description; {} where the file is missing.

    Raises:
        DataError: the file is not a JSON object of strings.
    """
    file = data_dir / f"profiles-{_SUFFIX[language]}" / "desc.json"
    if not file.is_file():
        return {}
    try:
        data = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
        raise DataError(f"{file}: expected an object of role -> description")
    return {nfc(role): description for role, description in data.items()}


def read_raw_targets(data_dir: Path, language: Language) -> dict[str, str]:
    """Instruction -> plain answer (the RAW reference); {} if no file is available.

    A duplicate instruction with different answers keeps the first.

    Raises:
        DataError: a line is malformed; names file and line.
    """
    folder = data_dir / f"instructions-{_SUFFIX[language]}"
    targets: dict[str, str] = {}
    for file in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        for number, line in json_lines(file):
            try:
                data = parse_json(line)
                if not isinstance(data, dict):
                    raise ValueError("not a JSON object")
                instruction, target = _text(data, "instruction"), _text(data, "target")
            except ValueError as error:
                raise DataError(f"{file}, line {number}: {error}") from error
            targets.setdefault(instruction, target)
            targets.setdefault(instruction.strip(), target)
    return targets


def seen_in_training(data_dir: Path, split: str) -> frozenset[tuple[str, str]] | None:
    """(role, question) pairs of the split's train file; None if that file is not available."""
    file = data_dir / SPLITS[split].train
    if not file.is_file():
        return None
    return frozenset((row.role, row.question) for row in read_rows(file))
