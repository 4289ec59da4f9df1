"""The wire format of OpenAI-compatible servers: from a Request to a body; and what helps where one refuses it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from roleeval.errors import EngineError
from roleeval.types import Request

# What the client library takes as named arguments; all else travels in its extra_body.
_NAMED = frozenset(
    ("model", "messages", "prompt", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed")
)
_UNEXTENDED = "set engine.extended_sampling=false (with model.sampling.top_k=0 and model.sampling.repetition_penalty=1)"
_RENAMED = "set engine.max_tokens_field=max_completion_tokens"
# A field of the body that a server refuses -> our key for it.
_KEYS = {
    "top_k": _UNEXTENDED,
    "min_p": _UNEXTENDED,
    "repetition_penalty": _UNEXTENDED,
    "add_special_tokens": _UNEXTENDED,
    "max_completion_tokens": "set engine.max_tokens_field=max_completion_tokens, or lower model.sampling.max_tokens",
    "max_tokens": "lower model.sampling.max_tokens, or set engine.max_tokens_field=max_completion_tokens",
    "temperature": "set model.sampling.temperature=1, or engine.omit=[temperature] to leave it out",
    "top_p": "set model.sampling.top_p=1, or engine.omit=[top_p] to leave it out",
    "stop": "set model.sampling.stop=[], or engine.omit=[stop] to leave it out",
    "seed": "set engine.send_seed=false",
    "response_format": "for a judge set judge.constrain=false",
    "json_schema": "for a judge set judge.constrain=false",
    "continue_final_message": "set model.prefill='': the server does not continue a reply",
    "add_generation_prompt": "set model.prefill='': the server does not continue a reply",
}
_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window)|(?:prompt|input|request) is too long|too many (?:input |total )?tokens"
    r"|max_model_len|maximum (?:sequence|input|model) length",
    re.IGNORECASE,
)


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


def field_hint(message: str, sent: Mapping[str, Any]) -> str:
    """What to set where a server's message names a field of the body that it does not take; "" where it names none.

    Args:
        message: the server's.
        sent: the body.
    """
    named = [name for name in _KEYS if re.search(rf"\b{name}\b", message) and name in (*sent, "json_schema")]
    renamed = "max_tokens" in sent and re.search(r"(?i)max_completion_tokens.*instead", message)
    if renamed:
        named = ["max_completion_tokens", *(name for name in named if name != "max_tokens")]
    ways = dict.fromkeys(_RENAMED if renamed and name.startswith("max_") else _KEYS[name] for name in named)
    return "".join(f". {way[0].upper()}{way[1:]}" for way in ways)


def too_long(status: int, code: object, message: str) -> bool:
    """Whether an error says that prompt and answer exceed the model's context, in the words of servers and vendors."""
    return code in _TOO_LONG_CODES or (400 <= status < 500 and bool(_TOO_LONG.search(message)))
