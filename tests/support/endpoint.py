"""A server that misbehaves by script, and an openai engine in front of it, for the tests of that engine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from aiohttp import web

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.openai import OpenAIEngine, OpenAIOptions
from roleeval.errors import EngineError
from roleeval.types import Completion, Message, Request, Sampling

T = TypeVar("T")
SOURCE = ModelSource("role-model")


def ask(text: str = "Who are you?", **fields: Any) -> Request:
    sampling = fields.pop("sampling", Sampling(max_tokens=16))
    return Request((Message("user", text),), sampling, seed=fields.pop("seed", 7), **fields)


def raw(prompt: str, **fields: Any) -> Request:
    return Request(None, Sampling(max_tokens=16), seed=7, prompt=prompt, **fields)


def reply(content: Any = "I am Holmes.", finish_reason: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish_reason, "text": content}
    choice["message"] = {"role": "assistant", "content": content} | message
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


@dataclass(frozen=True)
class Fault:
    """A scripted answer that is not a good one."""

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    reset: bool = False
    hang_s: float = 0.0


RESET = Fault(reset=True)


class Endpoint:
    """A server on a free port that answers from a script, then well; keeps what it was asked."""

    def __init__(
        self, *script: Fault | dict[str, Any], delay_s: float = 0.0, models: Fault | dict[str, Any] | None = None
    ) -> None:
        self.script = list(script)
        self.models = Fault(404, b"{}") if models is None else models
        self.listed = 0
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str] = []
        self.delay_s = delay_s
        self.in_flight = self.most_in_flight = 0

    async def __aenter__(self) -> "Endpoint":
        app = web.Application()
        app.router.add_post("/v1/{path:.*}", self._answer)
        app.router.add_get("/v1/models", self._list)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def choose(self, body: Mapping[str, Any]) -> "Fault | dict[str, Any]":
        """What a request is answered with."""
        return self.script.pop(0) if self.script else reply()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.listed += 1
        return await self._send(request, self.models)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            body = await request.json()
            self.bodies.append(body)
            self.paths.append(request.match_info["path"])
            self.keys.append(request.headers["authorization"])
            await asyncio.sleep(self.delay_s)
            return await self._send(request, self.choose(body))
        finally:
            self.in_flight -= 1

    async def _send(self, request: web.Request, answer: "Fault | dict[str, Any]") -> web.StreamResponse:
        if isinstance(answer, dict):
            return web.json_response(answer)
        await asyncio.sleep(answer.hang_s)
        if answer.reset:
            assert request.transport is not None
            request.transport.abort()
        headers = {"content-type": "application/json", **(answer.headers or {})}
        return web.Response(status=answer.status, body=answer.body, headers=headers)


def options(*urls: str, **fields: Any) -> OpenAIOptions:
    quick = {"backoff_base_s": 0.01, "backoff_cap_s": 0.02, "timeout_s": 5.0, "max_retries": 3}
    return OpenAIOptions(base_urls=urls, **(quick | fields))


def with_engine(
    use: Callable[[OpenAIEngine], Awaitable[T]], *endpoints: Endpoint, source: ModelSource = SOURCE, **fields: Any
) -> T:
    async def main() -> T:
        async with AsyncExitStack() as stack:
            urls = [(await stack.enter_async_context(endpoint)).url for endpoint in endpoints]
            engine = options(*urls, **fields).build(source, LoraNeed())
            await engine.start()
            try:
                return await use(engine)
            finally:
                await engine.close()

    return asyncio.run(main())


def answer(endpoint: Endpoint, request: Request | None = None, **fields: Any) -> Completion:
    return with_engine(lambda engine: engine.generate(request or ask()), endpoint, **fields)


def error_of(endpoint: Endpoint, request: Request | None = None, **fields: Any) -> str:
    with pytest.raises(EngineError) as caught:
        answer(endpoint, request, **fields)
    return str(caught.value)
