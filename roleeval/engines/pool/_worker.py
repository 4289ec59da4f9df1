"""A worker of a pool: one engine of ours, and a line of calls in and of answers out. Knows nothing of Ray."""

import asyncio
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roleeval.engines._protocol import Engine, EngineOptions, Holds, LoraNeed, ModelSource
from roleeval.engines.pool._link import Answer, AnyRequest, Report
from roleeval.errors import ConfigError, EngineDeadError, EngineError, cause_of
from roleeval.types import Request

# A worker with nothing to say reports so often that it lives.
_BEAT_S = 5.0


@dataclass
class Setting:
    """What every worker of a pool is.

    Attributes:
        options: of its engine.
        source: the base model.
        lora: what the run's adapters need.
        fingerprint: that its engine must have; "": any.
        tokens: of all chats in flight together, which the workers are to have room for.
    """

    options: EngineOptions
    source: ModelSource
    lora: LoraNeed
    fingerprint: str = ""
    tokens: int = 0

    def build(self) -> Engine:
        """An engine that is not loaded."""
        return self.options.build(self.source, self.lora)


class Worker:
    """One engine; belongs to one event loop."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._engine = setting.build()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._replies: list[tuple[int, Answer | Exception]] = []
        self._facts: Mapping[str, Any] | None = None
        self._dead = ""
        self._news = asyncio.Event()
        self._every_s = 0.0
        self._reported_at = float("-inf")

    async def load(self, share: int) -> int | None:
        """Loads the engine.

        Args:
            share: the workers that all chats in flight are shared by.

        Returns:
            How long a text that is scored may be (Engine.scored_length); None where it scores none.

        Raises:
            ConfigError: its texts would not be the pool's.
            EngineError: it cannot load.
        """
        own, wanted = self._engine.fingerprint, self._setting.fingerprint
        if wanted and own != wanted:
            raise ConfigError(
                f"its texts would not be the run's (fingerprint {own[:12]}, not {wanted[:12]}). Install the same"
                " versions on all nodes, and let the model's path lead to the same files there"
            )
        if self._setting.tokens and isinstance(self._engine, Holds):
            self._engine.hold(self._setting.tokens // share + 1)
        await self._engine.start()
        self._facts = dict(self._engine.describe())
        return await self._engine.scored_length() if self._engine.likelihoods else None

    def submit(
        self, calls: Sequence[tuple[int, AnyRequest]], cancelled: Sequence[int] = (), every_s: float = 0.0
    ) -> None:
        """Begins calls, and ends those that nobody waits for any more; see Link.submit."""
        self._every_s = every_s
        for number in cancelled:
            if (task := self._tasks.get(number)) is not None:
                task.cancel()
        for number, request in calls:
            self._tasks[number] = asyncio.ensure_future(self._answer(number, request))

    async def _answer(self, number: int, request: AnyRequest) -> None:
        ask = self._engine.generate if isinstance(request, Request) else self._engine.likelihood
        try:
            answer = await ask(request)  # type: ignore[arg-type]
            self._replies.append((number, answer))
        except EngineDeadError as error:
            self._dead = cause_of(error)
        except Exception as error:
            self._replies.append((number, _portable(error)))
        finally:
            del self._tasks[number]
            self._news.set()

    async def collect(self) -> Report:
        """Waits for answers, but not longer than a beat; those that come soon after each other come together."""
        if not self._news.is_set():
            try:
                await asyncio.wait_for(self._news.wait(), _BEAT_S)
            except TimeoutError:
                return self._report()
        rest_s = self._reported_at + self._every_s - asyncio.get_running_loop().time()
        if self._tasks and rest_s > 0:
            await asyncio.sleep(rest_s)
        self._news.clear()
        return self._report()

    def _report(self) -> Report:
        self._reported_at = asyncio.get_running_loop().time()
        replies, self._replies = self._replies, []
        facts = None
        if not self._tasks or self._facts is not None:  # what is counted is exact when nothing is under way
            facts, self._facts = dict(self._engine.describe()), None
        return Report(replies, facts, self._dead)

    async def close(self) -> None:
        """Ends what is under way, and the engine."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.close()


def _portable(error: Exception) -> Exception:
    """The error itself where another process can read it, or one with its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return EngineError(cause_of(error))
    return error
