"""An engine for tests of episodes: it answers by script and keeps every request."""

import asyncio
from collections.abc import Callable

from roleeval.types import Completion, FinishReason, Request

Script = Callable[[Request], str | tuple[str, FinishReason]]


class Scripted:
    """Answers after as many turns of the event loop as the seed says, so that episodes overtake each other.

    Attributes:
        script: a request -> the text, or the text and why it ended.
        requests: in the order in which they came.
    """

    likelihoods = False
    fingerprint = "scripted"

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        for _ in range(request.seed % 7):
            await asyncio.sleep(0)
        said = self.script(request)
        text, reason = said if isinstance(said, tuple) else (said, "stop")
        return Completion(text, reason, 10, 5)


def of_its_length(request: Request) -> str:
    """A reply that tells models with other limits of new tokens apart."""
    return f"as long as {request.sampling.max_tokens}: {request.seed % 1000}"
