"""A worker without Ray: answers come once, errors cross to another process, and another engine is refused."""

import asyncio
import pickle
from typing import Any

import pytest
from roleeval_stubs import StubOptions
from simulated_pool import request, virtually

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.pool._worker import Setting, Worker
from roleeval.errors import ConfigError, ContextOverflowError, EngineError, OptionError

SOURCE = ModelSource("stub-model")


def setting(**options: Any) -> Setting:
    return Setting(StubOptions(**options), SOURCE, LoraNeed())


async def collected(worker: Worker, count: int) -> dict[int, Any]:
    found: dict[int, Any] = {}
    while len(found) < count:
        report = await worker.collect()
        assert not found.keys() & dict(report.replies).keys()
        found |= dict(report.replies)
    return found


def test_every_answer_comes_once_while_more_is_submitted() -> None:
    async def main() -> dict[int, Any]:
        worker = Worker(setting(delay_s=0.001))
        await worker.load(1)
        for number in range(200):
            worker.submit([(number, request(number))])
            if number % 7 == 0:
                await asyncio.sleep(0)
        found = await asyncio.wait_for(collected(worker, 200), 20)
        await worker.close()
        return found

    found = asyncio.run(main())
    alone = StubOptions().build(SOURCE, LoraNeed())
    assert found[42].text == asyncio.run(alone.generate(request(42))).text


def test_answers_that_come_soon_after_each_other_come_together() -> None:
    async def main() -> list[int]:
        worker = Worker(setting(delay_s=1.0))
        for number in range(10):  # each 0.1 s; the first is answered at 0.5 s, the others 0.11 s after each other
            worker.submit([(number, request(number))], [], 0.5)
            await asyncio.sleep(0.1)
        sizes = []
        while sum(sizes) < 10:
            sizes.append(len((await worker.collect()).replies))
        await worker.close()
        return sizes

    assert virtually(main) == [5, 5]


def test_what_is_cancelled_ends_and_brings_no_answer() -> None:
    async def main() -> dict[int, Any]:
        worker = Worker(setting(delay_s=1000.0))
        worker.submit([(1, request(1))])
        await asyncio.sleep(0)
        worker.submit([], [1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not worker._tasks
        return dict((await worker.collect()).replies)

    assert asyncio.run(main()) == {}


def test_an_engine_that_is_dead_says_so_once_and_its_call_has_no_answer() -> None:
    async def main() -> tuple[Any, str]:
        worker = Worker(setting(die_after=0))
        worker.submit([(1, request(1))])
        report = await worker.collect()
        return report.replies, report.dead

    assert asyncio.run(main()) == ([], "the stub engine died")


def test_another_engine_than_the_runs_is_refused_before_it_loads() -> None:
    other = Setting(StubOptions(), SOURCE, LoraNeed(), fingerprint="f" * 64)
    with pytest.raises(ConfigError, match=r"not ffffffffffff\)\. Install the same versions on all nodes"):
        asyncio.run(Worker(other).load(1))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EngineError("refused"), EngineError("refused")),
        (ContextOverflowError("too long", longer="max_model_len"), ContextOverflowError("too long; raise engine.x")),
        (OptionError("top_k", "is wrong"), EngineError("top_k: is wrong")),  # it cannot be read elsewhere
        (ValueError("what is this"), ValueError("what is this")),
    ],
)
def test_errors_reach_another_process(error: Exception, expected: Exception) -> None:
    from roleeval.engines.pool._worker import _portable

    found = pickle.loads(pickle.dumps(_portable(error)))  # noqa: S301
    assert type(found) is type(expected)
    if isinstance(error, ContextOverflowError):
        assert (found.what, found.longer, found.shorter) == (error.what, error.longer, error.shorter)
    else:
        assert str(found) == str(expected)
