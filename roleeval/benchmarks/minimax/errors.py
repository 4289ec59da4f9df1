"""Errors that a judge lists, and the points that they leave: the arithmetic of `minimax_errors`.

A chunk's deduction in a dimension is 100 * (sum of its errors' weights) / (the character's messages in the chunk), at
most 100; an error's weight is its severity over 3, and a subtype counts once a message, with its worst severity. A
message in which nothing was said is a severe error in basics and in interaction, which no judge has to quote.
Source: spec/minimax.md, "Judging"; severities and weights are roleeval's own choice (docs/minimax.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roleeval.benchmarks.minimax.session import FIRST
from roleeval.judging import Answer, SeenTurn, sentences, verbatim

WORST = 3  # the highest severity
FULL = 100.0
CHUNK = 20  # messages of a chunk, the user's included
EMPTY = "empty"  # the subtype of a message in which nothing was said
EMPTY_IN = ("basics", "interaction")
LONGEST_QUOTE = 100  # characters of a quote that a schema offers; a longer sentence is quoted by its beginning


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a session that is judged by itself.

    Attributes:
        number: from 1.
        turns: its messages, the user's included.
    """

    number: int
    turns: tuple[SeenTurn, ...]

    @property
    def first(self) -> int:
        """The round it begins with."""
        return self.turns[0].number

    @property
    def last(self) -> int:
        """The round it ends with."""
        return self.turns[-1].number

    @property
    def own(self) -> tuple[SeenTurn, ...]:
        """The character's messages."""
        return tuple(turn for turn in self.turns if turn.own)

    @property
    def is_blank(self) -> bool:
        """The character said nothing in it: there is nothing to ask a judge."""
        return all(turn.is_blank for turn in self.own)


def chunks_of(answer: Answer) -> list[Chunk]:
    """A session's chunks: rounds 2 to 21, 22 to 41, ...; the last may be shorter, none is without the character."""
    generated = [turn for turn in answer.turns if turn.number >= FIRST]
    parts = [tuple(generated[start : start + CHUNK]) for start in range(0, len(generated), CHUNK)]
    return [Chunk(number, part) for number, part in enumerate(parts, start=1) if any(turn.own for turn in part)]


def quotes_of(chunk: Chunk) -> list[str]:
    """What may be quoted of a chunk: the sentences of the character's messages, each once, and none without a word."""
    quotes: dict[str, None] = {}
    for turn in chunk.own:
        parts = [part for line in turn.text.splitlines() for part in sentences(line)]
        quotes |= {part[:LONGEST_QUOTE].strip(): None for part in parts if verbatim(part[:LONGEST_QUOTE], turn.text)}
    return list(quotes)


@dataclass(frozen=True, slots=True)
class Found:
    """What a reply's errors come to.

    Attributes:
        errors: those that count, each with its round, dimension, subtype, severity and quote.
        unquoted: dropped, because their quote is in no message of the character's in the chunk.
        repeated: dropped, because the subtype was listed for the message already.
        moved: kept, with the round in which their quote is.
    """

    errors: tuple[Mapping[str, Any], ...]
    unquoted: int
    repeated: int
    moved: int


def checked(listed: Iterable[Mapping[str, Any]], chunk: Chunk, dimension_of: Mapping[str, str]) -> Found:
    """A judge's errors without those that cannot be shown.

    Args:
        listed: {"round", "dimension", "subtype", "severity", "quote"}; a subtype's dimension is the pack's.
        chunk: what was judged.
        dimension_of: subtype -> its dimension.
    """
    own = {turn.number: turn.text for turn in chunk.own}
    kept: dict[tuple[int, str], Mapping[str, Any]] = {}
    unquoted = repeated = moved = 0
    for error in listed:
        places = [number for number, text in own.items() if verbatim(error["quote"], text)]
        if not places:
            unquoted += 1
            continue
        place = error["round"] if error["round"] in places else places[0]
        moved += place != error["round"]
        error = {**error, "round": place, "dimension": dimension_of[error["subtype"]]}
        before = kept.get((place, error["subtype"]))
        repeated += before is not None
        if before is None or before["severity"] < error["severity"]:
            kept[place, error["subtype"]] = error
    return Found(tuple(kept.values()), unquoted, repeated, moved)


def empty_errors(chunk: Chunk) -> list[Mapping[str, Any]]:
    """What messages without a word count as."""
    blank = [turn.number for turn in chunk.own if turn.is_blank]
    return [
        {"round": number, "dimension": dimension, "subtype": EMPTY, "severity": WORST, "quote": ""}
        for number in blank
        for dimension in EMPTY_IN
    ]


def points(errors: Iterable[Mapping[str, Any]], dimension: str, messages: int) -> float:
    """A chunk's points in one dimension, 0 to 100: see the module's first lines.

    Args:
        errors: of the chunk, those of other dimensions included.
        dimension: whose.
        messages: of the character in the chunk.
    """
    weight: float = sum(error["severity"] / WORST for error in errors if error["dimension"] == dimension)
    return FULL - min(FULL, FULL * weight / messages)


def first_round(chunks: Sequence[Sequence[Mapping[str, Any]]]) -> int | None:
    """The first round with an error; None where there is none."""
    rounds = [error["round"] for errors in chunks for error in errors]
    return min(rounds, default=None)
