"""Official judge prompts, from a user's own clone of the official repository into a local prompt pack.

    <out>/
      manifest.yaml   name, version (hash of the file that was read), where the prompts come from
      critic.json     {"template": str, "dimensions": {name: {"brief": str, "criteria": str}}}

The clone's Python is parsed as a syntax tree and never executed. Do not share the pack: CoSER's repository has no
licence.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roleeval.errors import DataError
from roleeval.hashing import file_hash

Official = Literal["coser", "her"]
_TEMPLATE, _DETAILS = "self-play-deduct-template", "dimension_details"
# Without these a judge would not see what it judges, or by what.
_NEEDED = ("{dimension_name}", "{dimension_criteria}", "{original_conversation}")


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    name: str


_PLACES: Mapping[Official, _Place] = {
    "coser": _Place("gca_evaluation/prompts.py", "critic_prompts"),
    "her": _Place("eval_code/benchmarks/multi_turn/coser/prompts.py", "CRITIC_PROMPTS"),
}


def import_prompts(official: Official, clone: Path, out: Path) -> list[str]:
    """Writes a prompt pack and returns the names of its dimensions.

    Args:
        official: whose repository the clone is of.
        clone: its folder.
        out: the pack's folder; files of an earlier import are replaced.

    Raises:
        DataError: the clone does not hold the prompts in the form that is known.
        ResultError: the pack could not be written.
    """
    import yaml

    from roleeval.results import write_atomically

    place = _PLACES[official]
    file = clone / place.file
    if not file.is_file():
        raise DataError(f"{clone}: no {place.file} in it; give the root of a clone of {official}'s repository")
    prompts = _literal(file, place.name)
    template, details = prompts.get(_TEMPLATE), prompts.get(_DETAILS)
    if not isinstance(template, str) or not isinstance(details, dict) or not details:
        raise DataError(f"{file}: {place.name} lacks {_TEMPLATE!r} or {_DETAILS!r}; is this another version?")
    if absent := [name for name in _NEEDED if name not in template]:
        raise DataError(f"{file}: {_TEMPLATE!r} has no {absent[0]}; is this another version?")
    dimensions = {str(name): _dimension(file, str(name), each) for name, each in details.items()}
    sha256 = file_hash(file)
    manifest = {"name": f"{official}_official", "version": sha256[:12], "source": place.file, "source_sha256": sha256}
    critic = json.dumps({"template": template, "dimensions": dimensions}, ensure_ascii=False, indent=2)
    write_atomically(out / "critic.json", f"{critic}\n".encode())
    write_atomically(out / "manifest.yaml", yaml.safe_dump(manifest, sort_keys=False).encode())
    return list(dimensions)


def _literal(file: Path, name: str) -> dict[str, Any]:
    """The dictionary that a module assigns to a name, if it is a literal."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as Python ({error})") from error
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return _evaluated(file, name, node)
    raise DataError(f"{file}: no {name} = {{...}} at its top level; is this another version?")


def _evaluated(file: Path, name: str, node: ast.Assign) -> dict[str, Any]:
    try:
        value = ast.literal_eval(node.value)
    except (ValueError, TypeError, SyntaxError, RecursionError) as error:
        raise DataError(
            f"{file}, line {node.lineno}: {name} is not a literal ({error}); code of a clone is never executed"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{file}, line {node.lineno}: {name} is not a dictionary; is this another version?")
    return value


def _dimension(file: Path, name: str, details: Any) -> dict[str, str]:
    found = details if isinstance(details, dict) else {}
    brief, criteria = found.get("dimension_brief"), found.get("dimension_criteria")
    if not isinstance(brief, str) or not isinstance(criteria, str):
        raise DataError(f"{file}: dimension {name!r} lacks dimension_brief or dimension_criteria")
    return {"brief": brief, "criteria": criteria}
