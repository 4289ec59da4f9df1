"""The role manifest: which role has which embedding. A checkpoint does not contain this, and it is never guessed."""

import json
from pathlib import Path
from typing import Any

from roleeval.errors import AdapterError

_HELP = "a JSON list of role names in the order of their ids, or an object whose keys are in that order"


class _Object(list[tuple[str, Any]]):
    """A JSON object with its keys in the file's order, doubles included."""


def read_manifest(file: Path, *, roles: int) -> tuple[str, ...]:
    """Reads the role names in the order of their ids.

    Args:
        file: the manifest; the training's roles_desc_en.json or roles_desc_zh.json is one.
        roles: rows of the checkpoint's role embedding.

    Raises:
        AdapterError: it is missing, malformed, names a role twice, or does not have as many roles as the checkpoint.
    """
    if not file.is_file():
        raise AdapterError(f"role manifest {file}: no such file; a HyCoRA checkpoint needs {_HELP}")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_Object)
        json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair is no name
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"role manifest {file}: cannot be read as JSON ({error}); it must be {_HELP}") from error
    names = [key for key, _ in content] if isinstance(content, _Object) else content
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise AdapterError(f"role manifest {file}: it must be {_HELP}")
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if first.setdefault(name, number) != number:
            raise AdapterError(f"role manifest {file}: role {name!r} is listed twice, as id {first[name]} and {number}")
    if len(names) != roles:
        raise AdapterError(
            f"role manifest {file}: it has {len(names)} roles and the checkpoint's role embedding has {roles};"
            " give the manifest that the checkpoint was trained with"
        )
    return tuple(names)
