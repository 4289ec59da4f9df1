"""vLLM as it is serves the zoo's model with its own worker and its own start, in the same words."""

import asyncio
import logging
from typing import Any

import pytest

from roleeval.engines import LoraNeed, ModelSource, load_adapter
from roleeval.engines.vllm import VllmOptions, _compat
from roleeval.engines.vllm._compat import Probe
from roleeval.engines.vllm._launch import Launch
from roleeval.resources import zoo_path
from roleeval.types import Completion, Message, Request, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def test_a_failed_probe_leaves_vllm_as_it_is_and_it_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("vllm", reason="no vLLM is installed")
    gone = Probe("usage context", "vllm.usage.usage_lib", "UsageContext.NO_SUCH_CONTEXT")
    monkeypatch.setattr(_compat, "OURS", (*_compat.OURS, gone))
    _compat.decided.cache_clear()
    source, adapter = ModelSource(str(zoo_path("base"))), load_adapter(zoo_path("shared_lora"))
    engine = VllmOptions(max_model_len=512).build(source, LoraNeed(1, adapter.rank))
    given: dict[str, Any] = {}
    inner = Launch._arguments
    monkeypatch.setattr(Launch, "_arguments", lambda launch, context: given.update(inner(launch, context)) or given)
    requests = [
        Request((Message("user", f"What do you think of the number {n}?"),), Sampling(max_tokens=24), 1, adapter=lora)
        for n in range(6)
        for lora in (None, adapter)
    ]

    async def answers() -> list[Completion]:
        await engine.start()
        try:
            return list(await asyncio.gather(*(engine.generate(request) for request in requests)))
        finally:
            await engine.close()

    with caplog.at_level(logging.WARNING, "roleeval"):
        completions = asyncio.run(answers())
    assert len({completion.text for completion in completions}) > 6
    assert all(completion.served_by == engine.fingerprint for completion in completions)
    assert not {"worker_cls", "distributed_executor_backend"} & given.keys()
    assert [r.getMessage() for r in caplog.records if r.name.startswith("roleeval")] == [
        f"{_compat.installed_vllm()} runs without roleeval's additions (usage context"
        " (vllm.usage.usage_lib.UsageContext.NO_SUCH_CONTEXT) is missing); its texts are stored under a separate"
        " fingerprint"
    ]
    assert engine.describe()["decode_gap"] == pytest.approx(0, abs=0.01)
    _compat.decided.cache_clear()
