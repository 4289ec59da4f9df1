"""What servers answer: from a reply's bytes to a Completion, or to a sentence that quotes what came instead."""

import codecs
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from roleeval.jsonfiles import is_text, parse_json
from roleeval.plain import plain
from roleeval.types import Completion, FinishReason, Request

_QUOTED = 200  # letters of a server's text in a message
_LARGEST_COUNT = 2**53
# Why an answer ended, in the words of servers and vendors, in small letters; what is not here has ended by itself.
_CUT = ("length", "max_tokens", "max_length", "model_length", "model_context_window_exceeded")
_FILTERED = (
    *("content_filter", "refusal", "safety", "sensitive"),
    *("blocklist", "prohibited_content", "recitation", "spii"),
)
_ABORTED = ("abort", "aborted", "cancelled", "error", "insufficient_system_resource", "network_error", "timeout")
# What a hosted model's filter says in an error's code or type; it is the outcome of the request, not a fault.
_FILTER_CODES = (
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "ResponsibleAIPolicyViolation",
)
_PASSING = (408, 409, 429)


class BrokenReplyError(Exception):
    """A reply with status 200 that holds no finished message.

    Attributes:
        final: the server refuses the request in it; asking again would change nothing.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class FilteredError(Exception):
    """The server's filter held the answer back."""


@dataclass(frozen=True)
class ServerReply:
    """A reply, as far as it is read.

    Attributes:
        completion: the answer.
        system_fingerprint: "" for none.
        model: the name of the model that answered, as the server gives it; "" for none.
    """

    completion: Completion
    system_fingerprint: str
    model: str


def read_reply(content: bytes, request: Request) -> ServerReply:
    """Reads a reply. A refusal in a field of its own is a filtered completion with the refusal as its text.

    Raises:
        BrokenReplyError: it is not JSON, has no choice, or its message is missing or was aborted.
        FilteredError: it says nothing but that a filter held the answer back.
    """
    try:
        # halves are looked for where they matter: in the answer, not in a server's other words
        data = parse_json(content.removeprefix(codecs.BOM_UTF8), check_halves=False)
    except ValueError as error:
        raise BrokenReplyError(_no_json(content, str(error))) from None
    try:
        completion = _completion(data, request)
    except RecursionError:
        raise BrokenReplyError("the reply is nested too deeply") from None
    if not is_text(completion.text) or not is_text(completion.reasoning):
        raise BrokenReplyError(_no_json(content, "holds half of a surrogate pair, which is not text"))
    return ServerReply(completion, _name(data.get("system_fingerprint")), _name(data.get("model")))


def _name(value: object) -> str:
    """What a server calls something; half of a surrogate pair, which no file can hold, is a question mark."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _completion(data: Any, request: Request) -> Completion:
    choice = _choice(data)
    message = choice if request.messages is None else choice.get("message")
    if not isinstance(message, Mapping):
        raise BrokenReplyError(f"the reply has no message: {quoted(data)}")
    text, reasoning, refusal = _parts(message.get("text" if request.messages is None else "content"))
    field = message.get("reasoning_content") or message.get("reasoning") or ""
    reasoning = _text(field) or reasoning
    refusal = _text(message.get("refusal") or "") or refusal
    reason = choice.get("finish_reason")
    if refusal and not text:
        text, reason = refusal, "content_filter"
    name = reason.casefold() if isinstance(reason, str) else ""
    finish = _finish_reason(name)
    # filtered before the first token, or nothing but reasoning: with the limit reached there, or ended by itself
    nothing = finish in ("content_filter", "length") or (name == "stop" and bool(reasoning))
    if text is None and nothing:
        text = ""
    if text is None or name in _ABORTED:
        raise BrokenReplyError(f"the reply has no finished message (finish_reason {reason!r:.80}): {quoted(message)}")
    usage = data.get("usage")
    return Completion(
        text=request.prefill + text,
        finish_reason=finish,
        prompt_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        reasoning=reasoning,
    )


def _choice(data: Any) -> Mapping[str, Any]:
    """The first choice: the one with the lowest index, in whatever order they come."""
    if not isinstance(data, Mapping):
        raise BrokenReplyError(f"the reply is not a completion: {quoted(data)}")
    choices = data.get("choices")
    found = [choice for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    if not found:
        error = data.get("error")
        if is_filtered(400, error):
            raise FilteredError
        if error:
            raise BrokenReplyError(f"the server answers with an error: {_error_text(error)}", final=_is_final(error))
        raise BrokenReplyError(f"the reply is not a completion: {quoted(data)}")
    return min(found, key=_index)


def _index(choice: Mapping[str, Any]) -> float:
    try:
        index = float(choice["index"])
    except (LookupError, OverflowError, TypeError, ValueError):
        return math.inf
    return math.inf if math.isnan(index) else index


def _parts(content: object) -> tuple[str | None, str, str]:
    """Text, reasoning and refusal of a message's content: a text, or a list of parts; None is no text at all."""
    if content is None or isinstance(content, str):
        return content, "", ""
    parts = content if isinstance(content, list) else [content]
    found: dict[str, list[str]] = {"text": [], "thinking": [], "refusal": []}
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        kind = {"output_text": "text", "reasoning": "thinking"}.get(kind, kind) if isinstance(kind, str) else ""
        inner = part.get(kind, part.get("text")) if isinstance(part, Mapping) else part
        if kind in found and isinstance(inner, str | list):
            found[kind].append(_text(inner))
    text = "".join(found["text"]) if found["text"] else None
    return text, "".join(found["thinking"]), "".join(found["refusal"])


def _text(value: object) -> str:
    if isinstance(value, list):
        inner = [part.get("text", part.get("thinking")) if isinstance(part, Mapping) else part for part in value]
        if all(isinstance(part, str) for part in inner):
            return "".join(inner)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _error_text(error: object) -> str:
    if not isinstance(error, Mapping) or not error.get("message"):
        return quoted(error)
    code = error.get("code")
    return quoted(error["message"]) + (f" (code {code!r:.80})" if code is not None else "")


def _is_final(error: object) -> bool:
    """Whether an error's code is a status that no waiting heals."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return isinstance(code, int) and 400 <= code < 500 and code not in _PASSING


def is_filtered(status: int, body: object) -> bool:
    """Whether an error says that a filter held the answer back.

    Args:
        status: of the HTTP reply.
        body: of the error ("error" in its JSON), as far as it is JSON.
    """
    if status not in (400, 403) or not isinstance(body, Mapping):
        return False
    inner = body.get("innererror")
    codes = (body.get("code"), body.get("type"), inner.get("code") if isinstance(inner, Mapping) else None)
    return any(isinstance(code, str) and code in _FILTER_CODES for code in codes)


def server_message(body: object, text: str) -> str:
    """What a server says of an error: the message in its JSON, or its text without markup."""
    message = body.get("message") if isinstance(body, Mapping) else None
    return quoted(message or text, most=500) or "no message"


def quoted(value: object, *, most: int = _QUOTED) -> str:
    """What a server sent as one line of a message: text without markup, everything else as JSON."""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except (RecursionError, TypeError, ValueError):
            value = "(nested too deeply)"
    if re.match(r"\s*<(?:!doctype|html|head|body|\?xml)", value, re.IGNORECASE):
        value = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", value, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(plain(value[: 20 * most]).split())
    return line if len(line) <= most else f"{line[:most]}..."


def _no_json(content: bytes, why: str) -> str:
    text = content[: 50 * _QUOTED].decode("utf-8", errors="replace")
    if re.match(r"\s*(?:data|event|id|retry)?:", text):
        return f"the reply is an event stream, which was not asked for: {quoted(text)}"
    if not text.strip():
        return "the reply is empty"
    return f"the reply is not a completion ({len(content)} bytes, {why}): {quoted(text)}"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks to wait; None without a readable one."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
            seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _finish_reason(name: str) -> FinishReason:
    if name in _CUT:
        return "length"
    return "content_filter" if name in _FILTERED else "stop"


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return int(value) if isinstance(value, int) and 0 <= value < _LARGEST_COUNT else 0
