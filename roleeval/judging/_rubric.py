"""The contents of a judge's pack: prompts, criteria, and the schema of one criterion's verdict.

judges/<name>/
  manifest.yaml   name, version
  rubric.yaml     criteria: {name: text}, criteria_zh for Chinese, and scale: [lowest, highest] for points
  system.txt      {criteria}, and the judge's own fields
  user.txt        {role}, {description}, {question}, {reference}, and what the judge shows
  system.zh.txt, user.zh.txt   the same for roles that speak Chinese; without them all roles get the files above
  schema.json     of the verdict on one criterion; absent for judges that reply in free text
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from roleeval.errors import ConfigError
from roleeval.judging._json import read_schema
from roleeval.prompts import PromptPack, check_places, fill, read_yaml
from roleeval.types import Language, Message, Sample

_MOST_POINTS = 1_000_000
_NOTHING: Mapping[Language, str] = {"en": "(none given)", "zh": "（未给出）"}


@dataclass(frozen=True, slots=True)
class Rubric:
    """rubric.yaml.

    Attributes:
        criteria: criterion -> what it asks.
        scale: lowest and highest points, where there are points.
        chinese: criterion -> what it asks, in Chinese; empty where the pack has none.
    """

    criteria: Mapping[str, str]
    scale: tuple[int, int] | None = None
    chinese: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=32)
def load_rubric(pack: PromptPack) -> Rubric:
    """Reads a pack's rubric.yaml.

    Raises:
        ConfigError: it is missing or not what the module's first lines show.
    """
    file = pack.folder / "rubric.yaml"
    if not file.is_file():
        raise ConfigError(f"judge pack {pack.folder}: no rubric.yaml")
    data = read_yaml(file)
    criteria = data.get("criteria") if isinstance(data, dict) else None
    if not isinstance(criteria, dict) or not criteria or not all(isinstance(v, str) for v in criteria.values()):
        raise ConfigError(f"{file}: needs criteria, a mapping of names to texts")
    if bad := [name for name in criteria if not str(name).replace("_", "").isalnum() or name == "overall"]:
        raise ConfigError(
            f"{file}: {bad[0]!r} is not a valid name of a criterion; use letters, digits and _ (not 'overall')"
        )
    scale = data.get("scale")
    if scale is not None and not (
        isinstance(scale, list)
        and len(scale) == 2
        and all(isinstance(end, int) and not isinstance(end, bool) and abs(end) <= _MOST_POINTS for end in scale)
        and scale[0] < scale[1]
    ):
        raise ConfigError(f"{file}: scale is {scale!r}; give [lowest, highest] as whole numbers")
    chinese = data.get("criteria_zh") or {}
    if chinese and (not isinstance(chinese, dict) or chinese.keys() != criteria.keys()):
        raise ConfigError(f"{file}: criteria_zh needs the same names as criteria: {', '.join(map(str, criteria))}")
    return Rubric(_stripped(criteria), tuple(scale) if scale else None, _stripped(chinese))


def _stripped(texts: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(text).strip() for name, text in texts.items()}


def criteria_schema(pack: PromptPack, criteria: Mapping[str, str], **values: Any) -> dict[str, Any]:
    """The schema of a whole reply: an object with the pack's schema.json under the name of each criterion.

    Args:
        pack: whose schema.json.
        criteria: names of the reply's keys.
        values: JSON values for {name} places in schema.json.

    Raises:
        ConfigError: schema.json is missing, not JSON, or has a keyword that is not checked.
    """
    text = fill(pack.template("schema.json"), **{name: json.dumps(value) for name, value in values.items()})
    one = read_schema(text, f"{pack.folder / 'schema.json'}")
    return {
        "type": "object",
        "properties": dict.fromkeys(criteria, one),
        "required": list(criteria),
        "additionalProperties": False,
    }


def check_verdict(
    pack: PromptPack, schema: Mapping[str, Any], key: str, *, kinds: Collection[str], example: str
) -> None:
    """Refuses a schema whose verdicts lack what scores are made of.

    Args:
        pack: whose schema.json.
        schema: of `criteria_schema`.
        key: what a verdict on one criterion must have.
        kinds: its types.
        example: what to write for it.

    Raises:
        ConfigError: names the key.
    """
    one = next(iter(schema["properties"].values()))
    if one.get("properties", {}).get(key, {}).get("type") not in kinds or key not in one.get("required", ()):
        raise ConfigError(
            f'{pack.folder / "schema.json"}: a verdict needs a {key}: add "{key}": {example} to its properties and'
            f' "{key}" to what it requires'
        )


def judge_messages(pack: PromptPack, sample: Sample, criteria: Mapping[str, str], **shown: str) -> tuple[Message, ...]:
    """The chat that a judge is sent: system.txt and user.txt, filled; in Chinese for a role that speaks it.

    Args:
        pack: whose templates.
        sample: what was asked; its first reference is {reference}.
        criteria: listed at {criteria}, in Chinese where the pack's rubric has them.
        shown: fenced answers and whatever else the templates name.
    """
    language = sample.persona.language
    asked = {**criteria, **(load_rubric(pack).chinese if language == "zh" else {})}
    values = {
        "criteria": "\n".join(f"- {name}: {asked[name]}" for name in criteria),
        "role": sample.persona.role,
        "description": sample.persona.description or _NOTHING[language],
        "question": sample.question,
        "reference": reference(sample) or _NOTHING[language],
        **shown,
    }
    texts = []
    for name in ("system.txt", "user.txt"):
        template = pack.template(name, language=language)
        check_places(template, values, f"judge pack {pack.folder}: {name} ({language})")
        texts.append(fill(template, **values))
    return (Message("system", texts[0]), Message("user", texts[1]))


def reference(sample: Sample) -> str:
    """The first of the sample's references; "" where it has none."""
    return next((text.strip() for texts in sample.references.values() for text in texts), "")
