"""The store's entries: an answer as bytes, and back; what could not be read back as it is is refused, never stored."""

import hashlib
import math
from dataclasses import fields
from typing import TypeVar, get_args

import orjson

from roleeval.errors import EngineError, cause_of
from roleeval.jsonfiles import is_text
from roleeval.types import Completion, FinishReason, Likelihood

_TEXTS = ("text", "reasoning", "served_by")
_COUNTS = ("prompt_tokens", "output_tokens", "tokens")
_LARGEST_COUNT = 2**40  # of tokens; sums of them stay within 64 bits

# The fields of an entry, in order.
_COLUMNS: dict[type, tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.name != "stored") for kind in (Completion, Likelihood)
}

Answer = TypeVar("Answer", Completion, Likelihood)


def encoded(answer: Completion | Likelihood) -> bytes:
    """An answer's entry.

    Raises:
        EngineError: the answer holds what no text or number is, so that it could not be read back as it is.
    """
    if wrong := _wrong(answer):
        raise EngineError(f"the engine's answer cannot be kept: {wrong}")
    try:
        return orjson.dumps([getattr(answer, name) for name in _COLUMNS[type(answer)]])
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineError(f"the engine's answer cannot be kept: {cause_of(error)}") from error


def _wrong(answer: Completion | Likelihood) -> str:
    """What of an answer is not what it should be, in words; "" where nothing is."""
    if not isinstance(answer, (Completion, Likelihood)):
        return f"it is no answer but {type(answer).__name__}"
    for name in _COLUMNS[type(answer)]:
        value = getattr(answer, name)
        if name in _COUNTS:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_COUNT:
                return f"its {name} is {str(value)[:40]}, which is no count of tokens"
        elif name in _TEXTS:
            if not isinstance(value, str):
                return f"its {name} is no text but {type(value).__name__}"
            if not is_text(value):
                return f"its {name} holds half of a surrogate pair, which is not text"
        elif name == "finish_reason" and value not in get_args(FinishReason):
            return f"its {name} is {str(value)[:40]!r}"
        elif name == "logprob" and not (isinstance(value, (int, float)) and math.isfinite(value)):
            return f"its log-probability is {value}, which is no number"
    return ""


def decoded(key: bytes, value: bytes, checksum: bytes, kind: type[Answer]) -> Answer | None:
    """The answer of an entry; None where the entry is damaged."""
    if not isinstance(value, bytes) or checksum_of(key, value) != checksum:
        return None
    try:
        return kind(**dict(zip(_COLUMNS[kind], orjson.loads(value), strict=True)), stored=True)
    except (ValueError, TypeError):
        return None


def checksum_of(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=16).digest()
