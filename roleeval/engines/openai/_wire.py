"""The wire format of OpenAI-compatible servers: from a Request to a body, from a reply's bytes to a Completion."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from roleeval.errors import EngineError
from roleeval.types import Completion, FinishReason, Request

# What the client library takes as named arguments; all else travels in its extra_body.
_NAMED = frozenset(
    ("model", "messages", "prompt", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed")
)

_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window)|(?:prompt|input|request) is too long|too many (?:input |total )?tokens"
    r"|max_model_len|maximum (?:sequence|input|model) length",
    re.IGNORECASE,
)


class BrokenReplyError(Exception):
    """A reply with status 200 that holds no finished message."""


def request_body(
    request: Request, *, model: str, extended: bool, send_seed: bool, max_tokens_field: str
) -> dict[str, Any]:
    """The JSON body of a chat completion (messages) or of a completion (raw prompt).

    Args:
        request: what is asked.
        model: the served name of the model or adapter.
        extended: the server knows vLLM's further sampling parameters.
        send_seed: include the request's seed.
        max_tokens_field: the name of the token limit in chat completions.

    Raises:
        EngineError: the request cannot be expressed, or only by leaving out a sampling parameter.
    """
    if (request.messages is None) == (request.prompt is None):
        raise EngineError("a request needs either messages or a raw prompt, not both")
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "temperature": sampling.temperature, "top_p": sampling.top_p}
    if request.messages is None:
        body |= {"prompt": f"{request.prompt}{request.prefill}", "max_tokens": sampling.max_tokens}
    else:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if request.prefill:
            messages.append({"role": "assistant", "content": request.prefill})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        body |= {"messages": messages, max_tokens_field: sampling.max_tokens}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if send_seed:
        body["seed"] = request.seed
    if request.json_schema is not None:
        body["response_format"] = _response_format(request.json_schema)
    return body | _extended_sampling(request, extended=extended)


def named_and_extra(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits a body into the client library's named arguments and its `extra_body`."""
    named = {name: value for name, value in body.items() if name in _NAMED}
    return named, {name: value for name, value in body.items() if name not in _NAMED}


def read_completion(content: bytes, request: Request) -> tuple[Completion, str]:
    """Reads a reply. A refusal in a field of its own is a filtered completion with the refusal as its text.

    Returns:
        The completion, and the reply's system_fingerprint ("" for none).

    Raises:
        BrokenReplyError: it is not JSON, has no choice, or its message is missing or was aborted.
    """
    chat = request.messages is not None
    try:
        data = json.loads(content)
        choice = data["choices"][0]
        message = choice["message"] if chat else choice
        reason = choice.get("finish_reason")
        text = message.get("content" if chat else "text")
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        refusal = message.get("refusal") or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BrokenReplyError(f"the reply is not a completion ({len(content)} bytes)") from None
    if refusal and not text:
        text, reason = refusal, "content_filter"
    if text is None and (reason == "content_filter" or (reason == "length" and reasoning)):
        text = ""  # filtered before the first token, or all tokens spent on reasoning
    if not isinstance(text, str) or reason in ("abort", "error"):
        raise BrokenReplyError(f"the reply has no finished message (finish_reason {reason!r})")
    usage = data.get("usage")
    completion = Completion(
        text=request.prefill + text,
        finish_reason=_finish_reason(reason),
        prompt_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        reasoning=reasoning if isinstance(reasoning, str) else json.dumps(reasoning, ensure_ascii=False),
    )
    fingerprint = data.get("system_fingerprint")
    return completion, fingerprint if isinstance(fingerprint, str) else ""


def server_message(body: object, text: str) -> str:
    """What a server says of an error: the message in its JSON, or its text as it is."""
    message = body.get("message") if isinstance(body, Mapping) else None
    return str(message or text).strip() or "no message"


def too_long(status: int, code: str | None, message: str) -> bool:
    """Whether an error says that prompt and answer exceed the model's context, in the words of servers and vendors."""
    return code in _TOO_LONG_CODES or (400 <= status < 500 and bool(_TOO_LONG.search(message)))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks to wait; None without a readable one."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _extended_sampling(request: Request, *, extended: bool) -> dict[str, Any]:
    sampling = request.sampling
    if extended:
        fields: dict[str, Any] = {
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": sampling.repetition_penalty,
        }
        # A raw prompt passes as it is, here as in chat.py.
        raw = request.prompt is not None
        return fields | {"add_special_tokens": request.prompt_special_tokens} if raw else fields
    if sampling.top_k or sampling.repetition_penalty != 1.0:
        raise EngineError(
            "top_k and repetition_penalty need engine.extended_sampling=true; set it, or leave"
            " model.sampling.top_k=0 and model.sampling.repetition_penalty=1"
        )
    return {}


def _response_format(schema: str) -> dict[str, Any]:
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise EngineError(f"the request's json_schema is not JSON: {error}") from error
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": parsed, "strict": True}}


def _finish_reason(reason: object) -> FinishReason:
    if reason == "length":
        return "length"
    return "content_filter" if reason == "content_filter" else "stop"


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else 0
