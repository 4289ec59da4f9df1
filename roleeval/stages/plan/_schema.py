"""A reply as long as a judge's schema makes it: how long replies are where nothing else tells."""

import json
from collections.abc import Mapping
from typing import Any

_WORDS = "what the judge says of it in a few words, and why, "
_USUAL_TEXT, _USUAL_ITEMS = 60, 2  # characters of a text, items of a list, where the schema allows more


def example(schema: str, *, shortest: bool) -> str:
    """A reply that fits the schema: its shortest form, or one of usual length.

    Args:
        schema: JSON text, of the keywords that judges' schemas have.
        shortest: lists and texts are as short as they may be.
    """
    return json.dumps(_value(json.loads(schema), shortest=shortest), ensure_ascii=False, separators=(",", ":"))


def _value(schema: Mapping[str, Any], *, shortest: bool) -> Any:
    if allowed := schema.get("enum"):
        by_length = sorted(allowed, key=lambda each: (len(str(each)), str(each)))
        return by_length[0 if shortest else len(by_length) // 2]
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        wanted = schema.get("required", ()) if shortest else parts
        return {name: _value(part, shortest=shortest) for name, part in parts.items() if name in wanted}
    if kind == "array":
        count = _length(schema, "minItems", "maxItems", 0 if shortest else _USUAL_ITEMS)
        return [_value(schema.get("items", {}), shortest=shortest)] * count
    if kind == "string":
        length = _length(schema, "minLength", "maxLength", 0 if shortest else _USUAL_TEXT)
        return (_WORDS * (length // len(_WORDS) + 1))[:length]
    return False if kind == "boolean" else schema.get("minimum", 1)


def _length(schema: Mapping[str, Any], least: str, most: str, usual: int) -> int:
    return int(max(schema.get(least, 0), min(schema.get(most, usual), usual)))
