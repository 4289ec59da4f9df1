"""Which tags of a text are HER's: plans, inner thoughts, actions and speech, under all names that models give them.

    system    system_thinking, systemthinking, system_think ...       a plan
    think     think, thinking                                         a plan at the beginning, a thought later on
    thought   thought, thoughts
    role      role_thinking, long_role_thinking, inner_thinking ...   any other name that ends so
    action    role_action
    speech    role_speech

Between the parts of a name: an underscore, a hyphen, a colon, a space or nothing. Source: spec/coser.md, section 6.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TagKind = Literal["system", "think", "thought", "role", "action", "speech"]

# Possessive, and of bounded length: a long run of anything must not be tried in every split.
_ANY = re.compile(r"<\s*+(?P<close>/?)\s*+(?P<inner>[A-Za-z][^<>]{0,100}+)>", re.ASCII)
_PARTED = re.compile(r"[\s_:-]+")
_THINKS = re.compile(r"(?:think(?:ing)?|thoughts?)\Z")
# Words that may stand, with a space, before "thinking": "<I think>" is no tag.
_WORDS = frozenset(("system", "role", "inner", "long", "character", "self"))
_BEFORE = ("", "system", "role", "longrole", "inner", "character", "self")
_ENDS = ("thinking", "thoughts", "actions", "speech")
_NAMES = tuple(f"{before}{end}" for before in _BEFORE for end in _ENDS)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag's place in a text, and what it is."""

    start: int
    end: int
    kind: TagKind
    closing: bool


def tags_in(text: str) -> Iterator[Tag]:
    """HER's tags, in order; others are text."""
    for found in _ANY.finditer(text):
        kind = _kind(found["inner"])
        if kind is not None:
            yield Tag(found.start(), found.end(), kind, bool(found["close"]))


def without_tags(text: str, *, but: TagKind | None = None) -> str:
    """A text in which tags that only came together when others between their parts were taken out are words.

    Args:
        text: what is left of a reply.
        but: tags of this kind stay.
    """
    pieces, at = list[str](), 0
    for tag in tags_in(text):
        if tag.kind != but:
            pieces += [text[at : tag.start], f"({text[tag.start + 1 : tag.end - 1].strip()})"]
            at = tag.end
    return "".join([*pieces, text[at:]])


def without_half_a_tag(text: str) -> str:
    """A text that was cut off, without the beginning of a tag at its end."""
    at = text.rfind("<")
    if at < 0 or len(text) - at > 40:
        return text
    begun = re.fullmatch(r"<\s*/?(?P<name>[a-zA-Z\s_:-]*)", text[at:])
    name = _PARTED.sub("", begun["name"].lower()) if begun else "no tag"
    return text[:at] if any(whole.startswith(name) for whole in _NAMES) else text


def _kind(inner: str) -> TagKind | None:
    words: list[str] = []
    for word in inner.lower().split():
        if "=" in word:  # an attribute
            break
        words.append(word)
    name = _PARTED.sub("", "".join(words))
    if name in ("roleaction", "roleactions"):
        return "action"
    if name in ("rolespeech", "rolespeaking", "roledialogue"):
        return "speech"
    ends = _THINKS.search(name)
    if not ends or not name.isalpha() or not all(_PARTED.sub("", word) in _WORDS for word in words[:-1]):
        return None
    before = name[: ends.start()]
    if not before:
        return "thought" if ends[0].startswith("thought") else "think"
    return "system" if before.endswith("system") else "role"
