"""What the errors judge looks for: the six dimensions and their subtypes, from a judge pack.

dimensions.yaml   dimension -> {brief, brief_zh, subtypes: {name: text}, subtypes_zh: {name: text}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from roleeval.benchmarks.minimax.scores import DIMENSIONS
from roleeval.errors import ConfigError
from roleeval.prompts import PromptPack
from roleeval.types import Language

_LANGUAGES: Mapping[Language, str] = {"en": "", "zh": "_zh"}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One of the six.

    Attributes:
        name: as in scores.DIMENSIONS.
        briefs: language -> the question it asks.
        subtypes: language -> subtype -> what counts; the same subtypes in each.
    """

    name: str
    briefs: Mapping[Language, str]
    subtypes: Mapping[Language, Mapping[str, str]]

    def described(self, language: Language) -> str:
        """Its paragraph of the judge's prompt."""
        lines = [f"- {name}: {text}" for name, text in self.subtypes[language].items()]
        return "\n".join([f"## {self.name}", self.briefs[language], *lines])


@lru_cache(maxsize=8)
def load_dimensions(pack: PromptPack) -> tuple[Dimension, ...]:
    """A pack's dimensions, in the order of scores.DIMENSIONS.

    Raises:
        ConfigError: one is missing or not what the module's first lines show, or two share a subtype.
    """
    import yaml

    file = pack.folder / "dimensions.yaml"
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML ({error})") from error
    if not isinstance(data, dict) or set(data) != set(DIMENSIONS):
        raise ConfigError(f"{file}: needs exactly the dimensions {', '.join(DIMENSIONS)}")
    found = tuple(_dimension(name, data[name], f"{file}: {name}") for name in DIMENSIONS)
    names = [subtype for dimension in found for subtype in dimension.subtypes["en"]]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ConfigError(f"{file}: the subtype {twice} is in two dimensions; give it another name in one of them")
    return found


def _dimension(name: str, node: Any, where: str) -> Dimension:
    node = node if isinstance(node, dict) else {}
    briefs: dict[Language, str] = {}
    subtypes: dict[Language, Mapping[str, str]] = {}
    for language, suffix in _LANGUAGES.items():
        brief, texts = node.get(f"brief{suffix}"), node.get(f"subtypes{suffix}")
        if not isinstance(brief, str) or not _texts(texts):
            raise ConfigError(f"{where}: needs brief{suffix} (a text) and subtypes{suffix} (name: text)")
        briefs[language], subtypes[language] = brief.strip(), texts
    if set(subtypes["en"]) != set(subtypes["zh"]):
        raise ConfigError(f"{where}: subtypes and subtypes_zh need the same names")
    return Dimension(name, briefs, subtypes)


def _texts(node: Any) -> bool:
    pairs = node.items() if isinstance(node, dict) else ()
    return bool(pairs) and all(
        isinstance(name, str) and name.replace("_", "").isalnum() and isinstance(text, str) for name, text in pairs
    )


def subtypes_of(dimensions: Sequence[Dimension]) -> dict[str, str]:
    """Subtype -> its dimension."""
    return {subtype: dimension.name for dimension in dimensions for subtype in dimension.subtypes["en"]}
