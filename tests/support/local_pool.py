"""A pool whose workers are real ones in this process, without Ray: for runs of the whole house."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.pool import PoolEngine
from roleeval.engines.pool._link import AnyRequest, Report, WorkerLostError
from roleeval.engines.pool._pool import Limits
from roleeval.engines.pool._worker import Setting, Worker
from roleeval.engines.taken import Taken


@dataclass
class LocalLink:
    """A worker; `kill` is kill -9."""

    worker: Worker
    _killed: asyncio.Event = field(default_factory=asyncio.Event)

    def submit(self, calls: Sequence[tuple[int, AnyRequest]], cancelled: Sequence[int], every_s: float) -> None:
        if not self._killed.is_set():
            self.worker.submit(calls, cancelled, every_s)

    async def collect(self) -> Report:
        waits = [asyncio.ensure_future(self._killed.wait()), asyncio.ensure_future(self.worker.collect())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        killed, report = waits
        killed.cancel()
        if self._killed.is_set():
            report.cancel()
            raise WorkerLostError("killed by signal 9")
        found: Report = report.result()  # type: ignore[assignment]
        return found

    def kill(self) -> None:
        self._killed.set()

    async def close(self) -> None:
        await self.worker.close()


@dataclass
class LocalTransport:
    setting: Setting
    workers: int
    kill_after: int | None = None
    pace_s: float = 0.0
    launched: int = 0

    async def open(self) -> None: ...

    def room(self) -> int:
        return self.workers - self.launched

    def claims(self, most: int | None) -> Taken:
        return Taken("a cluster that is not there", None if most else 1.0)

    def lacking(self) -> str:
        return "a worker needs a place"

    async def launch(self, name: str, placed: Callable[[Mapping[str, Any]], None]) -> LocalLink:
        self.launched += 1
        worker = Worker(self.setting)
        placed({"node": "here", "scored_length": await worker.load(self.workers)})
        link = LocalLink(worker)
        if self.kill_after is not None and self.launched <= 2:
            asyncio.get_running_loop().call_later(self.kill_after / 1000, link.kill)
        return link

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"ray": "none"}


@dataclass(frozen=True)
class LocalPoolOptions:
    """inner: its engine; workers: how many; kill_after: milliseconds after which the first two are killed."""

    inner: Any
    workers: int
    kill_after: int | None = None

    def build(self, source: ModelSource, lora: LoraNeed) -> PoolEngine:
        setting = Setting(self.inner, source, lora)
        limits = replace(Limits(), least=self.workers, most=self.workers, window=4)
        return PoolEngine(setting, LocalTransport(setting, self.workers, self.kill_after), limits)
