"""Checks a folder in the Role-play Bench's layout before a long run: what it contains, and what is malformed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roleeval.benchmarks.minimax.data import (
    LANGUAGES,
    TABLES,
    Dialogue,
    Evaluation,
    Key,
    Round,
    Seed,
    Table,
    read_dialogues,
    read_evaluations,
    read_seeds,
    table_files,
    unpaired,
)
from roleeval.benchmarks.minimax.session import FIRST
from roleeval.errors import DataError
from roleeval.types import Language


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One file.

    Attributes:
        file: its path below the folder.
        rows: well-formed rows.
        seeds, models, runs: how many different ones they name.
        empty: messages of models that hold nothing.
        malformed: "file, line N, seed, key: reason".
    """

    file: str
    rows: int
    seeds: int
    models: int
    runs: int
    empty: int
    malformed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """A whole folder.

    Attributes:
        tables: the files that are there.
        absent: language/table that is not.
        notes: what is odd and no error.
        problems: everything malformed, and sessions, scores and seeds without their counterpart.
    """

    tables: tuple[TableCheck, ...]
    absent: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def is_there(folder: Path) -> bool:
    """Whether the folder has any of the tables."""
    return any(table_files(folder, language, table) for language in LANGUAGES for table in TABLES)


def check_minimax(folder: Path) -> FolderCheck:
    """Reads every row of every table, sessions one at a time.

    Raises:
        DataError: none of the tables is there.
    """
    if not is_there(folder):
        raise DataError(f"{folder}: no table of the Role-play Bench in it; expected for example data/en/seeds.jsonl")
    tables: list[TableCheck] = []
    notes: list[str] = []
    problems: list[str] = []
    for language in LANGUAGES:
        found = _Language(folder, language)
        tables += found.tables
        notes += found.notes()
        problems += [reason for table in found.tables for reason in table.malformed] + found.unpaired()
    pairs = [(language, table) for language in LANGUAGES for table in TABLES]
    absent = tuple(f"{language}/{table}" for language, table in pairs if not table_files(folder, language, table))
    return FolderCheck(tuple(tables), absent, tuple(notes), tuple(problems))


class _Language:
    """The tables of one language: keys and openings are kept, texts are not."""

    def __init__(self, folder: Path, language: Language) -> None:
        self.language = language
        self.seeds: dict[str, Seed] = {}
        self.keys: dict[Table, set[Key]] = {"dialogues": set(), "evaluations": set()}
        self.other_openings = 0
        self.tables = [
            self._table(folder, file, table, first=number == 0)
            for table in TABLES
            for number, file in enumerate(table_files(folder, language, table))
        ]

    def _table(self, folder: Path, file: Path, table: Table, *, first: bool) -> TableCheck:
        """`first`: the file that a run reads; another one of the same table is only checked by itself."""
        malformed: list[str] = []
        seeds, models, runs = set[str](), set[str](), set[str]()
        rows = empty = 0
        try:
            for row in self._rows(file, table, malformed):
                rows += 1
                if isinstance(row, Seed):
                    seeds.add(row.id)
                    if first:
                        self.seeds[row.id] = row
                    continue
                seeds.add(row.seed_id)
                models.add(row.model_name)
                runs.add(row.run_id)
                if first:
                    self.keys[table].add(row.key)
                if isinstance(row, Dialogue):
                    empty += sum(not e.text.strip() for e in row.rounds[FIRST:] if e.role == "ai")
                    self.other_openings += first and self._opens_otherwise(row.seed_id, row.rounds)
        except DataError as error:
            malformed.append(str(error))
        name = str(file.relative_to(folder))
        return TableCheck(name, rows, len(seeds), len(models), len(runs), empty, tuple(malformed))

    def _rows(self, file: Path, table: Table, malformed: list[str]) -> Iterator[Seed | Dialogue | Evaluation]:
        if table == "seeds":
            return read_seeds(file, self.language, on_error="skip", skipped=malformed)
        if table == "dialogues":
            return read_dialogues(file, on_error="skip", skipped=malformed)
        return read_evaluations(file, on_error="skip", skipped=malformed)

    def _opens_otherwise(self, seed_id: str, rounds: tuple[Round, ...]) -> bool:
        seed = self.seeds.get(seed_id)
        return seed is not None and (seed.ai_prologue, seed.initial_user_input) != (rounds[0].text, rounds[1].text)

    def unpaired(self) -> list[str]:
        """Sessions, scores and seeds without their counterpart, where both tables are there."""
        dialogues, evaluations = self.keys["dialogues"], self.keys["evaluations"]
        alone = unpaired(dialogues, evaluations) if dialogues and evaluations else []
        unknown = sorted({seed for seed, _, _ in dialogues | evaluations} - self.seeds.keys()) if self.seeds else []
        alone += [f"seed {seed!r}: not in the table of seeds" for seed in unknown]
        return [f"{self.language}: {each}" for each in alone]

    def notes(self) -> list[str]:
        """Sessions that are not there for every seed, model and run, and odd openings."""
        found = []
        keys = self.keys["dialogues"] or self.keys["evaluations"]
        whole = 1
        for part in range(3):
            whole *= len({key[part] for key in keys})
        if keys and len(keys) < whole:
            found.append(f"{self.language}: {len(keys)} of {whole} combinations of seed, model and run have a session")
        if self.other_openings:
            found.append(f"{self.language}: {self.other_openings} sessions do not begin as their seed says")
        return found
