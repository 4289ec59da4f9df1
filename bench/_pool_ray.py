"""The pool on this machine's Ray, with engines that only wait: what messages cost, and kill -9 (see bench/pool.py)."""

import asyncio
import hashlib
import json
import os
import random
import signal
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.pool import PoolEngine, PoolOptions
from roleeval.types import AdapterRef, Completion, Message, Request, Sampling

# As a scene's prompts: 3,240 characters.
CHAT = tuple(Message("user", "How do you feel about that? " * 20) for _ in range(6))
CALLS = 8  # of a conversation


@dataclass(frozen=True)
class EchoOptions:
    """An engine that answers after a while without doing anything.

    Attributes:
        delay_s: mean time of an answer; each takes half to one and a half of it, so that answers do not come together.
        log: a folder in which each process notes whose calls it has begun; "" for none.
    """

    delay_s: float
    log: str = ""

    def build(self, source: Any, lora: Any) -> "Echo":
        return Echo(self)

    def takes(self, request: Request) -> float:
        return self.delay_s * (0.5 + zlib.crc32(f"{request.affinity} {request.seed}".encode()) / 2**32)


def text_of(request: Request) -> str:
    return hashlib.sha256(f"{request.affinity} {request.seed}".encode()).hexdigest()


class Echo:
    likelihoods = False
    fingerprint = "echo"

    def __init__(self, options: EchoOptions) -> None:
        self.options = options

    def check(self, adapter: AdapterRef) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        if self.options.log:
            with Path(self.options.log, str(os.getpid())).open("a", encoding="utf-8") as file:
                file.write(f"{request.affinity} {request.seed}\n")
        await asyncio.sleep(self.options.takes(request))
        return Completion(text_of(request), "stop", 10, 10)

    def describe(self) -> dict[str, Any]:
        return {"kind": "echo"}


class AtOnce:
    """Answers without an engine."""

    async def generate(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        return Completion("", "stop", 10, 10)


async def started(inner: EchoOptions, workers: int) -> PoolEngine:
    """A pool with all its workers."""
    options = PoolOptions(
        inner, cpus_per_worker=0.1, min_workers=workers, max_workers=workers, in_flight_per_worker=1024
    )
    engine = options.build(ModelSource("echo"), LoraNeed())
    await engine.start()
    while sum(each["state"] == "ready" for each in engine.describe()["pool"]["workers"]) < workers:
        await asyncio.sleep(0.1)
    return engine


def through_ray() -> None:
    """CPU time of the whole coordinator, Ray included, and what the messages add to an answer's time."""
    print(
        f"{'workers':>8}{'in flight':>11}{'requests/s':>12}{'us/request':>12}{'% of a core':>13}{'answer, s':>11}"
        f"{'added':>8}"
    )
    for workers, at_once, delay_s in ((2, 128, 0.5), (2, 512, 0.5), (4, 1024, 1.0), (16, 1024, 1.0), (4, 4096, 4.0)):
        print(asyncio.run(_through_ray(EchoOptions(delay_s), workers, at_once)), flush=True)


async def _through_ray(inner: EchoOptions, workers: int, at_once: int) -> str:
    engine = await started(inner, workers)

    async def converse(served: Any, number: int, calls: int) -> None:
        for call in range(calls):
            await served.generate(Request(CHAT, Sampling(), call, affinity=f"c{number}"))

    async def played(served: Any) -> tuple[float, float]:
        begin, used = time.perf_counter(), time.process_time()
        taken = await asyncio.gather(*(timed(converse(served, number, CALLS)) for number in range(at_once)))
        return time.perf_counter() - begin, time.process_time() - used, sum(taken)

    await asyncio.gather(*(converse(engine, number, 1) for number in range(at_once)))
    seconds, used, taken = await played(engine)
    used -= (await played(AtOnce()))[1]  # what asking itself costs
    await engine.close()
    count = CALLS * at_once
    own = sum(
        inner.takes(Request(None, Sampling(), call, affinity=f"c{number}"))
        for number in range(at_once)
        for call in range(CALLS)
    )
    return (
        f"{workers:>8}{at_once:>11}{count / seconds:>12.0f}{1e6 * used / count:>12.0f}{100 * used / seconds:>13.1f}"
        f"{own / count:>11.2f}{(taken - own) / own:>8.1%}"
    )


async def timed(work: Any) -> float:
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


def kills() -> None:
    """100 kills with -9 of real worker processes at random moments; every answer is compared."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="roleeval-kills-") as folder:
        print(json.dumps(asyncio.run(_kills(EchoOptions(0.5, folder), 4, 128)), indent=1))


async def _kills(inner: EchoOptions, workers: int, at_once: int, count: int = 100) -> dict[str, Any]:
    engine = await started(inner, workers)
    chance = random.Random(7)
    killed: list[int] = []
    answers: Counter[str] = Counter()
    wrong = 0

    def alive() -> list[int]:
        found = [each["pid"] for each in engine.describe()["pool"]["workers"] if each["state"] == "ready"]
        return [pid for pid in found if pid not in killed]

    async def kill() -> None:
        while len(killed) < count:
            await asyncio.sleep(chance.expovariate(1.0))
            if there := alive():
                pid = chance.choice(there)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    async def converse(number: int) -> None:
        nonlocal wrong
        call = 0
        while call < CALLS or not killing.done():  # goes on until the last kill, and then for one conversation
            request = Request(CHAT, Sampling(), call, affinity=f"c{number}")
            answer = await engine.generate(request)
            answers[f"{request.affinity} {call}"] += 1
            wrong += answer.text != text_of(request)
            call += 1

    begin = time.perf_counter()
    killing = asyncio.create_task(kill())
    await asyncio.gather(*map(converse, range(at_once)))
    seconds = time.perf_counter() - begin
    facts = engine.describe()["pool"]
    await engine.close()
    begun = Counter(line for file in Path(inner.log).iterdir() for line in file.read_text().splitlines())
    again = sum(times - 1 for times in begun.values())
    return {
        "calls": len(answers),
        "kills": len(killed),
        "losses that the pool saw": facts["lost"],
        "wrong answers": wrong,
        "answered twice": sum(times > 1 for times in answers.values()),
        "calls never begun": sum(not begun[name] for name in answers),
        "calls begun again by a worker": again,
        "calls done again, as the pool counts": facts["calls_done_again"],
        "the most for one kill": at_once,
        "given up": sum(each["state"] == "given up" for each in facts["workers"]),
        "causes": dict(Counter(cause for each in facts["workers"] for cause in each["losses"])),
        "seconds": round(seconds),
    }
