"""Requests that vLLM interrupts for want of memory are counted and, where they eat the time, told."""

import asyncio
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.vllm import VllmOptions
from roleeval.engines.vllm._cache import Cache
from roleeval.engines.vllm._preemptions import Preemptions
from roleeval.resources import zoo_path
from roleeval.types import Message, Request, Sampling


def test_few_interruptions_are_no_news_and_many_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("vllm")
    counts = Preemptions("m", "Lower max_in_flight")
    logger = counts.logger(None, 0)
    logger.record(None, None)
    for _ in range(16):
        counts.warn(answered=10)
        logger.record(None, SimpleNamespace(num_preempted_reqs=1), None, engine_idx=0)
    assert not caplog.records
    counts.warn(answered=100)  # 16 of 100 is little
    assert not caplog.records
    counts.warn(answered=50)
    counts.warn(answered=50)
    (record,) = caplog.records
    assert record.getMessage() == (
        "m: the KV cache is too small for what is in flight: vLLM interrupted requests 16 times and began them again,"
        " while 50 were answered. Lower max_in_flight"
    )


def test_nothing_is_counted_where_all_that_is_in_flight_has_room() -> None:
    engine = VllmOptions(max_num_seqs=8).build(ModelSource(str(zoo_path("base"))), LoraNeed())
    launch = engine._launch()
    if not engine._vllm.cpu:
        assert launch._preemptions(None) is not None
        return
    assert launch._preemptions(Cache(1, tokens=8000)) is None
    assert launch._preemptions(Cache(1, tokens=7999)) is not None
    assert replace(launch, wanted=9000)._preemptions(Cache(1, tokens=8000)) is not None
    assert launch._preemptions(Cache(1)) is not None
    assert replace(launch, stock="asked for")._preemptions(None) is None


@pytest.mark.vllm
def test_vllm_tells_of_its_interruptions(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "roleeval")
    # room for two of the longest sequences
    options = VllmOptions(max_num_seqs=1024, max_model_len=512, extra={"num_gpu_blocks_override": 40})
    engine = options.build(ModelSource(str(zoo_path("base"))), LoraNeed())

    async def use() -> None:
        await engine.start()
        ask = [
            Request((Message("user", f"Tell me {number} things."),), Sampling(max_tokens=100, stop=("\x00",)), number)
            for number in range(64)
        ]
        await asyncio.gather(*map(engine.generate, ask))
        await engine.close()

    asyncio.run(use())
    assert engine.describe()["preemptions"] > 0
