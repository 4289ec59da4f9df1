"""The audible text of a turn: without thoughts in [brackets], and without the speaker's own name at the start."""

import re
from collections.abc import Iterable
from dataclasses import replace

from roleeval.types import Turn


def without_thoughts(text: str) -> tuple[str, str]:
    """Takes [thoughts] out of a message; each line is trimmed and empty lines are left out.

    Brackets are followed over lines and into each other, and an unclosed one takes in the rest: what a model meant to
    keep to itself is never heard. On the reference, whose thoughts stand on one line and are closed, this is CoSER's
    own rule.

    Returns:
        What is heard, and the thoughts, a line each.

    Source: spec/coser.md, section 3, "Thought stripping".
    """
    heard: list[str] = []
    thoughts: list[str] = []
    depth = 0
    for character in text:
        if character == "[":
            depth += 1
            if depth == 1:
                thoughts.append("")
                continue
        elif character == "]" and depth:
            depth -= 1
            if not depth:
                continue
        if depth:
            thoughts[-1] += character
        else:
            heard.append(character)
    lines = (line.strip() for line in "".join(heard).splitlines())
    return "\n".join(line for line in lines if line), "\n".join(t.strip() for t in thoughts if t.strip())


def without_name(text: str, name: str) -> str:
    """A turn without the speaker's own name and a colon in front of it."""
    return re.sub(rf"^\s*[*_]{{0,3}}{re.escape(name)}[*_]{{0,3}}\s*[:：][*_]{{0,3}}\s*", "", text, count=1)


def with_name(text: str, name: str) -> str:
    """A turn as others hear it: the speaker's name in front, once."""
    return f"{name}: {without_name(text, name)}"


def conversation(parts: Iterable[tuple[str, str]]) -> str:
    """Turns as one text, "Name: message", a blank line between them."""
    return "\n\n".join(f"{speaker}: {said}" for speaker, said in parts)


def character_turn(turn: Turn) -> Turn:
    """A character's turn whose [thoughts] are told from what is heard; without anything heard it is "no_answer"."""
    own, shown = turn.own_history or turn.visible, turn.shown or turn.visible
    heard, inner = without_thoughts(turn.visible)
    heard, shown = without_name(heard, turn.speaker), without_name(shown, turn.speaker).strip()
    return replace(
        turn,
        visible=heard,
        thoughts="\n".join(part for part in (turn.thoughts, inner) if part),
        status=turn.status if heard or turn.status != "ok" else "no_answer",
        own_history=own if own != heard else "",
        shown=shown if shown != heard else "",
    )
