"""HER's replies: a plan, then inner thoughts, actions and speech, told apart by tags.

    <system_thinking>plan</system_thinking><role_thinking>thought</role_thinking><role_action>act</role_action>speech

One pass over the tags makes segments, from which each form of the reply is made. However malformed the tags are, the
text in a thinking tag is never visible; _her_tags.py knows the tags' names. Source: spec/coser.md, sections 4 and 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from roleeval.models._her_tags import tags_in, without_half_a_tag, without_tags
from roleeval.models.reply import joined, settled
from roleeval.types import FinishReason, Reply

Kind = Literal["plan", "thought", "action", "speech"]
_ACTION = "<role_action>{}</role_action>"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a reply.

    Attributes:
        kind: what it is.
        text: without tags.
        raw: as it was written, tags included; an unclosed tag is closed.
    """

    kind: Kind
    text: str
    raw: str


def parse_her(text: str, finish_reason: FinishReason, reasoning: str = "", *, keep_plan: bool = False) -> Reply:
    """Takes a HER reply apart. Never raises; linear in the text's length.

    Of a reply that ends inside its plan nothing is an answer: it is truncated reasoning, or "no_answer" where the model
    stopped there by itself.

    Args:
        text: the raw reply, prefill included.
        finish_reason: how it ended.
        reasoning: what the server returned in a reasoning field of its own.
        keep_plan: the plan stays in the character's own history.
    """
    segments, in_plan = split_her(without_half_a_tag(text) if finish_reason != "stop" else text)
    thoughts = joined(reasoning, *(part.text for part in segments if part.kind in ("plan", "thought")))
    if in_plan:
        return Reply(
            visible="", thoughts=thoughts, status="no_answer" if finish_reason == "stop" else "truncated_reasoning"
        )
    visible = _display(segments, ("action", "speech"))
    shown = _display(segments, ("thought", "action", "speech"))
    own = "".join(part.raw for part in segments if keep_plan or part.kind != "plan").strip()
    reply = settled(visible, thoughts, finish_reason)
    return replace(reply, own_history=own if own != visible else "", shown=shown if shown != visible else "")


def heard_her(text: str, finish_reason: FinishReason) -> str:
    """A reply as HER's other characters hear it, in training and in its evaluation: actions keep their tag.

    Thoughts and plans are taken out, marks of speech are dropped. "" where `parse_her` has no answer.

    Args:
        text, finish_reason: see parse_her.
    """
    segments, in_plan = split_her(without_half_a_tag(text) if finish_reason != "stop" else text)
    if in_plan:
        return ""
    heard, gap = "", False
    for segment in segments:
        body = segment.text.strip()
        if segment.kind in ("plan", "thought"):
            gap = True
            continue
        piece = segment.text if segment.kind == "speech" else _ACTION.format(body) if body else ""
        if gap and heard and piece and not (heard[-1].isspace() or piece[0].isspace()):
            heard += " "
        heard, gap = heard + piece, gap and not piece
    return without_tags(heard.strip(), but="action")


def split_her(text: str) -> tuple[list[Segment], bool]:
    """Splits a reply at its tags.

    A tag inside a thinking tag stays inside it; a thought inside an action is a thought. An unclosed thinking tag
    takes in the rest. A closing tag without an opening one is left out; where it closes a plan, all before it is the
    plan (templates may write the opening tag). `<think>` is the plan at the beginning of a reply, a thought later on.

    Returns:
        The segments in order, and whether the text ends inside the plan.
    """
    reader = _Reader()
    at = 0
    for tag in tags_in(text):
        reader.text(text[at : tag.start])
        reader.tag(text[tag.start : tag.end], tag.kind, closing=tag.closing)
        at = tag.end
    reader.text(text[at:])
    return reader.finish()


class _Reader:
    """Follows the tags. Not in a thinking tag, `thinking` is "" and `actions` counts the open action tags."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._plan_until = 0  # all segments before this one are the plan
        self._text: list[str] = []
        self._raw: list[str] = []
        self._begun = False  # something has been written that is not blank
        self._thinking = ""
        self._depth = 0
        self._kind: Kind = "speech"
        self._opened = ""
        self._actions = 0
        self._action_opened = ""

    def text(self, text: str) -> None:
        self._text.append(text)
        self._raw.append(text)
        self._begun = self._begun or bool(text.strip())

    def tag(self, raw: str, name: str, *, closing: bool) -> None:
        if self._thinking:
            self._tag_in_thinking(raw, name, closing=closing)
        elif name == "action":
            self._action(raw, closing=closing)
        elif name == "speech":
            self._speech(raw, closing=closing)
        elif not closing:
            self._flush()
            self._kind = "plan" if name == "system" or (name == "think" and not self._begun) else "thought"
            self._thinking, self._depth, self._opened = name, 1, raw
            self._raw.append(raw)
        elif name in ("system", "think"):
            self._flush()
            self._plan_until = len(self._segments)
            self._actions, self._kind = 0, "speech"

    def _tag_in_thinking(self, raw: str, name: str, *, closing: bool) -> None:
        if name == self._thinking and not closing and self._kind == "plan" and not self._begun:
            return  # the model repeats the tag that its turn was opened with
        if name == "system" and self._thinking == "think" and not (closing or self._begun):
            self._thinking, self._opened = name, raw  # behind a tag that the template opens
            self._raw = [raw]
            return
        self._raw.append(raw)
        if name != self._thinking:
            return
        self._depth += -1 if closing else 1
        if not self._depth:
            self._flush()
            self._thinking = ""
            self._kind = "action" if self._actions else "speech"

    def _action(self, raw: str, *, closing: bool) -> None:
        if not closing:
            if not self._actions:
                self._flush()
                self._kind, self._action_opened = "action", raw
            self._actions += 1
            self._raw.append(raw)
        elif self._actions:
            self._actions -= 1
            self._raw.append(raw)
            if not self._actions:
                self._flush()
                self._kind = "speech"

    def _speech(self, raw: str, *, closing: bool) -> None:
        """Its marks are dropped; speech that begins ends an action."""
        if self._actions and not closing:
            self._raw.extend([_closing(self._action_opened)] * self._actions)
            self._flush()
            self._actions, self._kind = 0, "speech"
        self._raw.append(raw)

    def _flush(self) -> None:
        if any(self._raw):
            self._segments.append(Segment(self._kind, "".join(self._text), "".join(self._raw)))
        self._text, self._raw = [], []

    def finish(self) -> tuple[list[Segment], bool]:
        in_plan = bool(self._thinking) and self._kind == "plan"
        if self._thinking:
            self._raw.extend([_closing(self._opened)] * self._depth)
        if self._actions:
            if self._thinking:
                self._flush()
                self._kind = "action"
            self._raw.extend([_closing(self._action_opened)] * self._actions)
        self._flush()
        plan = [replace(part, kind="plan") for part in self._segments[: self._plan_until]]
        return plan + self._segments[self._plan_until :], in_plan


def _closing(tag: str) -> str:
    return tag.replace("<", "</", 1)


def _display(segments: Sequence[Segment], kinds: Sequence[Kind]) -> str:
    """The text for people: thoughts as [..], actions as (..), and only the given kinds."""
    parts: list[str] = []
    line_break = False
    for segment in segments:
        body = segment.text.strip()
        if segment.kind not in kinds or not body:
            line_break = line_break or (segment.kind == "speech" and "\n" in segment.text)
            continue
        speech = segment.kind == "speech"
        start = segment.text.index(body)
        line_break = line_break or (speech and "\n" in segment.text[:start])
        if parts:
            parts.append("\n" if line_break else " ")
        parts.append(body if speech else f"[{body}]" if segment.kind == "thought" else f"({body})")
        line_break = speech and "\n" in segment.text[start + len(body) :]
    # What tags are left only came together when others between their parts were taken out.
    return without_tags("".join(parts))
