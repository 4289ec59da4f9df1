"""The openai engine against servers that fail: no fault may become an answer, and a passing one costs only time."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from endpoint import RESET, SOURCE, Endpoint, Fault, answer, ask, error_of, options, reply, with_engine

from roleeval.engines import LoraNeed
from roleeval.engines.openai import OpenAIEngine
from roleeval.errors import EngineError
from roleeval.types import Completion

BROKEN = {
    "half json": Fault(body=json.dumps(reply()).encode()[:60]),
    "empty body": Fault(body=b""),
    "html of a proxy": Fault(body=b"<html>Welcome</html>", headers={"content-type": "text/html"}),
    "no choices": Fault(body=json.dumps(reply() | {"choices": []}).encode()),
    "null choices": Fault(body=json.dumps(reply() | {"choices": None}).encode()),
    "null message": Fault(body=json.dumps(reply() | {"choices": [{"message": None}]}).encode()),
    "null content": Fault(body=json.dumps(reply(None)).encode()),
    "aborted": Fault(body=json.dumps(reply("I am", "abort")).encode()),
    "a list": Fault(body=b"[]"),
    "429": Fault(429, b'{"error": {"message": "slow down"}}', {"retry-after": "0"}),
    "408": Fault(408, b"{}"),
    "409": Fault(409, b"{}"),
    "500": Fault(500, b"oops"),
    "503": Fault(503, b"{}"),
    "reset": RESET,
    "time-out": Fault(hang_s=2.0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_passing_fault_is_tried_again(name: str) -> None:
    endpoint = Endpoint(BROKEN[name])
    assert answer(endpoint, timeout_s=0.4).text == "I am Holmes."
    assert len(endpoint.bodies) == 2


@pytest.mark.parametrize("name", BROKEN)
def test_a_lasting_fault_is_an_engine_error_that_names_the_host(name: str) -> None:
    endpoint = Endpoint(*[BROKEN[name]] * 2)
    message = error_of(endpoint, timeout_s=0.2, max_retries=1)
    assert "role-model: no answer in 2 attempts; last error: 127.0.0.1:" in message
    assert len(endpoint.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_fails_at_once_with_the_servers_words(status: int) -> None:
    endpoint = Endpoint(Fault(status, b'{"error": {"message": "the prompt is too long"}}'))
    message = error_of(endpoint)
    assert f"HTTP {status}: the prompt is too long" in message
    assert "127.0.0.1" in message
    assert len(endpoint.bodies) == 1


def test_a_quota_that_is_used_up_fails_at_once() -> None:
    endpoint = Endpoint(Fault(429, b'{"error": {"message": "pay first", "code": "insufficient_quota"}}'))
    assert "pay first" in error_of(endpoint)
    assert len(endpoint.bodies) == 1


def test_a_server_that_trickles_bytes_still_times_out() -> None:
    async def main() -> None:
        async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.05)

        server = await asyncio.start_server(trickle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        engine = options(url, timeout_s=0.3, max_retries=0).build(SOURCE, LoraNeed())
        await engine.start()
        with pytest.raises(EngineError, match=r"no answer within 0\.3 s"):
            await asyncio.wait_for(engine.generate(ask()), 5)
        await engine.close()
        server.close()

    asyncio.run(main())


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        if seconds > 1:
            waits.append(seconds)
        await sleep(0 if seconds > 1 else seconds)

    when = {"seconds": "40", "date": format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)}[form]
    monkeypatch.setattr("roleeval.engines.openai.engine.asyncio.sleep", record)
    assert answer(Endpoint(Fault(429, b"{}", {"retry-after": when}))).text == "I am Holmes."
    assert len(waits) == 1
    assert 35 < waits[0] < 41


def test_a_pause_beyond_the_limit_fails_instead_of_hanging() -> None:
    endpoint = Endpoint(Fault(429, b'{"error": {"message": "daily limit"}}', {"retry-after": "86400"}))
    message = error_of(endpoint)
    assert "86400 s" in message
    assert "engine.max_retry_after_s" in message
    assert "daily limit" in message


@pytest.mark.parametrize("value", ["soon", "nan", "-5", "Wed, 99 Foo"])
def test_an_unreadable_retry_after_means_ordinary_back_off(value: str) -> None:
    assert answer(Endpoint(Fault(429, b"{}", {"retry-after": value}))).text == "I am Holmes."


def test_back_off_grows_to_its_cap_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    def bound_only(low: float, high: float) -> float:
        assert low == 0.0
        bounds.append(high)
        return 0.0

    monkeypatch.setattr("roleeval.engines.openai.engine.random.uniform", bound_only)
    error_of(Endpoint(*[Fault(500)] * 6), max_retries=5, backoff_base_s=1.0, backoff_cap_s=6.0)
    assert bounds == [1.0, 2.0, 4.0, 6.0, 6.0]


# --- several servers


def test_one_affinity_stays_on_one_server_and_many_spread() -> None:
    endpoints = [Endpoint() for _ in range(3)]

    async def use(engine: OpenAIEngine) -> None:
        requests = [ask(f"{n} {repeat}", affinity=f"scene-{n}") for n in range(30) for repeat in range(3)]
        await asyncio.gather(*[engine.generate(request) for request in requests])

    with_engine(use, *endpoints)
    served = [{body["messages"][0]["content"].split()[0] for body in e.bodies} for e in endpoints]
    assert sum(len(keys) for keys in served) == 30  # no scene on two servers
    assert all(len(keys) >= 3 for keys in served)


def test_the_server_of_an_affinity_does_not_depend_on_the_process() -> None:
    """A resumed run finds the prefixes where the first one left them."""
    code = (
        "import asyncio\n"
        "from roleeval.engines import LoraNeed, ModelSource\n"
        "from roleeval.engines.openai.engine import OpenAIOptions\n"
        "async def main():\n"
        "    urls = tuple(f'http://127.0.0.1:{n}/v1' for n in range(1, 6))\n"
        "    engine = OpenAIOptions(base_urls=urls).build(ModelSource('m'), LoraNeed())\n"
        "    await engine.start()\n"
        "    print([engine._choose(f'scene-{n}', None).host for n in range(20)])\n"
        "asyncio.run(main())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(json.loads(runs[0].replace("'", '"')))) > 2


def test_without_affinity_the_least_busy_server_is_asked() -> None:
    busy, free = Endpoint(Fault(hang_s=30)), Endpoint()

    async def use(engine: OpenAIEngine) -> None:
        hanging = asyncio.create_task(engine.generate(ask("first")))
        while not busy.bodies:
            await asyncio.sleep(0.01)
        for number in range(6):
            await engine.generate(ask(str(number)))
        hanging.cancel()

    with_engine(use, busy, free, timeout_s=60.0)
    assert (len(busy.bodies), len(free.bodies)) == (1, 6)


@pytest.mark.parametrize("affinity", ["", "scene"])
def test_a_dead_server_is_left_for_another(affinity: str) -> None:
    alive = Endpoint()

    async def use(engine: OpenAIEngine) -> list[Completion]:
        return [await engine.generate(ask(str(n), affinity=affinity and f"{affinity}-{n}")) for n in range(8)]

    async def main() -> list[Completion]:
        async with alive:
            engine = options("http://127.0.0.1:9/v1", alive.url).build(SOURCE, LoraNeed())
            await engine.start()
            try:
                return await use(engine)
            finally:
                await engine.close()

    assert [completion.text for completion in asyncio.run(main())] == ["I am Holmes."] * 8
    assert len(alive.bodies) == 8


def test_a_server_that_fails_gets_the_retry_only_when_alone() -> None:
    bad, good = Endpoint(*[Fault(500)] * 20), Endpoint()

    async def use(engine: OpenAIEngine) -> None:
        await asyncio.gather(*[engine.generate(ask(str(n), affinity=str(n))) for n in range(12)])

    with_engine(use, bad, good)
    assert len(good.bodies) == 12
    assert len(bad.bodies) < 12


def test_no_more_requests_are_under_way_than_allowed() -> None:
    endpoint = Endpoint(delay_s=0.02)

    async def use(engine: OpenAIEngine) -> None:
        await asyncio.gather(*[engine.generate(ask(str(n))) for n in range(20)])

    with_engine(use, endpoint, max_concurrency=3)
    assert endpoint.most_in_flight == 3
    assert len(endpoint.bodies) == 20


def test_a_cancelled_request_gives_its_slot_back() -> None:
    endpoint = Endpoint(Fault(hang_s=30))

    async def use(engine: OpenAIEngine) -> Completion:
        hanging = asyncio.create_task(engine.generate(ask()))
        while not endpoint.bodies:
            await asyncio.sleep(0.01)
        hanging.cancel()
        return await asyncio.wait_for(engine.generate(ask()), 5)

    assert with_engine(use, endpoint, max_concurrency=1, timeout_s=60.0).text == "I am Holmes."
