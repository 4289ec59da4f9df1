"""The line between a pool and a worker: what is said arrives as it was, and strangers are not listened to."""

import asyncio
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest
from roleeval_stubs import StubOptions
from simulated_pool import request

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.pool._line import Line, Listener, connect
from roleeval.engines.pool._link import Report
from roleeval.engines.pool._wire import packed, unpacked
from roleeval.engines.pool._worker import Setting, Worker
from roleeval.errors import ContextOverflowError
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Message, Request, Sampling

ADAPTER = AdapterRef("role", "folder", "f" * 64, 8, ("q_proj", "v_proj"))
CHAT = (Message("system", "You are Beethoven."), Message("user", "谁?\ud83d\n"))


@pytest.mark.parametrize(
    "thing",
    [
        Request(CHAT, Sampling(0.7, stop=("\n",)), 3, adapter=ADAPTER, prefill="<", json_schema="{}", affinity="a"),
        Request(None, Sampling(), 3, prompt="Once", prompt_special_tokens=True, attempt=2, scope="judge", priority=1),
        LikelihoodRequest((1, 2), prompt_tokens=(3,), adapter=ADAPTER, priority=2),
        Completion("text", "length", 3, 4, "thoughts", "f" * 64, stored=True),
        Likelihood(-1.5, 2, True, 7, "f" * 64, stored=True),
        Report([(1, Completion("text", "stop", 1, 1))], {"kind": "stub"}, "dead", ["a note"]),
    ],
)
def test_every_field_arrives_as_it_was(thing: Any) -> None:
    found = unpacked(packed(thing))
    assert type(found) is type(thing)
    assert {field.name: getattr(found, field.name) for field in fields(thing)} == {
        field.name: getattr(thing, field.name) for field in fields(thing)
    }


def test_a_request_has_few_bytes() -> None:
    assert len(packed(request(1))) < len(pickle.dumps(request(1)))


def test_an_error_arrives_with_what_it_says() -> None:
    (_, error), *_ = unpacked(packed(Report([(1, ContextOverflowError("too long", longer="max_model_len"))]))).replies
    assert str(error) == str(ContextOverflowError("too long", longer="max_model_len"))


async def listening(secret: bytes) -> tuple[Worker, int]:
    worker = Worker(Setting(StubOptions(delay_s=0.001), ModelSource("stub-model"), LoraNeed()))
    await worker.load(1)
    return worker, await Listener(worker, secret, lambda: ["a note"]).open("127.0.0.1")


def test_calls_and_answers_go_over_the_line() -> None:
    async def main() -> dict[int, Any]:
        worker, port = await listening(b"s" * 32)
        line = await connect("127.0.0.1", port, b"s" * 32)
        found: dict[int, Any] = {}
        for number in range(50):
            line.send(([(number, request(number))], [], 0.0))
        while len(found) < 50:
            report = await asyncio.wait_for(line.receive(), 20)
            assert report.notes == ["a note"]
            found |= dict(report.replies)
        line.close()
        await worker.close()
        return found

    expected = asyncio.run(StubOptions().build(ModelSource("stub-model"), LoraNeed()).generate(request(42)))
    assert asyncio.run(main())[42] == replace(expected, served_by="")


def test_who_does_not_know_the_secret_is_not_listened_to() -> None:
    async def main() -> None:
        worker, port = await listening(b"s" * 32)
        line = await connect("127.0.0.1", port, b"t" * 32)
        line.send(([(1, request(1))], [], 0.0))
        with pytest.raises((ConnectionError, EOFError)):
            await asyncio.wait_for(line.receive(), 20)
        assert not worker._tasks
        await worker.close()

    asyncio.run(main())


def test_a_line_ends_with_what_is_known_from_elsewhere() -> None:
    async def main() -> None:
        worker, port = await listening(b"s" * 32)
        line: Line = await connect("127.0.0.1", port, b"s" * 32)
        asyncio.get_running_loop().call_soon(line.fail, ValueError("its node has died"))
        with pytest.raises(ValueError, match="its node has died"):
            await asyncio.wait_for(line.receive(), 20)
        line.close()
        await worker.close()

    asyncio.run(main())
