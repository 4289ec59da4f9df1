"""The pool of engines: how well workers scale, what leasing costs, what kills cost, and what breaks first.

`python -m bench.pool [scaling overhead kills failures]` needs no Ray: simulated workers whose requests take as long as
those of a real engine (bench/_pool_tokens.py), on a clock that jumps, so that these figures do not depend on the
machine; the overhead is CPU time, measured. `ray`, `ray_kills`, `killed`, `same_bytes` and `workers` are with Ray, the
last three with real vLLM engines.
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench import _pool_ray, _pool_vllm
from roleeval.engines.pool._link import AnyRequest, Report
from roleeval.engines.pool._pool import Limits, Pool
from roleeval.types import AdapterRef, Completion, Message, Request, Sampling
from tests.support.simulated_pool import SimulatedLink, SimulatedWorld, virtually

# Seconds of one step of a batch, of each sequence in it, and of a prompt token that is not cached: `python -m
# bench._pool_tokens` on two CPU cores, the zoo's base model.
STEP_S, SEQUENCE_S, PROMPT_S = 0.00304, 0.000154, 0.0000333
# A conversation: a role's system prompt, and so many tokens more with each call.
ROLES, SYSTEM, GROWTH, NEW = 95, 300, 60, 50
AT_ONCE = 64  # conversations in flight, for each worker
ADAPTERS = [AdapterRef(f"role {n}", "", f"{n:064x}") for n in range(ROLES)]


@dataclass
class Asked:
    """What a simulated request is made of: its call in its conversation, prompt tokens and new tokens."""

    call: int
    prompt: int
    new: int


@dataclass
class Engines(SimulatedWorld):
    """Workers with the token times and the prefix cache of a real engine, without an end to the cache."""

    asked: dict[int, Asked] = field(default_factory=dict)
    read: int = 0
    cached: int = 0
    slow: dict[str, float] = field(default_factory=dict)
    usual: float = 1.0
    known: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.takes = self.time_of

    def time_of(self, link: SimulatedLink, request: AnyRequest) -> float:
        assert isinstance(request, Request)
        asked = self.asked[request.seed]
        own, role = (link.name, request.affinity), (link.name, f"role of {request.affinity.rpartition(' ')[0]}")
        there = min(asked.prompt, max(self.known.get(own, 0), self.known.get(role, 0)))
        self.known[own], self.known[role] = asked.prompt, SYSTEM
        self.read += asked.prompt
        self.cached += there
        steps_s = asked.new * (STEP_S + (link.under_way + 1) * SEQUENCE_S)
        return self.slow.get(link.name, self.usual) * (steps_s + PROMPT_S * (asked.prompt - there))

    def answer(self, asked: AnyRequest) -> Completion:
        assert isinstance(asked, Request)
        return Completion(str(asked.seed), "stop", self.asked[asked.seed].prompt, self.asked[asked.seed].new)


@dataclass
class Outcome:
    """Of one simulated run."""

    seconds: float
    calls: int
    texts: list[str]
    facts: dict[str, Any]
    world: Engines

    @property
    def rate(self) -> float:
        return self.calls / self.seconds

    @property
    def hits(self) -> float:
        return self.world.cached / self.world.read


def play(
    workers: int,
    *,
    conversations: int,
    adapters: bool = False,
    load_s: float = 30.0,
    seed: int = 1,
    slower: float = 1.0,
    trouble: Callable[[Engines, Pool], Awaitable[None]] | None = None,
    **limits: Any,
) -> Outcome:
    """Plays conversations of 1 to 20 calls on simulated workers, on a clock that jumps."""
    chance = random.Random(seed)
    world = Engines(seats=workers, load_s=load_s, usual=slower)
    lengths = [chance.randint(1, 20) for _ in range(conversations)]
    starts = [sum(lengths[:n]) for n in range(conversations)]
    for first, length in zip(starts, lengths, strict=True):
        for call in range(length):
            new = max(1, round(chance.lognormvariate(3.7, 0.6)))
            world.asked[first + call] = Asked(call, SYSTEM + GROWTH * (call + 1), new)
    texts = [""] * sum(lengths)

    async def main() -> Outcome:
        pool = Pool(world, Limits(**limits))
        await pool.open()
        await asyncio.sleep(load_s)
        troubling = asyncio.create_task(trouble(world, pool)) if trouble else None
        free = asyncio.Semaphore(AT_ONCE * workers)
        loop = asyncio.get_running_loop()

        async def converse(number: int) -> None:
            role = number % ROLES
            async with free:
                for at in range(starts[number], starts[number] + lengths[number]):
                    request = Request(
                        (Message("user", "?"),),
                        Sampling(),
                        at,
                        adapter=ADAPTERS[role] if adapters else None,
                        affinity=f"{role} {number}",
                    )
                    answer = await pool.ask(request)
                    assert isinstance(answer, Completion)
                    assert not texts[at], "answered twice"
                    texts[at] = answer.text

        begin = loop.time()
        await asyncio.gather(*map(converse, range(conversations)))
        seconds = loop.time() - begin
        if troubling:
            troubling.cancel()
        facts = dict(pool.describe())
        await pool.close()
        return Outcome(seconds, len(texts), texts, facts, world)

    return virtually(main)


def scaling() -> None:
    """Throughput with as many conversations per worker, and what affinity saves."""
    print(f"{'workers':<34}{'calls/s':>10}{'efficiency':>12}{'cached':>9}{'of 1':>8}{'moved':>8}{'adapter loads':>15}")
    for adapters in (False, True):
        one = 0.0
        hits = 0.0
        for workers in (1, 2, 4, 16, 64):
            done = play(workers, conversations=640 * workers, adapters=adapters)
            one, hits = one or done.rate, hits or done.hits
            name = f"{workers}{', an adapter for each of 95 roles' if adapters else ''}"
            moved, loads = done.facts["conversations_moved"], done.facts["adapter_loads"] if adapters else "-"
            print(
                f"{name:<34}{done.rate:>10.1f}{done.rate / one / workers:>12.3f}{done.hits:>9.3f}"
                f"{done.hits / hits:>8.3f}{moved:>8}{loads:>15}"
            )

    async def slow(world: Engines, pool: Pool) -> None:
        world.slow["w0"] = 4.0

    done = play(4, conversations=2560, trouble=slow)
    ideal = 3.25 * play(1, conversations=640).rate
    print(f"{'4, one of them 4 times slower':<34}{done.rate:>10.1f}{done.rate / ideal:>12.3f}  of 3.25 workers")


class NullLink:
    """Answers at once, without simulating anything."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, Any]] = []
        self.news = asyncio.Event()

    def submit(self, calls: Any, cancelled: Any, every_s: float) -> None:
        self.replies += [(number, ANSWER) for number, _ in calls]
        self.news.set()

    async def collect(self) -> Report:
        await self.news.wait()
        self.news.clear()
        replies, self.replies = self.replies, []
        return Report(replies)

    async def close(self) -> None: ...


ANSWER = Completion("yes", "stop", 10, 10)


class NullWorld(SimulatedWorld):
    pace_s = 0.0

    async def launch(self, name: str, placed: Any) -> Any:
        return NullLink()


def overhead() -> None:
    """CPU time of the leases alone, on the real clock: no Ray, no engine."""
    print(f"{'workers':>8}{'requests':>10}{'us/request':>12}{'% of a core at 1000/s':>24}{'most requests/s':>18}")
    for workers in (1, 4, 16, 64, 512):
        count = 40_000
        costs = [asyncio.run(_leases(workers, count)) - asyncio.run(_nothing(count)) for _ in range(3)]
        each = min(costs) / count
        print(f"{workers:>8}{count:>10,}{1e6 * each:>12.1f}{100 * 1000 * each:>24.1f}{1 / each:>18,.0f}", flush=True)


async def _leases(workers: int, count: int) -> float:
    pool = Pool(NullWorld(seats=workers), Limits(least=workers, most=workers))
    await pool.open()
    while len(pool._hands) < workers:
        await asyncio.sleep(0)
    used = await _asked(pool.ask, count)
    await pool.close()
    return used


async def _nothing(count: int) -> float:
    async def answer(request: Request) -> Completion:
        await asyncio.sleep(0)
        return ANSWER

    return await _asked(answer, count)


async def _asked(ask: Callable[[Request], Awaitable[Any]], count: int) -> float:
    """CPU seconds of so many requests, 1024 at once, in conversations of ten."""

    async def converse(first: int) -> None:
        for conversation in range(first, count // 10, 1024):
            for call in range(10):
                await ask(
                    Request((Message("user", "?"),), Sampling(), 10 * conversation + call, affinity=f"c{conversation}")
                )

    begin = time.process_time()
    await asyncio.gather(*map(converse, range(1024)))
    return time.process_time() - begin


def kills() -> None:
    """100 kills at random moments: what is lost, answered twice, and done again."""
    names = ("seed", "calls", "kills", "lost", "twice", "done again", "had then", "seconds")
    print("".join(f"{name:>11}" for name in names))
    for seed in range(10):

        async def trouble(world: Engines, pool: Pool, seed: int = seed) -> None:
            chance, killed = random.Random(seed), 0
            while killed < 100:
                await asyncio.sleep(chance.expovariate(1 / 2.0))
                if world.links:
                    world.links[chance.choice(sorted(world.links))].die("killed by signal 9")
                    killed += 1

        done = play(4, conversations=2560, load_s=5.0, seed=seed, trouble=trouble)
        lost = sum(text != str(number) for number, text in enumerate(done.texts))
        twice = done.world.reported - done.calls
        counts = (done.facts["lost"], lost, twice, done.facts["calls_done_again"], done.world.lost_calls)
        print("".join(f"{value:>11,}" for value in (seed, done.calls, *counts, round(done.seconds))), flush=True)


def failures() -> None:
    """512 workers, 20 times slower (61 ms a step), that are killed at random, by kills/s in all."""
    workers, load_s = 512, 180.0
    print(f"512 workers, {load_s:g} s to load")
    names = ("kills/s", "kills", "calls/s", "of none", "done again", "us/call")
    print("".join(f"{name:>15}" for name in names))
    none = 0.0
    for rate in (0.0, 0.14, 0.57, 1.7):

        async def trouble(world: Engines, pool: Pool, rate: float = rate) -> None:
            chance = random.Random(3)
            while rate:
                await asyncio.sleep(chance.expovariate(rate))
                if world.links:
                    world.links[chance.choice(sorted(world.links))].die("killed by signal 9")

        begin = time.process_time()
        done = play(workers, conversations=20 * workers, load_s=load_s, slower=20.0, trouble=trouble)
        used = time.process_time() - begin
        none = none or done.rate
        print(
            f"{rate:>15.2f}{done.facts['lost']:>15}{done.rate:>15.0f}{done.rate / none:>15.3f}"
            f"{done.facts['calls_done_again']:>15,}{1e6 * used / done.calls:>15.0f}",
            flush=True,
        )


PARTS: dict[str, Callable[[], None]] = {
    "scaling": scaling,
    "overhead": overhead,
    "kills": kills,
    "failures": failures,
    "ray": _pool_ray.through_ray,
    "ray_kills": _pool_ray.kills,
    "killed": _pool_vllm.killed,
    "same_bytes": _pool_vllm.same_bytes,
    "workers": _pool_vllm.workers,
}
SIMULATED = ("scaling", "overhead", "kills", "failures")


def main() -> None:
    logging.disable(logging.WARNING)  # hundreds of workers are lost here
    for name in sys.argv[1:] or SIMULATED:
        print(f"\n# {name}", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    main()
