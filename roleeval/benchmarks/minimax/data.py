"""Reading the Role-play Bench's tables in their original layout, from jsonl or parquet.

    <data_dir>/data/{en,zh}/seeds.{jsonl,parquet}         who talks to whom, the prologue, the user's first message
    <data_dir>/data/{en,zh}/dialogues.{jsonl,parquet}     sessions of 102 messages, a JSON string in each row
    <data_dir>/data/{en,zh}/evaluations.{jsonl,parquet}   six scores of each session

"data/" may be left out. Where a table is there in both forms, the jsonl file is read. Texts are exact. Rows are read
one at a time: a session has up to 190 kB. Source: spec/minimax.md, "Data".
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from roleeval.benchmarks.hub import fetch_pinned
from roleeval.benchmarks.minimax.scores import DIMENSIONS
from roleeval.errors import DataError, cause_of
from roleeval.jsonfiles import json_lines, parse_json
from roleeval.types import Language

Table = Literal["seeds", "dialogues", "evaluations"]
# seed, model and run: what names a session
Key = tuple[str, str, str]
OnError = Literal["raise", "skip"]
Row = TypeVar("Row")

TABLES: tuple[Table, ...] = get_args(Table)
LANGUAGES: tuple[Language, ...] = get_args(Language)
RUN_IDS = ("run_1", "run_2", "run_3")
ROUNDS = 102  # the prologue, the user's first message, and 100 generated ones
# The revision that the project's facts are about. Source: spec/minimax.md.
RELEASE = "hf://MiniMaxAI/role-play-bench@3c1be2a56afbcaab19ae6b40b8a24429eae792f5"
# What of the data set is downloaded.
FILES = tuple(f"data/*/{table}.{suffix}" for table in TABLES for suffix in ("jsonl", "parquet"))
_SUFFIXES = ("jsonl", "parquet")
_ROLES: tuple[Literal["ai", "user"], ...] = ("ai", "user")
_BATCH = 16  # rows of a parquet file that are held at a time
_KEYS = ("seed_id", "model_name", "run_id")
_SESSION = "seed, model and run"


@dataclass(frozen=True, slots=True)
class Seed:
    """What a session begins with. `number` is the row's place in its file, from 1."""

    id: str
    ai_name: str
    ai_setting: str
    user_name: str
    user_setting: str
    ai_prologue: str
    initial_user_input: str
    language: Language
    number: int


@dataclass(frozen=True, slots=True)
class Round:
    """One message; `round` counts from 0. An empty text is an outcome, not an error."""

    role: Literal["ai", "user"]
    text: str
    round: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One session."""

    seed_id: str
    model_name: str
    run_id: str
    rounds: tuple[Round, ...]
    number: int

    @property
    def key(self) -> Key:
        return self.seed_id, self.model_name, self.run_id


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One session's official scores, points 0-100."""

    seed_id: str
    model_name: str
    run_id: str
    basics: float
    logic: float
    knowledge: float
    diversity: float
    content_logic: float
    interaction: float
    number: int

    @property
    def key(self) -> Key:
        return self.seed_id, self.model_name, self.run_id

    @property
    def scores(self) -> dict[str, float]:
        """Dimension -> points."""
        return {name: getattr(self, name) for name in DIMENSIONS}


_SEED_TEXTS = ("id", "ai_name", "ai_setting", "user_name", "user_setting", "ai_prologue", "initial_user_input")


def fetch(address: str, *, to: Path | None = None) -> Path:
    """Downloads a pinned revision of the tables from the Hugging Face hub and returns its folder.

    Args:
        address: as RELEASE, with all 40 digits of a commit.
        to: where to put the files; None is the hub's own cache.

    Raises:
        ConfigError: the address does not pin a commit.
        DataError: the hub did not deliver.
    """
    return fetch_pinned(address, FILES, to=to, example=RELEASE)


def table_files(data_dir: Path, language: Language, table: Table) -> list[Path]:
    """The files that hold a table, the one to read first; [] where there is none."""
    folders = (data_dir / "data" / language, data_dir / language)
    files = [folder / f"{table}.{suffix}" for folder in folders for suffix in _SUFFIXES]
    return [file for file in files if file.is_file()]


def table_file(data_dir: Path, language: Language, table: Table) -> Path:
    """The file to read a table from.

    Raises:
        DataError: it is not there; names the tables that are.
    """
    if files := table_files(data_dir, language, table):
        return files[0]
    pairs = [(other, name) for other in LANGUAGES for name in TABLES]
    there = [f"{other}/{name}" for other, name in pairs if table_files(data_dir, other, name)]
    found = f"tables in the folder: {', '.join(there)}" if there else "no table of the Role-play Bench in the folder"
    expected = data_dir / "data" / language / f"{table}.jsonl"
    raise DataError(f"{expected}: no such file, and no {table}.parquet; {found}")


def read_seeds(
    file: Path, language: Language, *, on_error: OnError = "raise", skipped: list[str] | None = None
) -> Iterator[Seed]:
    """Yields the seeds of a file; a malformed row raises, or is noted in `skipped`.

    Raises:
        DataError: a row is malformed (names file, line, seed and key), or the file holds no row.
    """

    def seed(row: Mapping[str, Any], number: int) -> Seed:
        texts = {key: _text(row, key) for key in _SEED_TEXTS}
        other = language_of(texts["id"])
        if other not in (None, language):
            raise ValueError(f"key 'id': a seed of {other} in the table of {language}; languages are never mixed")
        return Seed(**texts, language=language, number=number)

    return _read(file, seed, lambda seed: seed.id, "id", on_error=on_error, skipped=skipped)


def read_dialogues(file: Path, *, on_error: OnError = "raise", skipped: list[str] | None = None) -> Iterator[Dialogue]:
    """Yields the sessions of a file, one at a time; a malformed row raises, or is noted in `skipped`.

    Raises:
        DataError: a row is malformed (names file, line, seed and key), or the file holds no row.
    """
    return _read(file, _dialogue, lambda dialogue: dialogue.key, _SESSION, on_error=on_error, skipped=skipped)


def read_evaluations(
    file: Path, *, on_error: OnError = "raise", skipped: list[str] | None = None
) -> Iterator[Evaluation]:
    """Yields the official scores of a file; a malformed row raises, or is noted in `skipped`.

    Raises:
        DataError: a row is malformed (names file, line, seed and key), or the file holds no row.
    """
    return _read(file, _evaluation, lambda evaluation: evaluation.key, _SESSION, on_error=on_error, skipped=skipped)


def language_of(seed_id: str) -> Language | None:
    """The language that an id such as "en_dialogue_001" names; None where it names none."""
    return next((language for language in LANGUAGES if seed_id.startswith(f"{language}_")), None)


def unpaired(dialogues: Collection[Key], evaluations: Collection[Key]) -> list[str]:
    """What keeps sessions and scores from being one to one: a line for each session or score alone."""
    one, other = set(dialogues), set(evaluations)
    alone = [(key, "a dialogue without an evaluation") for key in sorted(one - other)]
    alone += [(key, "an evaluation without a dialogue") for key in sorted(other - one)]
    return [f"seed {seed!r}, model {model!r}, {run}: {what}" for (seed, model, run), what in alone]


def _read(
    file: Path,
    make: Callable[[Mapping[str, Any], int], Row],
    name: Callable[[Row], str | Key],
    unique: str,
    *,
    on_error: OnError,
    skipped: list[str] | None,
) -> Iterator[Row]:
    seen: dict[str | Key, str] = {}
    empty = True
    for number, place, content in _records(file):
        empty = False
        where = f"{file}, {place}"
        try:
            row = parse_json(content) if isinstance(content, bytes) else content
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
            where += _named(row)
            made = make(row, number)
            if first := seen.get(name(made)):
                raise ValueError(f"the same {unique} as {first}; there must be one row of it")
        except Exception as error:  # whatever one row brings out
            reason = f"{where}: {error if isinstance(error, ValueError) else cause_of(error)}"
            if on_error == "raise":
                raise DataError(f"{reason}; fix it, or set benchmark.on_error=skip to skip such rows") from error
            if skipped is not None:
                skipped.append(reason)
            continue
        seen[name(made)] = place
        yield made
    if empty:
        raise DataError(f"{file}: contains no rows")


def _named(row: Mapping[str, Any]) -> str:
    """The seed of a malformed row, as far as the row says."""
    said = row.get("seed_id", row.get("id"))
    rest = [str(row[key]) for key in _KEYS[1:] if isinstance(row.get(key), str)]
    return ", ".join(["", *([f"seed {said!r}"] if isinstance(said, str) else []), *rest])


def _records(file: Path) -> Iterator[tuple[int, str, bytes | dict[str, Any]]]:
    """A file's rows: number, place for messages, and a line or a row that is parsed already."""
    if file.suffix != ".parquet":
        try:
            yield from ((number, f"line {number}", line) for number, line in json_lines(file))
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file, memory_map=True) as table:
            for batch in table.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, f"row {number}", row
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as parquet ({cause_of(error)})") from error


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"key {key!r}: must be a non-empty string")
    return value


def _session(row: Mapping[str, Any]) -> Key:
    seed, model, run = (_text(row, key) for key in _KEYS)
    if run not in RUN_IDS:
        raise ValueError(f"key 'run_id': {run!r} is not one of {', '.join(RUN_IDS)}")
    return seed, model, run


def _dialogue(row: Mapping[str, Any], number: int) -> Dialogue:
    seed, model, run = _session(row)
    turns = row.get("num_turns")
    if isinstance(turns, bool) or turns != ROUNDS:
        raise ValueError(f"key 'num_turns': must be {ROUNDS}, not {turns!r}")
    text = row.get("dialogue")
    if not isinstance(text, str):
        raise ValueError("key 'dialogue': must be a string that holds a JSON list")
    try:
        rounds = parse_json(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("key 'dialogue': holds half of a surrogate pair, which is not text") from error
    except ValueError as error:
        raise ValueError(f"key 'dialogue': {error}") from error
    if not isinstance(rounds, list) or len(rounds) != ROUNDS:
        found = f"a list of {len(rounds)}" if isinstance(rounds, list) else type(rounds).__name__
        raise ValueError(f"key 'dialogue': must hold a list of {ROUNDS} rounds, not {found}")
    return Dialogue(seed, model, run, tuple(_round(each, index) for index, each in enumerate(rounds)), number)


def _round(entry: Any, index: int) -> Round:
    where = f"key 'dialogue', round {index}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: not a JSON object")
    number, role, text = entry.get("round"), entry.get("role"), entry.get("text")
    if isinstance(number, bool) or number != index:
        raise ValueError(f"{where}: 'round' must be {index}, not {number!r}; rounds count from 0 without a gap")
    if role != _ROLES[index % 2]:
        raise ValueError(f"{where}: 'role' must be {_ROLES[index % 2]!r}, not {role!r}; ai and user alternate")
    if not isinstance(text, str):
        raise ValueError(f"{where}: 'text' must be a string")
    return Round(_ROLES[index % 2], text, index)


def _evaluation(row: Mapping[str, Any], number: int) -> Evaluation:
    scores: dict[str, Any] = {name: _points(row, f"{name}_score") for name in DIMENSIONS}
    return Evaluation(*_session(row), **scores, number=number)


def _points(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"key {key!r}: must be a number, not {value!r}")
    if not 0 <= value <= 100:
        raise ValueError(f"key {key!r}: must be 0 to 100, not {value!r}")
    return float(value)
