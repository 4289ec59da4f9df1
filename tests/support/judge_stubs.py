"""A stand-in judge model for unit tests: replies by script, and counts who asked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roleeval.engines import LoraNeed, ModelSource
from roleeval.hashing import digest
from roleeval.types import AdapterRef, Completion, FinishReason, Request

# The text, or the text and how it ended; an exception is raised.
Reply = str | tuple[str, FinishReason] | Exception
Script = Callable[[Request], Reply]


@dataclass
class Judged:
    """A script and the requests that reached it."""

    script: Script
    requests: list[Request] = field(default_factory=list)


SCRIPTS: dict[str, Judged] = {}


def scripted(name: str, script: Script) -> "ScriptedOptions":
    SCRIPTS[name] = Judged(script)
    return ScriptedOptions(name)


@dataclass(frozen=True)
class ScriptedOptions:
    """`script` names an entry of SCRIPTS."""

    script: str

    def build(self, source: ModelSource, lora: LoraNeed) -> "ScriptedEngine":
        return ScriptedEngine(self.script, source)


class ScriptedEngine:
    likelihoods = False

    def __init__(self, script: str, source: ModelSource) -> None:
        self.script, self.source = script, source

    @property
    def fingerprint(self) -> str:
        return digest("scripted", self.source.path)

    def check(self, adapter: AdapterRef) -> None: ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        judged = SCRIPTS[self.script]
        judged.requests.append(request)
        reply = judged.script(request)
        if isinstance(reply, Exception):
            raise reply
        text, reason = reply if isinstance(reply, tuple) else (reply, "stop")
        return Completion(text, reason, 100, 20)

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "scripted"}


def shown_answers(request: Request) -> dict[str, str]:
    """Name -> text of everything that is fenced in a judge's prompt ("answer A": ...)."""
    assert request.messages is not None
    prompt = request.messages[-1].content
    found = re.findall(r"<<(answer[ A-Z]*?) (\w{12})>>\n(.*?)\n<<end of \1 \2>>", prompt, re.DOTALL)
    return {name: text for name, _, text in found}
