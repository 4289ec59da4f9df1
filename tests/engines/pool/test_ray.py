"""The pool on a real Ray of this machine, with a stand-in engine in each actor."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from roleeval_stubs import StubOptions
from simulated_pool import request

from roleeval.engines import Engine, LoraNeed, ModelSource
from roleeval.engines.pool import PoolEngine, PoolOptions
from roleeval.engines.pool._ray import lost
from roleeval.errors import EngineDeadError, EngineError

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the loopback address; read where Ray is imported
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'roleeval[ray]'")
pytestmark = pytest.mark.slow

SOURCE = ModelSource("stub-model")
LONG = "longer than an argument that Ray sends at once. " * 5000


@pytest.fixture(scope="module", autouse=True)
def _ray_ends() -> Iterator[None]:
    yield
    ray.shutdown()


def texts_of(engine: Engine, count: int) -> Any:
    async def ask(number: int) -> str:
        return (await engine.generate(request(number, conversation=f"scene {number // 4}"))).text

    return asyncio.gather(*(ask(number) for number in range(count)))


def pool(**options: Any) -> PoolEngine:
    inner = options.pop("inner", StubOptions(delay_s=0.05))
    return PoolOptions(inner, cpus_per_worker=0.25, **options).build(SOURCE, LoraNeed())


def test_workers_answer_as_the_engine_itself_and_one_that_is_killed_comes_back() -> None:
    async def main() -> Any:
        alone = StubOptions().build(SOURCE, LoraNeed())
        expected = await texts_of(alone, 200)
        engine = pool(min_workers=2, max_workers=2, silent_s=20.0)
        assert engine.fingerprint == alone.fingerprint
        await engine.start()
        try:
            while len(workers := [w for w in engine.describe()["pool"]["workers"] if w["state"] == "ready"]) < 2:
                await asyncio.sleep(0.05)
            asking = asyncio.ensure_future(texts_of(engine, 200))
            await asyncio.sleep(0.03)
            os.kill(workers[0]["pid"], signal.SIGKILL)
            assert await asking == expected
            while engine.describe()["pool"]["workers"][0]["state"] != "ready":
                await asyncio.sleep(0.05)
            assert await texts_of(engine, 200) == expected
            return engine.describe()
        finally:
            await engine.close()

    facts = asyncio.run(main())
    assert facts["kind"] == "stub"
    found = facts["pool"]
    assert found["ray"] == ray.__version__
    assert found["lost"] == 1
    assert "SIGKILL" in found["workers"][0]["losses"][0] or "unexpectedly" in found["workers"][0]["losses"][0]
    assert [worker["node"] for worker in found["workers"]] == ["127.0.0.1"] * 2


def test_an_engine_that_dies_in_each_worker_stops_the_run_with_its_cause() -> None:
    async def main() -> None:
        engine = pool(inner=StubOptions(die_after=0), max_workers=1, max_restarts=0)
        await engine.start()
        try:
            with pytest.raises(EngineDeadError, match="all 1 workers are gone: the stub engine died"):
                await engine.generate(request(1))
        finally:
            await engine.close()

    asyncio.run(main())


def test_a_fault_of_one_request_is_its_own_and_warnings_reach_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        engine = pool(inner=StubOptions(fail="question 3", script="pool_scripts:warns"), max_workers=1)
        await engine.start()
        try:
            with pytest.raises(EngineError, match="the stub refuses"):
                await engine.generate(request(3))
            for number in (4, 5):
                assert (await engine.generate(request(number))).text == "well"
        finally:
            await engine.close()

    asyncio.run(main())
    assert caplog.text.count("this adapter has no effect") == 1


def test_where_workers_cannot_be_reached_messages_go_through_ray(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [request(1), replace(request(2), prefill=LONG)]

    async def refused(host: str, port: int, secret: bytes) -> Any:
        raise ConnectionRefusedError("refused")

    async def main() -> Any:
        engine = pool(max_workers=1)
        await engine.start()
        try:
            return [(await engine.generate(each)).text for each in asked]
        finally:
            await engine.close()

    monkeypatch.setattr("roleeval.engines.pool._ray.connect", refused)
    with caplog.at_level("INFO"):
        texts = asyncio.run(main())
    alone = StubOptions().build(SOURCE, LoraNeed())
    assert texts == [asyncio.run(alone.generate(each)).text for each in asked]
    assert "its messages go through Ray, which costs more CPU time" in caplog.text


def test_another_address_than_the_one_in_use_is_refused() -> None:
    async def main() -> None:
        engine = pool(address="127.0.0.1:9")
        with pytest.raises(EngineDeadError, match=r"127\.0\.0\.1:9 cannot be used: this process is connected to"):
            await engine.start()

    asyncio.run(main())


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_an_address_where_no_cluster_is_ends_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(EngineDeadError, match=rf"the Ray cluster at {address} cannot be used: nothing answers there"):
        asyncio.run(pool(address=address).start())


@pytest.mark.parametrize(
    ("said", "cause", "excused"),
    [
        (
            "The actor died unexpectedly before finishing this task.\n\tclass_name: RayWorker\nWorker exit type:"
            " SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file.",
            "Worker unexpectedly exits with a connection error code 2. End of file",
            False,
        ),
        ("The actor died because its node has died. Node Id: 3f2\n\tthe actor's node was terminated", "its node", True),
        (
            "The actor died because of an error raised in its creation task, \x1b[36mray::RayWorker()\x1b[39m\n"
            "  File 'x.py', line 1\nModuleNotFoundError: No module named 'mine'",
            "ModuleNotFoundError: No module named 'mine'",
            False,
        ),
        ("", "no cause given", False),
    ],
)
def test_what_ray_says_of_an_actor_that_is_gone_is_one_sentence(said: str, cause: str, excused: bool) -> None:
    error = lost(said)
    assert cause in str(error)
    assert "\n" not in str(error)
    assert error.excused is excused
