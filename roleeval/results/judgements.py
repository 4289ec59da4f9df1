"""judgements.jsonl: one line per judgement, with every attempt; lines of several judges stand side by side."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from roleeval.errors import ResultError
from roleeval.judging import Judgement, Price
from roleeval.results.folder import write_atomically


def judgement_line(judgement: Judgement, *, column: str, source: Mapping[str, Any], price: Price | None) -> bytes:
    """One line of the file.

    Args:
        judgement: what is kept, whole.
        column: the beginning of its metrics' names.
        source: judge, pack and model, as the manifest names them.
        price: of the judge model; None leaves the cost unknown.
    """
    prompt = sum(attempt.prompt_tokens for attempt in judgement.attempts)
    output = sum(attempt.output_tokens for attempt in judgement.attempts)
    cost = None if price is None else (prompt * price.input + output * price.output) / 1e6
    tokens = {"prompt": prompt, "output": output}
    return orjson.dumps({"column": column, **source, **asdict(judgement), "tokens": tokens, "cost": cost}) + b"\n"


def write_judgements(file: Path, column: str, lines: Iterable[bytes]) -> None:
    """Puts a judge's lines into the file in the place of its older ones; other judges' lines stay.

    Raises:
        ResultError: the file is damaged or cannot be written.
    """
    others = [orjson.dumps(row) + b"\n" for row in read_judgements(file) if row["column"] != column]
    write_atomically(file, b"".join([*others, *lines]))


def read_judgements(file: Path) -> Iterator[dict[str, Any]]:
    """Yields every judgement; nothing where nothing was judged.

    Raises:
        ResultError: a line is damaged; names it.
    """
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = orjson.loads(line)
                row["column"], row["item"], row["attempts"]
            except (ValueError, KeyError, TypeError) as error:
                raise ResultError(
                    f"{file}, line {number}: damaged ({error}); delete the file and judge again"
                ) from error
            yield row
