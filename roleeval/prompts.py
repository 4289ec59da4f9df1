"""Prompt packs: folders of templates with a manifest, named and hashed in every result."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError
from roleeval.hashing import digest, file_hash
from roleeval.resources import located

_PLACE = re.compile(r"\{(\w+)\}")
_SINGLE_PLACE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")


@dataclass(frozen=True, slots=True)
class PromptPack:
    """A folder of templates.

    Attributes:
        name: from its manifest.yaml.
        version: from its manifest.yaml.
        sha256: hash of all its files.
        folder: where it is.
    """

    name: str
    version: str
    sha256: str
    folder: Path

    def template(self, name: str, *, language: str = "") -> str:
        """The text of one template.

        Args:
            name: its file, "user.txt".
            language: for "zh" it is "user.zh.txt", where the pack has that.

        Raises:
            ConfigError: the pack has no such template.
        """
        file = self.folder / name
        own = file.with_suffix(f".{language}{file.suffix}")
        return _template(own if language and own.is_file() else file)


@lru_cache(maxsize=64)
def _template(file: Path) -> str:
    if not file.is_file():
        raise ConfigError(f"prompt pack {file.parent}: no template {file.name}")
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from error


@lru_cache(maxsize=16)
def load_prompt_pack(folder: str) -> PromptPack:
    """Reads a prompt pack.

    Args:
        folder: a path, a shipped one ("tasks/rolebench/prompts/persona"), or one in a package ("pkg://PACKAGE/path").

    Raises:
        ConfigError: the folder or its manifest.yaml is missing or incomplete.
    """
    path = located(folder)
    manifest_file = path / "manifest.yaml"
    if not manifest_file.is_file():
        raise ConfigError(f"prompt pack {path}: no manifest.yaml in it (with name and version)")
    manifest = read_yaml(manifest_file)
    if not isinstance(manifest, dict) or not {"name", "version"} <= manifest.keys():
        raise ConfigError(f"{manifest_file}: needs the keys name and version")
    files = sorted(p for p in path.iterdir() if p.is_file())
    sha256 = digest([(p.name, file_hash(p)) for p in files])
    return PromptPack(str(manifest["name"]), str(manifest["version"]), sha256, path)


def read_yaml(file: Path) -> Any:
    """The value in a YAML file of a pack.

    Raises:
        ConfigError: it is no YAML, or holds more than plain values; names file and line.
    """
    import yaml

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ConfigError(f"{file}:{line} not valid YAML ({problem})") from error


def check_places(template: str, names: Collection[str], where: str) -> None:
    """Refuses a template with a {place} that nothing is put into; braces in pairs are text.

    Raises:
        ConfigError: names the place and those there are.
    """
    if unknown := [name for name in _SINGLE_PLACE.findall(template) if name not in names]:
        raise ConfigError(
            f"{where}: there is nothing to put into {{{unknown[0]}}}; places: {', '.join(sorted(names))}. Write"
            f" {{{{{unknown[0]}}}}} for text in braces"
        )


def fill(template: str, **values: str) -> str:
    """Puts values into {name} places in one pass; other braces, and braces in the values, stay as they are."""
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)
