"""The openai engine against a real vLLM server: what is sent must mean there what it means here."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import Engine, LoraNeed, ModelSource, load_adapter
from roleeval.engines.hf import HfOptions
from roleeval.engines.openai import OpenAIOptions
from roleeval.errors import EngineError
from roleeval.types import AdapterRef, Completion, Message, Request, Sampling

pytestmark = pytest.mark.vllm

SERVED = "tiny"
STARTUP_S = 300
GREEDY = Sampling(max_tokens=32)
SAMPLED = Sampling(temperature=1.2, top_p=0.95, top_k=50, repetition_penalty=1.1, max_tokens=32)
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}, "ok": {"type": "boolean"}},
        "required": ["score", "ok"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="session")
def server(tiny_model: Path, tiny_adapters: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a vLLM server on the CPU with the tiny model and its adapters."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    # One slot more than adapters: on the CPU, vLLM 0.32 gives requests for the base model that share a batch with an
    # adapter's the weights of the last slot (vllm-project/vllm#48421); an empty one changes nothing.
    slots = len(tiny_adapters) + 1
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_model)]
            + ["--served-model-name", SERVED, "--host", "127.0.0.1", "--port", str(port)]
            + ["--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
            + ["--enable-lora", "--max-lora-rank", "8", "--max-loras", str(slots), "--lora-modules"]
            + [f"{path.name}={path}" for path in tiny_adapters],
            env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one process group with the engine core that it spawns
        )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + STARTUP_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the vLLM server did not start; its log ends with:\n{log.read_text()[-3000:]}")


def ask(number: int = 0, *, sampling: Sampling = GREEDY, adapter: AdapterRef | None = None, **fields: Any) -> Request:
    messages = (Message("system", "You are Holmes."), Message("user", "Who are you? " * (1 + number % 5) + str(number)))
    return Request(messages, sampling, seed=fields.pop("seed", number), adapter=adapter, **fields)


def served(url: str, requests: Sequence[Request], **options: Any) -> list[Completion]:
    return _answers(
        OpenAIOptions(base_urls=(url,), max_retries=0, **options).build(ModelSource(SERVED), LoraNeed()), requests
    )


def here(model: Path, requests: Sequence[Request]) -> list[Completion]:
    return _answers(HfOptions(dtype="float32").build(ModelSource(str(model)), LoraNeed()), requests)


def _answers(engine: Engine, requests: Sequence[Request]) -> list[Completion]:
    async def main() -> list[Completion]:
        await engine.start()
        try:
            return list(await asyncio.gather(*[engine.generate(request) for request in requests]))
        finally:
            await engine.close()

    return asyncio.run(main())


def facts(completions: Sequence[Completion]) -> list[tuple[str, str, int, int]]:
    return [(c.text, c.finish_reason, c.prompt_tokens, c.output_tokens) for c in completions]


def test_greedy_texts_and_counts_are_those_of_the_hf_engine(
    server: str, tiny_model: Path, tiny_adapters: list[Path]
) -> None:
    """Base and adapters, padded batches here and continuous batching there: one text."""
    adapters = [None, *(load_adapter(path) for path in tiny_adapters)]
    requests = [ask(number, adapter=adapter) for number in range(3) for adapter in adapters]
    theirs = served(server, requests)
    assert facts(theirs) == facts(here(tiny_model, requests))
    assert len({completion.text for completion in theirs}) == len(requests)


def test_repetition_penalty_and_stop_strings_mean_the_same(server: str, tiny_model: Path) -> None:
    (whole,) = served(server, [ask(0)])
    stop = whole.text[7:10]
    requests = [
        ask(0, sampling=Sampling(max_tokens=32, stop=("\t\t", stop))),
        ask(1, sampling=Sampling(max_tokens=32, repetition_penalty=1.7)),
    ]
    stopped, penalised = served(server, requests)
    assert facts([stopped, penalised]) == facts(here(tiny_model, requests))
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert stopped.finish_reason == "stop"


def test_prefill_is_continued_by_the_server(server: str, tiny_model: Path) -> None:
    requests = [ask(0, prefill="My name is"), ask(1, prefill='{"score": 3,')]
    theirs = served(server, requests)
    assert facts(theirs) == facts(here(tiny_model, requests))
    assert theirs[0].text.startswith("My name is")


def test_a_raw_prompt_is_continued_as_it_is(server: str, tiny_model: Path) -> None:
    requests = [
        Request(None, GREEDY, seed=0, prompt="The wizard looked"),
        Request(None, GREEDY, seed=0, prompt="<|im_start|>user\nHi<|im_end|>\n", prefill="I am"),
    ]
    assert facts(served(server, requests)) == facts(here(tiny_model, requests))


def test_a_schema_constrains_the_reply(server: str, tiny_adapters: list[Path]) -> None:
    adapter = load_adapter(tiny_adapters[0])
    sampling = Sampling(max_tokens=64)
    for completion in served(
        server,
        [ask(0, json_schema=SCHEMA, sampling=sampling), ask(1, json_schema=SCHEMA, sampling=sampling, adapter=adapter)],
    ):
        reply = json.loads(completion.text)
        assert reply["score"] in (1, 2, 3, 4, 5)
        assert isinstance(reply["ok"], bool)


def test_the_seed_decides_a_sampled_text(server: str) -> None:
    one, again, two = served(server, [ask(0, sampling=SAMPLED, seed=seed) for seed in (1, 1, 2)])
    assert one.text == again.text != two.text


def test_the_server_says_what_it_serves(server: str, tiny_model: Path, tiny_adapters: list[Path]) -> None:
    """What a change of weights under the same name is noticed by."""

    async def main() -> dict[str, Any]:
        engine = OpenAIOptions(base_urls=(server,)).build(ModelSource(SERVED), LoraNeed())
        await engine.start()
        await engine.generate(ask(0))
        await engine.close()
        return dict(engine.describe()["server"])

    said = asyncio.run(main())
    adapters = {f"adapter {path.name}: root": str(path) for path in tiny_adapters}
    expected = {"root": str(tiny_model), "owned_by": "vllm", "max_model_len": "1024"} | adapters
    assert said["models"][server] == expected
    assert len(said["system_fingerprints"]) <= 1  # not every vLLM gives one


def test_the_servers_refusals_are_named(server: str) -> None:
    with pytest.raises(EngineError, match=r"HTTP 400: .*1024"):
        served(server, [Request(None, GREEDY, seed=0, prompt="Who are you? " * 400)])
    with pytest.raises(EngineError, match=r"HTTP 404: .*nobody"):
        served(server, [ask(0, adapter=AdapterRef("nobody", "", "f"))])
