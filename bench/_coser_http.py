"""The contestant of `bench.coser` that asks a vLLM server over HTTP."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from bench._coser_task import MAX_MODEL_LEN, Task, warm
from bench._vllm import on_cpu
from roleeval.errors import EngineError
from roleeval.types import Completion, Request

THREADS = 100


class Http:
    """A blocking client, as scripts with threads have it; every thread has one loop and one connection."""

    likelihoods = False
    fingerprint = "http"

    def __init__(self, url: str, counted: "HttpCount") -> None:
        from openai import OpenAI

        self._client = OpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
        self._counted = counted

    async def generate(self, request: Request) -> Completion:
        assert request.messages is not None
        sampling = request.sampling
        reply = self._client.chat.completions.create(
            model="base",
            messages=[{"role": m.role, "content": m.content} for m in request.messages],  # type: ignore[misc]
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed,
        )
        if reply.usage is None:
            raise EngineError("the server counted no tokens")
        self._counted.add(reply.usage.completion_tokens)
        text = reply.choices[0].message.content or ""
        return Completion(text, "stop", reply.usage.prompt_tokens, reply.usage.completion_tokens)


class HttpCount:
    """Calls and tokens of all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = self.tokens = 0

    def add(self, tokens: int) -> None:
        with self._lock:
            self.calls += 1
            self.tokens += tokens


def over_http(task: Task) -> dict[str, Any]:
    """Threads that each play one scene after the other, from one list."""
    counted = HttpCount()
    pending, lock = iter(task.samples), threading.Lock()
    task.cast(None)  # what it reads is read before the clock starts

    def thread(url: str) -> None:
        actor = task.cast(Http(url, counted))
        while True:
            with lock:
                sample = next(pending, None)
            if sample is None:
                return
            asyncio.run(task.benchmark.episode(sample, actor))

    with served(task) as url:
        for number in range(task.in_flight):
            asyncio.run(Http(url, HttpCount()).generate(warm(number)))
        begin = time.perf_counter()
        threads = [threading.Thread(target=thread, args=(url,)) for _ in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        seconds = time.perf_counter() - begin
    calls, tokens = counted.calls, counted.tokens
    return {"s": seconds, "calls": calls, "calls_s": calls / seconds, "tokens_s": tokens / seconds}


@contextlib.contextmanager
def served(task: Task) -> Iterator[str]:
    """A vLLM server with the same model and context; yields its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = {
        "--model": task.base,
        "--served-model-name": "base",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--max-model-len": str(MAX_MODEL_LEN),
        "--max-num-seqs": "256",
    } | {f"--{key.replace('_', '-')}": value for key, value in task.extra.items()}
    flags = ["--enable-prefix-caching"]
    if on_cpu():
        arguments |= {"--dtype": "float32", "--block-size": "32"}
        # prompts are read whole for the reason that engines/vllm.py gives
        flags += ["--enforce-eager", "--no-enable-chunked-prefill"]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, *(part for pair in arguments.items() for part in pair)],
            env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one process group with the engine that it starts
        )
        try:
            deadline = time.monotonic() + 300
            while not _answers(f"http://127.0.0.1:{port}/health"):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit(f"the server did not start:\n{log.read().decode()[-2000:]}")
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
