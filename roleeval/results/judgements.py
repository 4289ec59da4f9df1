"""judgements.jsonl: one line per judgement, with every attempt; the file has the lines of all judges."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import orjson

from roleeval.errors import ResultError
from roleeval.judging import Attempt, Judgement, Price
from roleeval.results.folder import write_atomically
from roleeval.results.infos import older_numbers


def judgement_line(
    judgement: Judgement,
    *,
    column: str,
    numbers: Mapping[str, float] | None,
    source: Mapping[str, Any],
    price: Price | None,
) -> bytes:
    """One line of the file.

    Args:
        judgement: what is kept, whole.
        column: the beginning of its metrics' names.
        numbers: `Judge.numbers` of its verdict; None where it has none.
        source: judge, pack and model, as the manifest names them.
        price: of the judge model; None leaves the cost unknown.
    """
    prompt = sum(attempt.prompt_tokens for attempt in judgement.attempts)
    output = sum(attempt.output_tokens for attempt in judgement.attempts)
    cost = None if price is None else (prompt * price.input + output * price.output) / 1e6
    tokens = {"prompt": prompt, "output": output}
    kept = {"column": column, **source, **asdict(judgement), "numbers": numbers, "tokens": tokens, "cost": cost}
    return orjson.dumps(kept) + b"\n"


@dataclass(frozen=True, slots=True)
class KeptJudgement:
    """A line of the file.

    Attributes:
        column: "judge/<judge>@<pack>-<model and settings>".
        item, sample_id, slots, repeat, verdict, status, reason, answered, attempts: see judging.Judgement.
        numbers: the verdict as one number for each thing that was asked (`Judge.numbers`); {} without a verdict.
        tokens: read ("prompt") and written ("output") by all attempts.
        cost: of them; None where the judge model has no price.
        control: fault, dose and sample of a positive control; None for a judgement of an answer.
        run: run id of the folder it was read from, if several are read together.
    """

    column: str
    item: str
    sample_id: str
    slots: tuple[str, ...]
    repeat: int
    verdict: Mapping[str, Any] | None
    status: Literal["ok", "judge_failed"]
    reason: str
    answered: bool
    attempts: tuple[Attempt, ...]
    numbers: Mapping[str, float]
    tokens: Mapping[str, int]
    cost: float | None = None
    control: Mapping[str, Any] | None = None
    run: str = ""


def write_judgements(file: Path, column: str, lines: Iterable[bytes]) -> None:
    """Replaces a judge's lines in the file; other judges' lines stay.

    Raises:
        ResultError: the file is damaged or cannot be written.
    """
    others = [line for line, kept in _lines(file) if kept.column != column]
    write_atomically(file, b"".join([*others, *lines]))


def read_judgements(file: Path) -> Iterator[KeptJudgement]:
    """Yields every judgement; nothing where nothing was judged.

    Raises:
        ResultError: a line is damaged; names it.
    """
    for _, kept in _lines(file):
        yield kept


def _lines(file: Path) -> Iterator[tuple[bytes, KeptJudgement]]:
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                kept = parse_judgement(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ResultError(
                    f"{file}, line {number}: damaged ({error}); delete the file and run the same command again"
                ) from error
            yield line, kept


def parse_judgement(line: bytes) -> KeptJudgement:
    """One line of the file.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is damaged.
    """
    row = orjson.loads(line)
    known = {field.name: row[field.name] for field in fields(KeptJudgement) if field.name in row}
    known["slots"] = tuple(row["slots"])
    known["numbers"] = older_numbers(row["verdict"] or {}) if "numbers" not in row else row["numbers"] or {}
    names = {field.name for field in fields(Attempt)}
    attempts = ({name: value for name, value in each.items() if name in names} for each in row["attempts"])
    return KeptJudgement(**known | {"attempts": tuple(Attempt(**attempt) for attempt in attempts)})
