"""A stand-in engine for unit tests: answers at once, or late, or not at all. Never what a result folder shows."""

import asyncio
import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import EngineDeadError, EngineError
from roleeval.hashing import digest
from roleeval.types import AdapterRef, Completion, Request


@dataclass(frozen=True)
class StubOptions:
    """delay_s: of every answer; fail: substring of questions that fail; die_after: answers until it is dead;
    journal: a file that gets a line per call that reached the engine; script: "module:function", which takes a request
    and says the reply in the place of the stub's own."""

    delay_s: float = 0.0
    fail: str = ""
    die_after: int | None = None
    journal: str | None = None
    script: str | None = None

    def build(self, source: ModelSource, lora: LoraNeed) -> "StubEngine":
        return StubEngine(self, source, lora)


class StubEngine:
    likelihoods = False

    def __init__(self, options: StubOptions, source: ModelSource, lora: LoraNeed) -> None:
        self.options, self.source, self.lora = options, source, lora
        self.calls = 0
        self.loads = 0

    @property
    def fingerprint(self) -> str:
        return digest("stub", self.source.path)

    def check(self, adapter: AdapterRef) -> None: ...

    async def start(self) -> None:
        self.loads = 1

    async def generate(self, request: Request) -> Completion:
        self.calls += 1
        question = request.messages[-1].content if request.messages else str(request.prompt)
        if self.options.journal:
            with Path(self.options.journal).open("a", encoding="utf-8") as file:
                file.write(f"{request.seed}\n")
        if self.options.die_after is not None and self.calls > self.options.die_after:
            raise EngineDeadError("the stub engine died")
        if self.options.fail and self.options.fail in question:
            raise EngineError(f"the stub refuses {self.options.fail!r}")
        if self.options.delay_s:
            # uneven, so that episodes finish out of order
            await asyncio.sleep(self.options.delay_s * (0.5 + (request.seed % 100) / 100))
        if self.options.script:
            module, _, function = self.options.script.partition(":")
            text = getattr(importlib.import_module(module), function)(request)
            return Completion(text, "stop", 12, len(text.split()))
        token = hashlib.sha256(f"{question}|{request.seed}".encode()).hexdigest()[:6]
        return Completion(f"Well, my dear fellow, {question.strip()[:40]} {token}", "stop", 12, 8)

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "stub"}


def off_topic(request: Request) -> str:
    """A script: an answer that shares no word with any reference."""
    return f"Zzz {request.seed} zzz qqq."
