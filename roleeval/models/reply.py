"""The one place where reasoning is taken out of a reply."""

from roleeval.types import FinishReason, Reply

_OPEN, _CLOSE = "<think>", "</think>"


def parse_plain(text: str, finish_reason: FinishReason, reasoning: str = "") -> Reply:
    """Splits a reply into what is said and what was thought before.

    Reasoning ends at the *last* `</think>`; its opening tag may be missing (templates often write it). A reply that
    opens `<think>` and never closes it was cut inside the reasoning: nothing of it is an answer.

    Args:
        text: the raw reply.
        finish_reason: how it ended.
        reasoning: what the server returned in a reasoning field of its own.
    """
    thoughts, closed, answer = text.rpartition(_CLOSE)
    if not closed and text.lstrip().startswith(_OPEN):
        return Reply(visible="", thoughts=_joined(reasoning, text.lstrip()[len(_OPEN) :]), status="truncated_reasoning")
    visible = answer.strip()
    thoughts = _joined(reasoning, thoughts.strip().removeprefix(_OPEN))
    if finish_reason == "content_filter":
        return Reply(visible=visible, thoughts=thoughts, status="refused")
    if not visible:
        cut = finish_reason == "length" and bool(thoughts)
        return Reply(visible="", thoughts=thoughts, status="truncated_reasoning" if cut else "no_answer")
    return Reply(visible=visible, thoughts=thoughts)


def _joined(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
