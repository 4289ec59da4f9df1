"""Finds phrases of refusal and of AI self-reference; the phrases are data, in phrases.yaml."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from roleeval.errors import ConfigError

_OPENING_CHARS = 400
_OPENING_SENTENCES = 2
_SENTENCE_END = re.compile(r"(?<=[.!?。])(?:\s+|(?<=。))|(?<=[!?])(?=[^\s!?.])|\n+")
_BEFORE_SPEECH = re.compile(r"\s*(?:\*[^*\n]{1,200}\*|\([^()\n]{1,200}\)|[^\s:.!?,][^:.!?,\n]{0,40}:(?=\s))\s*")
_QUOTED = re.compile(r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|『[^』\n]*』')
_QUOTES = '"“”「」『』'


@dataclass(frozen=True, slots=True)
class Phrases:
    """The compiled patterns of one phrases file, and the roles that are machines in their own story."""

    refusal: re.Pattern[str]
    assistant: re.Pattern[str]
    plain_ai: re.Pattern[str]
    machine_roles: frozenset[str]

    def is_refusal(self, answer: str) -> bool:
        """Returns whether the answer opens by declining the request."""
        return self.refusal.search(_opening(_normalised(answer))) is not None

    def is_ai_self_reference(self, answer: str, *, plain_ai: bool) -> bool:
        """Returns whether the speaker calls itself an AI.

        Args:
            answer: the visible answer.
            plain_ai: whether "I am an AI" counts, or only what no character of a story says of itself.
        """
        text = _normalised(answer)
        if self.assistant.search(text):
            return True
        return plain_ai and self.plain_ai.search(_QUOTED.sub(" ", _unwrapped(text))) is not None


@lru_cache(maxsize=8)
def load_phrases(path: str) -> Phrases:
    """Reads a phrases file.

    Args:
        path: the file; "" for the package's own.

    Raises:
        ConfigError: the file is missing, or is not what phrases.yaml describes.
    """
    import yaml

    name = path or "roleeval/metrics/phrases.yaml"
    try:
        source = Path(path) if path else files("roleeval.metrics") / "phrases.yaml"
        data = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name}: cannot be read as YAML ({error}).") from error
    try:
        fragments = data.get("fragments", {})
        return Phrases(
            refusal=_compiled(data["refusal"], fragments),
            assistant=_compiled(data["assistant"], fragments),
            plain_ai=_compiled(data["plain_ai"], fragments),
            machine_roles=frozenset(data.get("machine_roles", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{name}: needs refusal, assistant and plain_ai, each language -> list of patterns ({error!r})."
        ) from error
    except re.error as error:
        raise ConfigError(f"{name}: {error.pattern!r} is not a regular expression ({error}).") from error


def _compiled(patterns: Mapping[str, Iterable[str]], fragments: Mapping[str, Any]) -> re.Pattern[str]:
    """One pattern for all languages: models leave the persona's language when they leave the role."""
    alternatives = [f"(?:{pattern})" for language in patterns.values() for pattern in language]
    expression = "|".join(alternatives)
    for _ in range(len(fragments)):  # a fragment may hold another
        for name, fragment in fragments.items():
            expression = expression.replace(f"<{name}>", fragment)
    return re.compile(expression)


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("’", "'").strip().lower()


def _unwrapped(text: str) -> str:
    """The text without quotation marks around the whole of it."""
    inner = text[1:-1]
    wrapped = len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES and not any(q in inner for q in _QUOTES)
    return inner if wrapped else text


def _opening(text: str) -> str:
    """The first sentences of what is said, without stage directions before them and without quoted speech."""
    text = _unwrapped(text)
    while before := _BEFORE_SPEECH.match(text):
        text = text[before.end() :]
    said = _QUOTED.sub(" ", _unwrapped(text))[:_OPENING_CHARS]
    sentences = [sentence for sentence in _SENTENCE_END.split(said) if sentence.strip()]
    return " ".join(sentences[:_OPENING_SENTENCES])
