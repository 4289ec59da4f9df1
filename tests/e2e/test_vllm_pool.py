"""A pool of real vLLM engines on this machine's Ray: its texts are one engine's, also where a worker is killed."""

import asyncio
import os
import signal

import pytest

from roleeval.engines import Engine, LoraNeed, ModelSource
from roleeval.engines.pool import PoolOptions
from roleeval.engines.vllm import VllmOptions
from roleeval.resources import zoo_path
from roleeval.types import Message, Request, Sampling

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the loopback address; read where Ray is imported
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'roleeval[ray]'")
pytestmark = pytest.mark.vllm

COUNT = 60


async def texts_of(engine: Engine) -> list[str]:
    """Greedy and seeded texts, in conversations of four."""

    async def ask(number: int) -> str:
        sampling = Sampling(temperature=0.9 * (number % 2), max_tokens=32)
        chat = (Message("user", f"Question {number}: who are you, and what do you want from me?"),)
        done = await engine.generate(Request(chat, sampling, number, affinity=f"scene {number // 4}"))
        return f"{done.finish_reason}: {done.text}"

    return list(await asyncio.gather(*map(ask, range(COUNT))))


def test_a_worker_of_vllm_that_is_killed_comes_back_and_no_text_differs() -> None:
    async def main() -> None:
        source, inner = ModelSource(str(zoo_path("base"))), VllmOptions(cpu_kv_cache_gib=1)
        alone = inner.build(source, LoraNeed())
        await alone.start()
        expected = await texts_of(alone)
        await alone.close()
        engine = PoolOptions(inner, cpus_per_worker=0.5, min_workers=2, max_workers=2).build(source, LoraNeed())
        assert engine.fingerprint == alone.fingerprint
        await engine.start()
        try:
            asking = asyncio.ensure_future(texts_of(engine))
            while not (first := [w for w in engine.describe()["pool"]["workers"] if w["answered"] > 3]):
                await asyncio.sleep(0.01)
            os.kill(first[0]["pid"], signal.SIGKILL)
            assert await asking == expected
            facts = engine.describe()
        finally:
            await engine.close()
        assert facts["pool"]["lost"] == 1
        assert facts["pool"]["calls_done_again"] <= COUNT
        assert facts["package"].startswith("vllm")

    try:
        asyncio.run(main())
    finally:
        ray.shutdown()
