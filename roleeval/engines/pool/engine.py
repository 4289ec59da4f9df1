"""The pool engine: one engine to everything above it, however many workers and machines there are.

The engine inside is built here as well, and never loaded: it says what determines texts, checks adapters and prompts,
and gives the fingerprint that each worker's engine must have.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from roleeval.engines._protocol import Holds, LoraNeed, Measures, ModelSource, Renders
from roleeval.engines.pool._link import Transport
from roleeval.engines.pool._pool import Limits, Pool
from roleeval.engines.pool._ray import RayTransport
from roleeval.engines.pool._settings import PoolSettings
from roleeval.engines.pool._worker import Setting
from roleeval.engines.taken import Taken
from roleeval.errors import EngineDeadError, EngineError
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request


@dataclass(frozen=True)
class PoolOptions(PoolSettings):
    """The engine that these settings make; see PoolSettings for what they are."""

    def build(self, source: ModelSource, lora: LoraNeed) -> "PoolEngine":
        """Makes the engine without starting Ray or loading anything.

        Raises:
            EngineError: no Ray is installed, or the inner engine cannot be built.
        """
        setting = Setting(self.inner, source, lora)
        transport = RayTransport(
            setting, address=self.address, cpus=self.cpus_per_worker, gpus=self.gpus_per_worker, likely=self.max_workers
        )
        return PoolEngine(setting, transport, self.limits())


class PoolEngine:
    """See PoolOptions. Connects and loads on `start`."""

    def __init__(self, setting: Setting, transport: Transport, limits: Limits) -> None:
        self._inner = setting.build()
        setting.fingerprint = self._inner.fingerprint
        self._setting = setting
        self._transport = transport
        self._limits = limits
        self._pool: Pool | None = None
        self._starting = asyncio.Lock()
        self._unable = ""  # why it could not start; it is not tried again
        self._described: Mapping[str, Any] = {}
        # What the engine inside can, and nothing else (engines._protocol).
        if isinstance(self._inner, Renders):
            self.prompt_key = self._inner.prompt_key
        if isinstance(self._inner, Measures):
            self.require_room = self._inner.require_room
        if isinstance(self._inner, Holds):
            self.hold = self._hold

    @property
    def likelihoods(self) -> bool:
        """As the engine inside."""
        return self._inner.likelihoods

    @property
    def fingerprint(self) -> str:
        """Of the engine inside."""
        return self._inner.fingerprint

    def check(self, adapter: AdapterRef) -> None:
        """See Engine.check."""
        self._inner.check(adapter)

    def _hold(self, tokens: int) -> int | None:
        """See Holds. Each worker asks for its share when it loads; how much there is shows only there."""
        self._setting.tokens = max(self._setting.tokens, tokens)
        return None

    def takes(self) -> Taken:
        """See Takes: all of the cluster, where the number of workers has no limit."""
        return self._transport.claims(self._limits.most)

    async def start(self) -> None:
        """Connects to Ray and waits for the first worker; the others join when they are ready.

        Raises:
            EngineDeadError: there is no cluster, or no worker came up. It is not tried again.
        """
        async with self._starting:
            if self._unable:
                raise EngineDeadError(self._unable)
            if self._pool is not None:
                return
            pool = Pool(self._transport, self._limits)
            try:
                await pool.open()
            except EngineError as error:
                self._unable = str(error)
                self._described = pool.describe()
                await pool.close()
                raise EngineDeadError(self._unable) from error
            except BaseException:
                await pool.close()
                raise
            self._pool = pool

    async def generate(self, request: Request) -> Completion:
        """See Engine.generate.

        Raises:
            EngineDeadError: all workers are gone.
        """
        answer = await self._started.ask(request)
        assert isinstance(answer, Completion)
        return answer

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """See Engine.likelihood.

        Raises:
            EngineDeadError: all workers are gone.
        """
        answer = await self._started.ask(request)
        assert isinstance(answer, Likelihood)
        return answer

    async def scored_length(self) -> int:
        """The shortest of the workers'."""
        await self.start()
        lengths = [
            slot.place["scored_length"] for slot in self._started.slots.values() if "scored_length" in slot.place
        ]
        if not lengths:
            raise EngineError("the engine inside the pool cannot score texts")
        return int(min(lengths))

    @property
    def _started(self) -> Pool:
        if self._pool is None:
            raise EngineError("the pool engine was not started, or is closed")
        return self._pool

    async def close(self) -> None:
        """Ends all workers."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._described = self._facts(pool)
            await pool.close()

    def describe(self) -> Mapping[str, Any]:
        """The engine inside, as its workers describe it, and the pool."""
        return self._described if self._pool is None and self._described else self._facts(self._pool)

    def _facts(self, pool: Pool | None) -> dict[str, Any]:
        slots = [] if pool is None else list(pool.slots.values())
        facts: dict[str, Any] = dict(self._inner.describe())
        facts.update(next((slot.facts for slot in slots if slot.facts), {}))
        if effects := [slot.facts["adapter_effects"] for slot in slots if "adapter_effects" in slot.facts]:
            # each worker has loaded some of the adapters
            facts["adapter_effects"] = {
                "change": {name: change for each in effects for name, change in each["change"].items()},
                "without_effect": sorted({name for each in effects for name in each["without_effect"]}),
            }
        counts = [slot.counts() for slot in slots]
        if any(counts):
            facts["prefix_cache"] = {
                key: sum(count.get(key, 0) for count in counts) for key in ("prompt_tokens", "cached_tokens")
            }
        facts["pool"] = {**self._transport.describe(), "limits": asdict(self._limits)}
        if pool is not None:
            facts["pool"].update(pool.describe())
        return facts
