"""The store's entries: an answer as bytes, and back; what could not be read back as it is is refused, never stored."""

import hashlib
import math
from dataclasses import fields
from typing import TypeVar

import orjson

from roleeval.errors import EngineError, cause_of
from roleeval.types import Completion, Likelihood

Answer = TypeVar("Answer", Completion, Likelihood)


def encoded(answer: Completion | Likelihood) -> bytes:
    """An answer's entry.

    Raises:
        EngineError: the answer holds what no text or number is, so that it could not be read back as it is.
    """
    if isinstance(answer, Completion) and not (isinstance(answer.text, str) and isinstance(answer.reasoning, str)):
        raise EngineError(f"the engine's answer is no text but {type(answer.text).__name__}")
    if isinstance(answer, Likelihood) and not math.isfinite(answer.logprob):
        raise EngineError(f"the engine's log-probability is {answer.logprob}, which is no number")
    try:
        return orjson.dumps([getattr(answer, name) for name in _columns(type(answer))])
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineError(f"the engine's answer cannot be kept: {_why_not(answer) or cause_of(error)}") from error


def _why_not(answer: Completion | Likelihood) -> str:
    """What of an answer JSON cannot hold, in words; "" where that is not known."""
    for name in _columns(type(answer)):
        value = getattr(answer, name)
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            return f"its {name} holds half of a surrogate pair, which is not text"
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"its {name} is beyond 64 bits"
    return ""


def decoded(key: bytes, value: bytes, checksum: bytes, kind: type[Answer]) -> Answer | None:
    """The answer of an entry; None where the entry is damaged."""
    if not isinstance(value, bytes) or checksum_of(key, value) != checksum:
        return None
    try:
        return kind(**dict(zip(_columns(kind), orjson.loads(value), strict=True)), stored=True)
    except (ValueError, TypeError):
        return None


def _columns(kind: type[Completion] | type[Likelihood]) -> list[str]:
    return [field.name for field in fields(kind) if field.name != "stored"]


def checksum_of(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=16).digest()
