"""Where reasoning is taken out of a reply: for plain texts here, for HER's tags in _her_reply.py."""

from roleeval.types import FinishReason, Reply

_OPEN, _CLOSE = "<think>", "</think>"


def parse_plain(text: str, finish_reason: FinishReason, reasoning: str = "", *, always_reasons: bool = False) -> Reply:
    """Splits a reply into what is said and what was thought before.

    Reasoning ends at the *last* `</think>`; its opening tag may be missing (templates often write it). What follows a
    later `<think>` is reasoning that was cut off. Where nothing is said outside of it, the reply was cut inside the
    reasoning: nothing of it is an answer.

    Args:
        text: the raw reply.
        finish_reason: how it ended.
        reasoning: what the server returned in a reasoning field of its own.
        always_reasons: the model never answers without reasoning, so a text that reached its limit before any
            `</think>` is reasoning even without an opening tag.
    """
    before, closed, after = text.rpartition(_CLOSE)
    said, opened, unfinished = after.partition(_OPEN)
    if always_reasons and finish_reason == "length" and not (closed or opened or reasoning.strip()):
        said, opened, unfinished = "", _OPEN, after
    visible = said.strip()
    thoughts = joined(reasoning, before.strip().removeprefix(_OPEN), unfinished)
    if opened and not visible:
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
