"""The audible text of a turn: without thoughts in [brackets], and without the speaker's own name at the start."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from roleeval.models import heard_her, parse_her, tags_in
from roleeval.types import Turn


def without_thoughts(text: str) -> tuple[str, str]:
    """Takes [thoughts] out of a message; each line is trimmed and empty lines are left out.

    Brackets are followed over lines and into each other, and an unclosed one takes in the rest: what a model meant to
    keep to itself is never heard. On the reference, whose thoughts are on one line and are closed, this is CoSER's
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
    """A turn without the speaker's own name and colon at the start."""
    return re.sub(rf"^\s*[*_]{{0,3}}{re.escape(name)}[*_]{{0,3}}\s*[:：][*_]{{0,3}}\s*", "", text, count=1)


def with_name(text: str, name: str) -> str:
    """A turn as others hear it: prefixed with the speaker's name, once."""
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


def tagged_turn(turn: Turn) -> Turn:
    """A turn in HER's tags of a model whose family does not read them."""
    reply = parse_her(turn.visible, turn.finish_reason)
    return replace(
        turn,
        visible=reply.visible,
        thoughts="\n".join(part for part in (turn.thoughts, reply.thoughts) if part),
        status=reply.status if turn.status == "ok" else turn.status,
        own_history=reply.own_history,
        shown=reply.shown,
    )


@dataclass(frozen=True, slots=True)
class Given:
    """A message of the reference in the forms that its readers get.

    Attributes:
        visible: what is said and done, for metrics and judges that are not shown thoughts.
        shown: the same with thoughts in brackets.
        thoughts: of its speaker.
        heard: what others hear.
        own: what its speaker remembers.
        tagged: it is in HER's tags.
    """

    visible: str
    shown: str
    thoughts: str
    heard: str
    own: str
    tagged: bool


def given_message(message: str, speaker: str, *, tags: bool = False) -> Given:
    """A character's message of the reference, in brackets or in HER's tags.

    Args:
        message: as it stands in the data.
        speaker: whose it is.
        tags: characters hear and remember HER's tags, where the data has them.

    Source: spec/coser.md, sections 3 and 6.
    """
    said = without_name(message, speaker).strip()
    if next(tags_in(said), None) is None:
        visible, thoughts = without_thoughts(said)
        return Given(visible, said, thoughts, visible, said, tagged=False)
    reply = parse_her(said, "stop")
    visible, inner = without_thoughts(reply.visible)
    shown = (reply.shown or reply.visible).strip()
    thoughts = "\n".join(part for part in (reply.thoughts, inner) if part)
    heard = without_thoughts(heard_her(said, "stop"))[0] if tags else visible
    own = (reply.own_history or reply.visible) if tags else shown
    return Given(visible, shown, thoughts, heard, own, tagged=True)
