"""The contents of GCA's packs: a template and its dimensions, in the project's own format or imported.

judges/gca/                     own
  manifest.yaml    name, version
  system.txt       the template: {book}, {plot_summary}, ..., {dimension_name}, {dimension_brief}, {dimension_criteria}
  user.txt         {conversation}, between marks, and {dimension_name}
  dimensions.yaml  name -> {brief, criteria}
  continued.txt    {additional_instructions} of scenes that begin with the reference's own turns
  schema.json      of the reply's part under the dimension's name
.prompt_packs/<name>/           imported (official_prompts.py); the conversation alone is the user message
  manifest.yaml
  critic.json      {"template": str, "dimensions": {name: {"brief": str, "criteria": str}}}

If a pack has no continued.txt or schema.json, the file of judges/gca is used.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from roleeval.errors import ConfigError
from roleeval.jsonfiles import read_json
from roleeval.prompts import PromptPack, check_places, fill, load_prompt_pack, read_yaml
from roleeval.types import Message, Sample

OWN_PACK = "judges/gca"
_NOTHING = "(none given)"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that a scene is judged by: what it is about, and the flaws that count."""

    name: str
    brief: str
    criteria: str

    @property
    def metric(self) -> str:
        """Its name in a metric's: "storyline_consistency"."""
        return metric_name(self.name)


@dataclass(frozen=True, slots=True)
class Critic:
    """A pack's template and dimensions; `user` is None where the conversation alone is the user message."""

    template: str
    user: str | None
    dimensions: tuple[Dimension, ...]


def metric_name(dimension: str) -> str:
    """A dimension's name as part of a metric's name."""
    return "_".join(dimension.casefold().split())


@lru_cache(maxsize=16)
def load_critic(pack: PromptPack) -> Critic:
    """Reads a pack, own or imported.

    Raises:
        ConfigError: a file is missing or not what the module's first lines show.
    """
    imported = pack.folder / "critic.json"
    if imported.is_file():
        try:
            data = read_json(imported)
            return Critic(str(data["template"]), None, _dimensions(data["dimensions"], str(imported)))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{imported}: damaged ({error}); import the prompts again") from error
    file = pack.folder / "dimensions.yaml"
    if not file.is_file():
        raise ConfigError(f"judge pack {pack.folder}: no dimensions.yaml, and no critic.json of an import")
    dimensions = _dimensions(read_yaml(file), str(file))
    return Critic(pack.template("system.txt"), pack.template("user.txt"), dimensions)


def _dimensions(data: Any, where: str) -> tuple[Dimension, ...]:
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{where}: needs dimensions, a mapping of names to brief and criteria")
    found = []
    for name, parts in data.items():
        brief, criteria = (parts.get(key) if isinstance(parts, dict) else None for key in ("brief", "criteria"))
        if not isinstance(brief, str) or not isinstance(criteria, str):
            raise ConfigError(f"{where}: dimension {name!r} needs brief and criteria (texts)")
        dimension = Dimension(str(name), brief.strip(), criteria.strip())
        if not dimension.metric.replace("_", "").isalnum() or dimension.metric in ("avg", "severity"):
            raise ConfigError(f"{where}: {name!r} is not a valid name of a dimension; use letters, digits and spaces")
        found.append(dimension)
    return tuple(found)


def critic_messages(
    pack: PromptPack, dimension: Dimension, sample: Sample, *, conversation: str, thoughts: str
) -> tuple[Message, Message]:
    """The chat about one dimension of one scene: the filled template, then the simulated conversation.

    Args:
        pack: whose template.
        dimension: what is asked about.
        sample: the scene; its material fills the template.
        conversation: the simulated one, as safe as it has to be for the pack's user message.
        thoughts: "shown" takes the reference with inner thoughts.

    Raises:
        ConfigError: the sample lacks material, so it is of no benchmark that this judge is for.
    """
    critic = load_critic(pack)
    values = _material(sample, thoughts) | {
        "dimension_name": dimension.name,
        "additional_instructions": _additional(pack, sample),
        "conversation": conversation,
    }
    # A criterion has places of its own, {major_characters}; filled first, so that texts from a book never are.
    values |= {"dimension_brief": fill(dimension.brief, **values)}
    values |= {"dimension_criteria": fill(dimension.criteria, **values)}
    if critic.user is not None:
        for name, template in (("system.txt", critic.template), ("user.txt", critic.user)):
            check_places(template, values, f"judge pack {pack.folder}: {name}")
    user = conversation if critic.user is None else fill(critic.user, **values)
    return (Message("system", fill(critic.template, **values)), Message("user", user))


def _material(sample: Sample, thoughts: str) -> dict[str, str]:
    reference = "reference_shown" if thoughts == "shown" else "reference"
    names = {
        "book": "book",
        "plot_summary": "plot_summary",
        "scenario": "scenario",
        "character_profiles": "character_profiles",
        "major_characters": "major_characters",
        "original_conversation": reference,
    }
    if absent := [key for key in names.values() if key not in sample.material]:
        raise ConfigError(
            f"judge: sample {sample.id} has no material {absent[0]!r}; GCA judges scenes: use it with benchmark=coser"
        )
    return {place: sample.material[key].strip() or _NOTHING for place, key in names.items()}


def _additional(pack: PromptPack, sample: Sample) -> str:
    first = sample.labels.get("continue_from", "0")
    return "" if first == "0" else fill(pack_file(pack, "continued.txt"), continue_from=first)


def pack_file(pack: PromptPack, name: str) -> str:
    """A file of the pack, or of the project's own where the pack has none (an imported one)."""
    return (pack if (pack.folder / name).is_file() else load_prompt_pack(OWN_PACK)).template(name)
