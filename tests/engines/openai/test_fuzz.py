"""Whatever a server sends, a call ends in an answer or an EngineError, and soon."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from endpoint import SOURCE, ask, options, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.engines import LoraNeed
from roleeval.errors import EngineError
from roleeval.types import Completion

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": JSON})
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=9) | JSON | st.lists(PARTS),
        "reasoning_content": JSON,
        "refusal": JSON,
    },
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "finish_reason": st.sampled_from(["stop", "length", "abort", "SAFETY"]) | JSON,
        "message": MESSAGES | JSON,
        "text": JSON,
    },
)
ERRORS = st.fixed_dictionaries({}, optional=dict.fromkeys(("message", "code", "type", "innererror"), JSON))
REPLIES = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(CHOICES, max_size=3) | JSON,
        "usage": st.fixed_dictionaries({}, optional={"prompt_tokens": JSON, "completion_tokens": JSON}) | JSON,
        "error": ERRORS | JSON,
        "model": JSON,
        "system_fingerprint": JSON,
        "data": st.lists(st.fixed_dictionaries({"id": st.just("role-model")}, optional={"root": JSON})) | JSON,
    },
)
HALF = b'{"choices": [{"message": {"content": "\\ud83d"}}]}'
BODIES = (
    st.binary(max_size=40)
    | (REPLIES | JSON).map(lambda value: json.dumps(value).encode())
    | st.integers(1, 200_000).map(lambda depth: b'{"a":' * depth)
    | st.sampled_from([b"<html>\x1b[2J</html>", b"data: {}\n\n", b"9" * 5000, HALF])
)
VALUES = st.sampled_from(
    ["inf", "nan", "1e99", "-1", "0", "Fri, 31 Dec 9999 23:59:59 -9999", "gzip", "br", "x", "", "ä"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "content-type", "content-encoding", "location", "x-should-retry", "content-length"]
    ),
    VALUES | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12),
    max_size=3,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    status=st.sampled_from([200, 200, 200, 204, 301, 304, 400, 404, 429, 500, 599, 999]) | st.integers(200, 999),
    headers=HEADERS,
    body=BODIES,
    chat=st.booleans(),
)
def test_a_call_ends_in_an_answer_or_an_engine_error(
    status: int, headers: dict[str, str], body: bytes, chat: bool
) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx.Response(status, headers=given, stream=httpx.ByteStream(body))

    async def main() -> Completion | None:
        engine = options("http://127.0.0.1:9/v1", max_retries=1, max_retry_after_s=1e-3).build(SOURCE, LoraNeed())
        await engine.start()
        try:
            async with asyncio.timeout(20):
                return await engine.generate(ask() if chat else raw("Who?"))
        except EngineError as error:
            assert str(error)
            assert len(str(error)) < 1500
            return None
        finally:
            await engine.close()

    client = openai.AsyncOpenAI

    def connected(**given: Any) -> openai.AsyncOpenAI:
        return client(**given, http_client=httpx.AsyncClient(transport=httpx.MockTransport(respond)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai, "AsyncOpenAI", connected)
        done = asyncio.run(main())
    if done is not None:
        assert done.text.encode() == done.text.encode(errors="replace")
        done.reasoning.encode()
