"""An engine with the completion store in front of it: what is stored is never asked again, and usage is counted."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from roleeval.engines._entries import Answer
from roleeval.engines._protocol import Engine, Holds, Measures, Renders, ServedElsewhere
from roleeval.engines.abilities import Abilities, Able
from roleeval.engines.budget import Budget, Price
from roleeval.engines.loaded import Loaded
from roleeval.engines.store import CompletionStore, likelihood_key, request_key
from roleeval.errors import EngineDeadError, cause_of
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Usage:
    """What a run took from an engine and from the store.

    Attributes:
        requests: all of them.
        stored: those that the store answered.
        asked: calls of an engine that has started; of these `generated` brought an answer.
        failed: requests without an answer.
        prompt_tokens, output_tokens: of answers that were generated.
        begun: time.monotonic() of the first call of a started engine.
    """

    requests: int = 0
    stored: int = 0
    asked: int = 0
    generated: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    begun: float | None = None


class StoredEngine:
    """An engine with the store in front of it. The store and the engine belong to whoever made them."""

    def __init__(
        self,
        engine: Engine,
        store: CompletionStore,
        usage: Usage | None = None,
        *,
        budget: Budget | None = None,
        price: Price | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Makes one; several may count into the same `usage`, and spend of the same `budget`.

        Args:
            engine, store: see above.
            usage: what calls are counted into; None is a new one.
            budget: what calls may cost; None is no limit.
            price: of the model's tokens; None costs nothing.
            loaded: the engines that are loaded in this process; None is this one alone.
        """
        self._loaded = Loaded() if loaded is None else loaded
        self._budget = Budget() if budget is None else budget
        self._price = price
        self._engine = engine
        self._store = store
        self._running: dict[bytes, asyncio.Task[Any]] = {}
        # Looked at once: a protocol check of each call costs as much as the rest of it.
        self._served = engine if isinstance(engine, ServedElsewhere) else None
        self._renders = engine if isinstance(engine, Renders) else None
        self._compared: object = None
        self._starting = asyncio.Lock()
        self._dead = ""  # why the engine could not start
        self.usage = Usage() if usage is None else usage

    @property
    def fingerprint(self) -> str:
        return self._engine.fingerprint

    def check(self, adapter: AdapterRef) -> None:
        self._engine.check(adapter)

    async def start(self) -> None:
        """Does nothing: the engine is started by the first request that the store cannot answer."""

    async def generate(self, request: Request) -> Completion:
        """Answers from the store, or asks the engine once and stores the answer before returning it.

        Raises:
            EngineError, AdapterError: the engine failed; nothing is stored.
            ConfigError: the model's chat template cannot express the request's chat.
            StoreError: the store cannot be read or written.
        """
        key = request_key(self._engine.fingerprint, request, self._prompt_key(request))
        most = 0.0 if self._price is None else self._price.at_most(request)
        return await self._answer(key, Completion, lambda: self._engine.generate(request), most)

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """The same for the likelihood of a text.

        Raises:
            EngineError, AdapterError, StoreError: see generate.
        """
        key = likelihood_key(self._engine.fingerprint, request, self._prompt_key(request))
        return await self._answer(key, Likelihood, lambda: self._engine.likelihood(request), 0.0)

    def _prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        return () if self._renders is None else self._renders.prompt_key(request)

    def hold(self, tokens: int) -> int | None:
        """See Holds; an engine that needs no room says nothing."""
        return self._engine.hold(tokens) if isinstance(self._engine, Holds) else None

    @property
    def measures(self) -> bool:
        """Whether the engine knows its context before it is loaded (`Measures`)."""
        return isinstance(self._engine, Measures)

    def require_room(self, request: Request) -> None:
        """See Measures; an engine that does not know its context refuses nothing."""
        if isinstance(self._engine, Measures):
            self._engine.require_room(request)

    @property
    def abilities(self) -> Abilities | None:
        """See Able; None of an engine that does not know its model's."""
        return self._engine.abilities if isinstance(self._engine, Able) else None

    @property
    def likelihoods(self) -> bool:
        return self._engine.likelihoods

    async def scored_length(self) -> int:
        await self._loaded.open(self._engine, self)
        return await self._engine.scored_length()

    async def _answer(
        self, key: bytes, kind: type[Answer], ask: Callable[[], Awaitable[Answer]], most: float
    ) -> Answer:
        stored = self._store.get(key, kind)
        self.usage.requests += 1
        if stored is not None:
            self.usage.stored += 1
            return stored
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._ask(key, ask, most))
            self._running[key] = running
            running.add_done_callback(lambda task: self._ended(key, task))
        answer: Answer = await asyncio.shield(running)
        return answer

    def _ended(self, key: bytes, task: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # taken note of; whoever waited for it has it, and perhaps nobody waits any more

    async def _ask(self, key: bytes, ask: Callable[[], Awaitable[Answer]], most: float) -> Answer:
        """`most` is what the call may cost."""
        try:
            await self._budget.hold(most)
            answer = await self._paid(ask, most)
            kept = await self._store.put(key, answer)
        except BaseException:
            self.usage.failed += 1
            raise
        self.usage.generated += 1
        self.usage.prompt_tokens += answer.prompt_tokens
        if isinstance(answer, Completion):
            self.usage.output_tokens += answer.output_tokens
        return kept

    async def _paid(self, ask: Callable[[], Awaitable[Answer]], most: float) -> Answer:
        """The engine's answer; what it cost leaves the budget, and where it failed, what it may have cost."""
        cost = most
        try:
            await self._started()
            self._compare_served()
            self.usage.asked += 1
            self.usage.begun = self.usage.begun or time.monotonic()
            answer = replace(await ask(), served_by=self._engine.fingerprint)
            self._compare_served()
            if self._price is not None:
                cost = self._price.of(answer.prompt_tokens, getattr(answer, "output_tokens", 0))
        finally:
            self._budget.settle(most, cost)
        return answer

    async def _started(self) -> None:
        """Starts the engine; one that could not start is not started again, and the first cause ends the run."""
        async with self._starting:
            if self._dead:
                raise EngineDeadError(self._dead)
            try:
                await self._loaded.open(self._engine, self)
            except Exception as error:
                self._dead = cause_of(error)
                raise EngineDeadError(self._dead) from error

    def _compare_served(self) -> None:
        """Says where a server's words about its weights are not those that stored texts were made under."""
        if self._served is None or self._served.served is self._compared:
            return
        served = self._compared = self._served.served
        for fact, before, now in self._store.remember(self._engine.fingerprint, served.facts):
            _log.warning(
                "%s: the server reports %s=%r, but reported %r for earlier texts in the store. If it now serves other"
                " weights or settings, set engine.served_as=NAME to store their texts separately",
                served.name,
                fact,
                now,
                before,
            )

    async def close(self) -> None:
        """Cancels what is in flight and waits for it; the engine may then be closed where another needs its room."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loaded.leave(self._engine, self)

    def describe(self) -> Mapping[str, Any]:
        return self._engine.describe()
