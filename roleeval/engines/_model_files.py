"""The small files of a model: in its folder, or in the hub's local cache."""

import json
from pathlib import Path
from typing import Any

from roleeval.engines._protocol import ModelSource


def model_file(source: ModelSource, name: str) -> str:
    """A text file of a model's folder, or of a hub's local cache; "" where there is none."""
    file: Path | None = Path(source.path) / name
    if not Path(source.path).is_dir():
        file = _cached(source, name)
    try:
        return file.read_text(encoding="utf-8-sig") if file is not None and file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _cached(source: ModelSource, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(source.path, name, revision=source.revision)
    except (HFValidationError, OSError, ValueError):
        return None
    return Path(found) if isinstance(found, str) else None


def model_json(source: ModelSource, name: str) -> dict[str, Any]:
    """The JSON object in a model's file; {} where there is none."""
    return json_object(model_file(source, name))


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that a text is; {} where it is none."""
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def token_content(token: Any) -> str:
    """A special token's text, which configurations write as it is or as an object; "" where there is none."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else ""
