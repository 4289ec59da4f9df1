"""A run's judgements by sample, for the site: what was said, about which words, and after which attempts."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from roleeval.errors import ResultError
from roleeval.results.judgements import KeptJudgement, parse_judgement

# The keys under which schemas of judges (judges/*/schema.json) keep what a reader looks for: the words of the answer, a
# short name of what is wrong, why, how bad, and where. Any other key is shown as it is.
_QUOTES = ("quote", "instance")
_FIELDS = {
    "reason": "why",
    "type": "kind",
    "subtype": "kind",
    "dimension": "dimension",
    "severity": "severity",
    "score": "score",
    "winner": "winner",
    "ranking": "ranking",
    "round": "turn",
}


class RunJudgements:
    """Finds the lines of judgements.jsonl about a sample; holds 16 bytes a line, and reads a sample's lines at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._places: dict[str, array[int]] = {}  # sample -> start and length of each of its lines
        self._stream: BinaryIO | None = None
        self.columns: list[str] = []  # in the order of their first line

    def __enter__(self) -> "RunJudgements":
        """Opens and indexes the file; there are no judgements where it does not exist.

        Raises:
            ResultError: a line is damaged.
        """
        if self._file.is_file():
            self._stream = self._file.open("rb")
            start = 0
            for number, line in enumerate(self._stream, start=1):
                try:
                    row = orjson.loads(line)
                    if row.get("control") is None:
                        self._places.setdefault(row["sample_id"], array("q")).extend((start, len(line)))
                        if row["column"] not in self.columns:
                            self.columns.append(row["column"])
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise ResultError(f"{self._file}, line {number}: damaged ({error}); judge again") from error
                start += len(line)
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def of(self, sample: str) -> list[KeptJudgement]:
        """The judgements of a sample's answer, in the file's order, without controls.

        Raises:
            ResultError: a line is damaged.
        """
        places = self._places.get(sample)
        if places is None or self._stream is None:
            return []
        found = []
        for start, length in zip(places[::2], places[1::2], strict=True):
            self._stream.seek(start)
            try:
                found.append(parse_judgement(self._stream.read(length)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ResultError(f"{self._file}: a judgement of {sample} is damaged ({error}); judge again") from error
        return found


def judgement_data(row: KeptJudgement, column: int) -> dict[str, Any]:
    """One judgement as the page shows it; `column` is its judge's number."""
    parts = list(verdict_parts(row.verdict or {}))
    rest = {key: value for key, value in (row.verdict or {}).items() if isinstance(value, (str, int, float))}
    data: dict[str, Any] = {
        "judge": column,
        "item": row.item.removeprefix(row.sample_id).lstrip(":|"),
        "slots": row.slots if len(row.slots) > 1 else None,
        "repeat": row.repeat or None,
        "status": row.status if row.status != "ok" else None,
        "reason": row.reason,
        "unanswered": not row.answered,
        "parts": parts,
        "rest": rest,
        "numbers": row.numbers,
        "attempts": [_attempt(each) for each in row.attempts],
    }
    return {key: value for key, value in data.items() if value or key == "judge"}


def _attempt(attempt: Any) -> dict[str, Any]:
    told = {"raw": attempt.raw, "error": attempt.error, "temperature": attempt.temperature}
    if attempt.finish_reason != "stop":
        told["finish"] = attempt.finish_reason
    return {key: value for key, value in told.items() if value not in ("", None)}


def verdict_parts(verdict: Any, path: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """What a verdict says, one part for each error, flaw or criterion, whatever judge it is of.

    Yields:
        "about" (the keys above it), and as far as it says so "quote", "why", "kind", "dimension", "severity", "score",
        "winner", "ranking" and "turn" (the place of the quoted turn in the transcript).
    """
    if isinstance(verdict, Sequence) and not isinstance(verdict, str):
        for each in verdict:
            yield from verdict_parts(each, path)
        return
    if not isinstance(verdict, Mapping):
        return
    part: dict[str, Any] = {}
    for key, value in verdict.items():
        if key in _QUOTES:
            part["quote"] = value
        elif key in _FIELDS:
            part[_FIELDS[key]] = value
        elif isinstance(value, (Mapping, list)):
            yield from verdict_parts(value, (*path, str(key)))
    if part:
        yield {"about": path[-1] if path else "", **part}


def contradictions(rows: Sequence[KeptJudgement]) -> int:
    """In how many comparisons of a sample the two orders name different winners."""
    named: dict[tuple[str, str, frozenset[str], int], dict[str, str]] = {}
    for row in rows:
        if row.verdict is None or len(row.slots) != 2:
            continue
        for criterion, part in row.verdict.items():
            winner = part.get("winner") if isinstance(part, Mapping) else None
            if winner is not None:
                who = {"A": row.slots[0], "B": row.slots[1]}.get(str(winner), "tie")
                pair = (row.column, criterion, frozenset(row.slots), row.repeat)
                named.setdefault(pair, {})[row.slots[0]] = who
    return sum(len(set(orders.values())) > 1 for orders in named.values())
