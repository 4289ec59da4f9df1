"""Removes reasoning from a reply: from plain texts here, from HER's tags in _her_reply.py."""

from roleeval.models.marks import AUTO, split_reasoning
from roleeval.types import FinishReason, Reply


def parse_plain(
    text: str,
    finish_reason: FinishReason,
    reasoning: str = "",
    *,
    always_reasons: bool = False,
    marks: str = AUTO,
) -> Reply:
    """Splits a reply into what is said and what was thought before.

    With `<think>`, reasoning ends at the *last* `</think>`; its opening tag may be missing (templates often write it).
    What follows a later `<think>` is reasoning that was cut off. Where nothing is said outside of it, the reply was cut
    inside the reasoning: nothing of it is an answer. Other marks: see marks.py.

    Args:
        text: the raw reply.
        finish_reason: how it ended.
        reasoning: what the server returned in a reasoning field of its own.
        always_reasons: the model never answers without reasoning, so a text that reached its limit before any
            closing mark is reasoning even without an opening one.
        marks: what encloses reasoning (marks.checked_marks).
    """
    split = split_reasoning(text, marks)
    if always_reasons and finish_reason == "length" and not (split.found or reasoning.strip()):
        return Reply(visible="", thoughts=joined(text), status="truncated_reasoning")
    visible = split.said.strip()
    thoughts = joined(reasoning, *split.thoughts)
    if split.cut and not visible:
        return Reply(visible="", thoughts=thoughts, status="truncated_reasoning")
    return settled(visible, thoughts, finish_reason)


def settled(visible: str, thoughts: str, finish_reason: FinishReason) -> Reply:
    """The reply of a text whose reasoning was not cut off by what its tags say; finds its status.

    Args:
        visible: what others hear.
        thoughts: all that was thought, a server's own reasoning field included.
        finish_reason: how the text ended.
    """
    if finish_reason == "content_filter":
        return Reply(visible=visible, thoughts=thoughts, status="refused")
    if not visible:
        cut = finish_reason == "length" and bool(thoughts)
        return Reply(visible="", thoughts=thoughts, status="truncated_reasoning" if cut else "no_answer")
    return Reply(visible=visible, thoughts=thoughts)


def joined(*parts: str) -> str:
    """Thoughts of several places as one text, a line each."""
    return "\n".join(part.strip() for part in parts if part.strip())
