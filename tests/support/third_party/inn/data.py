"""The scenes: one JSON object a line, of one language and one evening each.

{"id", "evening", "language": "en" or "zh", "opening", "cast": {name: about}, "guest": {"name", "about"},
 "hidden": [words that nobody of the cast may say], "chronicle": what was said that evening, "rounds": turns}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from roleeval.errors import DataError
from roleeval.types import Language


@dataclass(frozen=True)
class Scene:
    """One scene of an evening."""

    id: str
    evening: str
    language: Language
    opening: str
    cast: Mapping[str, str]
    guest: Mapping[str, str]
    hidden: tuple[str, ...]
    chronicle: str
    rounds: int


def read_scenes(file: Path) -> tuple[Scene, ...]:
    """Reads a file of scenes.

    Raises:
        DataError: it is missing or a line is malformed; names file and line.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file; benchmark.data_file names a file of scenes")
    scenes = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            node = json.loads(line)
            values = {field.name: node[field.name] for field in fields(Scene)}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}, line {number}: not a scene ({error}); inn/data.py says what one holds") from error
        if node["language"] not in ("en", "zh"):
            raise DataError(f"{file}, line {number}: language is {node['language']!r}; give en or zh")
        scenes.append(Scene(**{**values, "hidden": tuple(node["hidden"])}))
    return tuple(scenes)
