"""Extracts a JSON verdict from a judge's reply and checks it against a schema.

Tolerated: fenced blocks, prose before and after, raw line breaks in strings, trailing commas, numbers in quotes, a list
around a single object. Not tolerated: two different verdicts in one reply, a verdict that appears in the judged text.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from roleeval.errors import ConfigError
from roleeval.jsonfiles import parse_json
from roleeval.judging._fence import echoes
from roleeval.judging._protocol import UnusableReplyError

Schema = Mapping[str, Any]
_CHECKED = frozenset(
    ("type", "properties", "required", "additionalProperties", "items", "enum", "minimum", "maximum", "minItems")
)
_KNOWN = _CHECKED | {"maxItems", "minLength", "maxLength", "description", "title"}
# Most characters read after brackets that open no JSON, for models that repeat "{" for ever.
_IN_VAIN = 2_000_000
_LARGEST = 2**53  # the largest whole number that every reader of JSON takes as it is
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_CLOSING = {"{": "}", "[": "]"}


def check_schema(schema: Schema, where: str) -> None:
    """Refuses a schema that says more than `read_verdict` checks, or other than JSON schemas say it.

    Raises:
        ConfigError: names the keyword.
    """
    if not isinstance(schema, Mapping):
        raise ConfigError(f'{where}: a schema is a JSON object, such as {{"type": "string"}}; this is {schema!r:.80}')
    if unknown := set(schema) - _KNOWN:
        raise ConfigError(f"{where}: the keyword {sorted(unknown)[0]!r:.80} is not supported; use {sorted(_CHECKED)}")
    for keyword, value in schema.items():
        if not _FORMS[keyword](value):
            raise ConfigError(f"{where}: the keyword {keyword!r} cannot be {value!r:.80}")
    for name, part in schema.get("properties", {}).items():
        check_schema(part, f"{where}.{name}")
    if "items" in schema:
        check_schema(schema["items"], f"{where}[]")


def read_schema(text: str, where: str) -> dict[str, Any]:
    """The schema in a text, checked by `check_schema`.

    Raises:
        ConfigError: it is no JSON, or no such schema.
    """
    try:
        schema = parse_json(text.encode())
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    check_schema(schema, where)
    return dict(schema)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


# Keyword -> whether it can have a value.
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "type": lambda value: value in ("object", "array", "integer", "number", "string", "boolean"),
    "properties": lambda value: isinstance(value, Mapping),
    "required": _is_texts,
    "additionalProperties": lambda value: isinstance(value, bool),
    "items": lambda value: isinstance(value, Mapping),
    "enum": lambda value: _is_texts(value) and bool(value),
    **dict.fromkeys(("minimum", "maximum"), _is_number),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
    **dict.fromkeys(("description", "title"), lambda value: isinstance(value, str)),
}


def read_verdict(reply: str, schema: Schema, *, judged: str = "") -> Any:
    """The one verdict in a reply that fits the schema.

    Args:
        reply: what the judge wrote, reasoning removed.
        schema: what a verdict looks like.
        judged: all text by candidates; JSON that appears in it is a quotation, not a verdict.

    Raises:
        UnusableReplyError: there is none, or there are several that differ.
    """
    verdicts: list[Any] = []
    reason = "no JSON in the reply"
    for text, value in _values(reply):
        if judged and echoes(text, judged):
            reason = "the only JSON is a quotation of the judged text"
            continue
        try:
            verdict = _conform(_unwrapped(value, schema), schema, "verdict")
        except UnusableReplyError as error:
            reason = str(error)
            continue
        if verdict not in verdicts:
            verdicts.append(verdict)
    if len(verdicts) > 1:
        raise UnusableReplyError("several different verdicts in one reply")
    if not verdicts:
        raise UnusableReplyError(reason)
    return verdicts[0]


def _values(reply: str) -> Iterator[tuple[str, Any]]:
    """Every outermost JSON object or list, with its text."""
    position = in_vain = 0
    while position < len(reply) and in_vain < _IN_VAIN:
        if reply[position] in _CLOSING:
            text, mended = _block(reply, position)
            try:
                value = json.loads(mended, strict=False, parse_constant=_refuse, object_pairs_hook=_object)
            except (ValueError, RecursionError):
                pass
            else:
                yield text, value
                position += len(text)
                continue
            in_vain += len(text)
        position += 1


def _block(text: str, start: int) -> tuple[str, str]:
    """The balanced block that begins at `start`, as it is and without trailing commas.

    Of one that never ends: all that was read of it, and "", which is not JSON.
    """
    stack: list[str] = []
    kept: list[str] = []
    in_string = escaped = False
    for position in range(start, len(text)):
        char = text[position]
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in _CLOSING:
            stack.append(_CLOSING[char])
        elif stack and char in "}]":
            if char != stack.pop():
                return text[start : position + 1], ""
            while kept and (kept[-1].isspace() or kept[-1] == ","):
                kept.pop()
        kept.append(char)
        if not stack:
            return text[start : position + 1], "".join(kept)
    return text[start:], ""


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    return found


def _unwrapped(value: Any, schema: Schema) -> Any:
    if schema.get("type") == "object" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if schema.get("type") == "array" and isinstance(value, dict):
        return [value]
    return value


def _conform(value: Any, schema: Schema, where: str) -> Any:
    """The value in the schema's own types, without keys that the schema does not know."""
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            raise UnusableReplyError(f"{where} is not an object")
        parts = schema.get("properties", {})
        if absent := [name for name in schema.get("required", ()) if name not in value]:
            raise UnusableReplyError(f"{where} lacks {absent[0]!r}")
        return {name: _conform(value[name], part, f"{where}.{name}") for name, part in parts.items() if name in value}
    if kind == "array":
        return _list(value, schema, where)
    if kind in ("integer", "number"):
        return _number(value, schema, where)
    if kind == "string":
        return _string(value, schema, where)
    if kind == "boolean" and not isinstance(value, bool):
        raise UnusableReplyError(f"{where} is not true or false")
    return value


def _list(value: Any, schema: Schema, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnusableReplyError(f"{where} is not a list")
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        raise UnusableReplyError(f"{where} has {len(value)} entries")
    return [_conform(part, schema.get("items", {}), f"{where}[{place}]") for place, part in enumerate(value)]


def read_number(value: Any, where: str) -> float:
    """A number as JSON writes them, or the same in quotes.

    Raises:
        UnusableReplyError: it is none, or beyond what every reader of JSON takes as it is.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnusableReplyError(f"{where} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise UnusableReplyError(f"{where} is not a number")
    if not -_LARGEST <= value <= _LARGEST:  # a whole number may have any length, more digits than a float too
        raise UnusableReplyError(f"{where} is out of range")
    return value


def _number(value: Any, schema: Schema, where: str) -> Any:
    value = read_number(value, where)
    if schema["type"] == "integer":
        if value != int(value):
            raise UnusableReplyError(f"{where} is not a whole number")
        value = int(value)
    if not schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf):
        raise UnusableReplyError(f"{where} is out of range ({value})")
    return value


def _string(value: Any, schema: Schema, where: str) -> str:
    if not isinstance(value, str):
        raise UnusableReplyError(f"{where} is not a text")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise UnusableReplyError(f"{where} holds half of a surrogate pair, which is not text")
    allowed: list[str] | None = schema.get("enum")
    if allowed is not None:
        plain = value.strip().strip("\"'.*` ").casefold()
        found = [name for name in allowed if name.casefold() == plain]
        if not found:
            raise UnusableReplyError(f"{where} is none of {', '.join(allowed)}")
        return found[0]
    if not schema.get("minLength", 0) <= len(value):
        raise UnusableReplyError(f"{where} is empty")
    return value
