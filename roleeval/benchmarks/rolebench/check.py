"""Checks a folder in RoleBench's layout before a long run: what it contains, and what is malformed."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from roleeval.benchmarks.rolebench.data import SPLITS, read_descriptions, read_raw_targets, read_rows
from roleeval.errors import DataError
from roleeval.types import Language


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One rows file.

    Attributes:
        file: its path below the folder.
        rows: well-formed rows.
        roles: distinct roles.
        references: texts in all rows.
        duplicates: rows whose exact (role, question) came before.
        newline_questions: questions that hold a newline.
        strip_merges: distinct keys that would fall together if they were stripped.
        malformed: "file, line N: reason".
    """

    file: str
    rows: int
    roles: int
    references: int
    duplicates: int
    newline_questions: int
    strip_merges: int
    malformed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """A whole folder.

    Attributes:
        files: the rows files that are there.
        absent: splits without a test file.
        descriptions: language -> roles described.
        raw_references: language -> instructions with a plain answer (RAW).
        malformed: everything that is malformed, in all files.
    """

    files: tuple[FileCheck, ...]
    absent: tuple[str, ...]
    descriptions: dict[Language, int]
    raw_references: dict[Language, int]
    malformed: tuple[str, ...]


def check_rolebench(folder: Path) -> FolderCheck:
    """Reads every row of every split.

    Raises:
        DataError: there is no such folder, or no RoleBench file in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    names = [name for spec in SPLITS.values() for name in (spec.test, spec.train)]
    files = tuple(_check_file(folder, name) for name in names if (folder / name).is_file())
    if not files:
        raise DataError(f"{folder}: no RoleBench file in it; expected for example {SPLITS['eng_specific'].test}")
    malformed = [reason for file in files for reason in file.malformed]
    descriptions: dict[Language, int] = {}
    raw_references: dict[Language, int] = {}
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        try:
            descriptions[language] = len(read_descriptions(folder, language))
            raw = read_raw_targets(folder, language)
            raw_references[language] = len({instruction.strip() for instruction in raw})
        except DataError as error:
            malformed.append(str(error))
    absent = tuple(split for split, spec in SPLITS.items() if not (folder / spec.test).is_file())
    return FolderCheck(files, absent, descriptions, raw_references, tuple(malformed))


def _check_file(folder: Path, name: str) -> FileCheck:
    malformed: list[str] = []
    keys: Counter[tuple[str, str]] = Counter()
    references = newlines = 0
    try:
        for row in read_rows(folder / name, on_error="skip", skipped=malformed):
            keys[row.role, row.question] += 1
            references += len(row.generated)
            newlines += "\n" in row.question
    except DataError as error:
        malformed.append(str(error))
    stripped = {(role.strip(), question.strip()) for role, question in keys}
    return FileCheck(
        file=name,
        rows=keys.total(),
        roles=len({role for role, _ in keys}),
        references=references,
        duplicates=keys.total() - len(keys),
        newline_questions=newlines,
        strip_merges=len(keys) - len(stripped),
        malformed=tuple(malformed),
    )
