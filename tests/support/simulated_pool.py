"""Workers of a pool without Ray and without time: deterministic, killed at will, on a clock that jumps."""

import asyncio
import hashlib
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from roleeval.engines.pool._link import AnyRequest, Report, WorkerLostError
from roleeval.engines.taken import Taken
from roleeval.types import Completion, Message, Request, Sampling

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for nothing: the clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps from timer to timer; waiting for what never comes is an error."""

    def __init__(self) -> None:
        self._selector_of_time = _Jumping()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._selector_of_time.now


def virtually(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine on a clock that jumps."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


def request(number: int, *, conversation: str = "", priority: int = 0) -> Request:
    return Request(
        (Message("user", f"question {number}"),), Sampling(), number, affinity=conversation, priority=priority
    )


def text_of(request: AnyRequest) -> str:
    assert isinstance(request, Request)
    return hashlib.sha256(str(request.seed).encode()).hexdigest()[:8]


@dataclass
class SimulatedLink:
    """A worker that answers each call after `takes(request)` seconds."""

    world: "SimulatedWorld"
    name: str
    begun: list[int] = field(default_factory=list)
    _replies: list[tuple[int, Any]] = field(default_factory=list)
    _timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: WorkerLostError | None = None
    _every_s: float = 0.0
    _reported_at: float = float("-inf")

    def submit(self, calls: Sequence[tuple[int, AnyRequest]], cancelled: Sequence[int], every_s: float) -> None:
        if self._lost is not None:
            return
        self._every_s = every_s
        loop = asyncio.get_running_loop()
        for number in cancelled:
            if timer := self._timers.pop(number, None):
                timer.cancel()
                self.world.cancelled.append(number)
        for number, asked in calls:
            self.begun.append(number)
            self.world.begun.append((self.name, number))
            if asked.seed in self.world.deadly:  # type: ignore[union-attr]
                self.die(f"call {asked.seed} is deadly")  # type: ignore[union-attr]
                return
            self._timers[number] = loop.call_later(self.world.takes(self, asked), self._answer, number, asked)

    def _answer(self, number: int, asked: AnyRequest) -> None:
        del self._timers[number]
        self.world.served.append((self.name, number))
        answer = self.world.answer(asked)
        self._replies.append((number, answer))
        self._news.set()

    async def collect(self) -> Report:
        while not self._news.is_set():
            try:
                await asyncio.wait_for(self._news.wait(), 5.0)
            except TimeoutError:
                return Report()
        rest_s = self._reported_at + self._every_s - asyncio.get_running_loop().time()
        if self._timers and rest_s > 0:
            await asyncio.sleep(rest_s)
        self._reported_at = asyncio.get_running_loop().time()
        self._news.clear()
        if self._lost is not None:
            raise self._lost
        replies, self._replies = self._replies, []
        self.world.reported += len(replies)
        return Report(replies, {"kind": "simulated"})

    @property
    def under_way(self) -> int:
        return len(self._timers)

    def die(self, cause: str, *, excused: bool = False) -> None:
        """As kill -9: what was under way, and what was not yet reported, is gone."""
        self.world.lost_calls += len(self._timers) + len(self._replies)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._replies.clear()
        self._lost = WorkerLostError(cause, excused=excused)
        self._news.set()

    async def close(self) -> None:
        self.world.links.pop(self.name, None)
        for timer in self._timers.values():
            timer.cancel()


@dataclass
class SimulatedWorld:
    """A transport whose workers are simulated.

    Attributes:
        seats: workers that there is room for.
        load_s: until a worker is ready.
        takes: seconds of a request on a worker.
        fails: name -> why its starts fail, as long as there are causes.
        deadly: seeds of requests that end whoever gets them.
    """

    seats: int = 4
    load_s: float = 10.0
    takes: Callable[[SimulatedLink, AnyRequest], float] = lambda link, asked: 1.0
    fails: dict[str, list[WorkerLostError]] = field(default_factory=dict)
    deadly: set[int] = field(default_factory=set)
    pace_s: float = 0.0
    links: dict[str, SimulatedLink] = field(default_factory=dict)
    begun: list[tuple[str, int]] = field(default_factory=list)
    served: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    launches: int = 0
    lost_calls: int = 0
    reported: int = 0
    closed: bool = False
    _placed: set[str] = field(default_factory=set)

    def answer(self, asked: AnyRequest) -> Any:
        return Completion(text_of(asked), "stop", 1, 1)

    async def open(self) -> None: ...

    def room(self) -> int:
        return self.seats - len(self._placed)

    def claims(self, most: int | None) -> Taken:
        return Taken("a cluster that is not there", None if most else 1.0)

    def lacking(self) -> str:
        return f"a worker needs a seat, and there are {self.seats}"

    async def launch(self, name: str, placed: Callable[[Mapping[str, Any]], None]) -> SimulatedLink:
        while self.room() <= 0:
            await asyncio.sleep(1.0)
        self._placed.add(name)
        self.launches += 1
        try:
            placed({"node": f"node of {name}"})
            await asyncio.sleep(self.load_s)
            if causes := self.fails.get(name):
                raise causes.pop(0)
        finally:
            self._placed.discard(name)
        link = self.links[name] = SimulatedLink(self, name)
        self._placed.add(name)
        close = link.close

        async def leave() -> None:
            self._placed.discard(name)
            await close()

        link.close = leave  # type: ignore[method-assign]
        return link

    async def close(self) -> None:
        self.closed = True

    def describe(self) -> Mapping[str, Any]:
        return {"simulated": True}
