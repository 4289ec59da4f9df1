"""One engine for all that a job asks: with too little room its adapters would take turns in the same slots."""

import asyncio
import gc
import logging
from typing import Any

import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import AdapterError
from roleeval.models import Base, Her, SharedLora
from roleeval.stages.runtime import Runtime
from roleeval.types import AdapterRef

SOURCE = ModelSource("zoo:base")
BASE = Base(name="base", source=SOURCE)
HER = Her(name="her", source=SOURCE, adapter_path="zoo:her")
STAGEHAND = SharedLora(name="stagehand", source=SOURCE, adapter_path="zoo:stagehand")


def need_of(*jobs: tuple[Any, ...]) -> LoraNeed:
    """What an engine is built for."""
    runtime, options = Runtime(), StubOptions()
    for job in jobs:
        runtime.expect(*((options, model) for model in job))
    built: Any = asyncio.run(runtime.engine(options, jobs[0][0]))
    assert isinstance(built, StubEngine)
    return built.lora


def test_an_engine_has_room_for_all_adapters_of_a_job() -> None:
    assert need_of((HER, STAGEHAND, BASE)).count == 2


def test_an_adapter_that_two_models_share_counts_once() -> None:
    assert need_of((HER, STAGEHAND, STAGEHAND)).count == 2


def test_jobs_of_a_sweep_follow_each_other_and_need_no_more_than_the_largest() -> None:
    assert need_of((HER, BASE), (STAGEHAND, BASE)).count == 1


@pytest.mark.parametrize(
    ("bad", "message"), [(1, "a0 is empty"), (2, "2 of 5 adapters cannot be served: a0 is empty; a1")]
)
def test_all_adapters_that_cannot_be_served_are_named_at_once(
    monkeypatch: pytest.MonkeyPatch, bad: int, message: str
) -> None:
    def check(engine: StubEngine, adapter: AdapterRef) -> None:
        number = int(adapter.path.removeprefix("a"))
        if number < bad:
            raise AdapterError(f"a{number} is empty")

    adapters = tuple(AdapterRef(f"a{n}", f"a{n}", str(n), rank=8) for n in range(5))
    monkeypatch.setattr(StubEngine, "check", check)
    monkeypatch.setattr(SharedLora, "adapters", lambda model: adapters)
    with pytest.raises(AdapterError, match=message):
        asyncio.run(Runtime().ready(StubOptions(), STAGEHAND))


def test_an_error_that_nobody_waits_for_does_not_reach_the_screen(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def forgetful() -> None:
        async def fails() -> None:
            raise RuntimeError("lost")

        task = asyncio.ensure_future(fails())
        await asyncio.sleep(0)
        del task
        gc.collect()

    runtime = Runtime()
    with caplog.at_level(logging.DEBUG, "roleeval"):
        runtime.execute(forgetful)
    runtime.close()
    assert "never retrieved" not in "".join(capfd.readouterr())
    assert [record.levelname for record in caplog.records if "never retrieved" in record.message] == ["DEBUG"]
