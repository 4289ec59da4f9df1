"""CoSER's scenes with all characters in flight, against the other ways to run them: same model, scenes and seeds.

    ours      64 scenes in flight, the completion store in front of the engine
    loop      one scene after the other
    rounds    64 scenes in lock-step on our engine: every call of a round is awaited before the next round begins
    batches   the same with vLLM's own `LLM.chat`, one call a round, as scripts have it
    http      100 threads, each with a scene of its own, over HTTP to a vLLM server
    oracle    all requests that `ours` made, at once: what the engine could do if no call had to wait for another

Replies are sampled, so their lengths are uneven. Each contestant runs in a process of its own and is timed after
loading and a warm-up. The loop runs a part of the scenes; its rate does not depend on how many.

    python -m bench.coser [--scenes 128] [--rounds 12] [--repeats 2] [--data FILE]
"""

import argparse
import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from roleeval.benchmarks import Actor
from roleeval.benchmarks._coser_rules import Rules
from roleeval.benchmarks.coser import Coser
from roleeval.engines import CompletionStore, Engine, LoraNeed, ModelSource, StoredEngine
from roleeval.errors import EngineError
from roleeval.models import Base
from roleeval.resources import resource, zoo_path
from roleeval.types import Completion, Message, Request, Sample, Sampling

# CoSER's own limit of new tokens. No top_p: vLLM sorts the vocabulary for it on the CPU.
SAMPLING = Sampling(temperature=0.9, max_tokens=512)
IN_FLIGHT = 64
THREADS = 100
LOOP_SCENES = 6
MAX_MODEL_LEN = 8192
LABELS = {
    "ours": "64 scenes in flight",
    "loop": "scene after scene",
    "rounds": "rounds in lock-step",
    "batches": "rounds with LLM.chat",
    "http": "100 threads over HTTP",
    "oracle": "all requests at once",
}
PROMPT = {"prompt": 0, "cached": 2}  # tokens of a prompt, the share from the prefix cache; decimals
FULL = f"while {IN_FLIGHT} scenes are in flight"  # without the end, when no scene takes the place of one that is over
GOALS = {"loop": 8.0, "rounds": 1.15, "batches": 1.15, "http": 1.3, "oracle": 0.8}


def main() -> None:
    parser = argparse.ArgumentParser(description="Scenes in flight, against other ways to run them.")
    parser.add_argument("--scenes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each contestant in turn; the best counts")
    parser.add_argument("--data", help="a file in CoSER's layout; default: variations of the embedded scenes")
    parser.add_argument("--contestants", nargs="+", choices=sorted(LABELS), default=list(LABELS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(contest(**json.loads(options.child))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = options.data or str(variations(folder / "scenes.json", options.scenes))
        compare(folder, data, options)


def compare(folder: Path, data: str, options: argparse.Namespace) -> None:
    """Prints the table and the ratios."""
    print(f"{options.scenes} scenes of {options.rounds} rounds, at most {SAMPLING.max_tokens} new tokens a call")
    print(f"{'contestant':<24}{'s':>8}{'calls':>8}{'calls/s':>9}{'tokens/s':>10}{'prompt':>8}{'cached':>8}", flush=True)
    rates: dict[str, float] = {}
    # In turn, so that a machine which others use too is as fast for one as for the other.
    for _ in range(options.repeats):
        for name in [c for c in LABELS if c in options.contestants]:
            task = {"name": name, "folder": str(folder), "data": data, "scenes": options.scenes}
            row = child(task | {"rounds": options.rounds})
            rates[name] = max(rates.get(name, 0.0), row["tokens_s"])
            if name == "ours":
                rates[FULL] = max(rates.get(FULL, 0.0), row["full_tokens_s"])
            prompt, cached = (f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in PROMPT.items())
            print(
                f"{LABELS[name]:<24}{row['s']:>8.1f}{row['calls']:>8.0f}{row['calls_s']:>9.1f}"
                f"{row['tokens_s']:>10.0f}{prompt:>8}{cached:>8}",
                flush=True,
            )
    for name, goal in GOALS.items():
        if {"ours", name} <= set(rates):
            whole, full = rates["ours"] / rates[name], rates[FULL] / rates[name]
            print(f"tokens/s of ours / {LABELS[name]}: {whole:.2f}, {FULL} {full:.2f}   (goal {goal})")


def child(task: dict[str, Any]) -> dict[str, Any]:
    """Runs one contestant in a process of its own."""
    command = [sys.executable, "-m", "bench.coser", "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {task}\n{done.stderr[-3000:]}")
    row: dict[str, Any] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return row


def contest(name: str, folder: str, data: str, scenes: int, rounds: int) -> dict[str, Any]:
    """Loads what a contestant needs and times its work."""
    benchmark = Coser(data_file=data, protocol=Rules(rounds=rounds))
    samples = list(islice(benchmark.samples(limit=None), LOOP_SCENES if name == "loop" else scenes))
    if name == "http":
        return over_http(benchmark, samples, Path(folder))
    if name == "batches":
        return with_chat(benchmark, samples)
    return asyncio.run(in_process(name, benchmark, samples, Path(folder)))


async def in_process(name: str, benchmark: Coser, samples: Sequence[Sample], folder: Path) -> dict[str, Any]:
    """All contestants that share the engine's process."""
    from roleeval.engines.vllm import VllmOptions

    options = VllmOptions(dtype="float32", max_model_len=MAX_MODEL_LEN, scheduling="priority")
    engine = options.build(ModelSource(str(zoo_path("base"))), LoraNeed())
    await engine.start()
    await engine.generate(Request((Message("user", "Who are you?"),), Sampling(max_tokens=8), 1))
    before = dict(engine.describe()["prefix_cache"])
    counted = Counted(engine)
    begin = time.perf_counter()
    if name == "oracle":
        requests: list[Request] = pickle.loads((folder / "requests.pickle").read_bytes())  # noqa: S301  our own file
        await asyncio.gather(*(counted.generate(request) for request in requests))
    elif name == "rounds":
        for start in range(0, len(samples), IN_FLIGHT):
            group = samples[start : start + IN_FLIGHT]
            await in_lock_step(benchmark, group, counted.all)
    else:
        stored = StoredEngine(counted, CompletionStore(folder / f"{name}-{os.getpid()}.sqlite"))
        await play(benchmark, samples, cast(stored), 1 if name == "loop" else IN_FLIGHT, counted.begins_to_end)
    seconds = time.perf_counter() - begin
    if name == "ours":
        (folder / "requests.pickle").write_bytes(pickle.dumps(counted.requests))
    after = engine.describe()["prefix_cache"]
    await engine.close()
    read = after["prompt_tokens"] - before["prompt_tokens"]
    full = {} if counted.full is None else {"full_tokens_s": counted.full[1] / (counted.full[0] - begin)}
    cached = (after["cached_tokens"] - before["cached_tokens"]) / read
    return counted.row(seconds) | full | {"cached": cached, "prompt": read / len(counted.requests)}


class Counted:
    """An engine that keeps what passed through it."""

    likelihoods = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests: list[Request] = []
        self.tokens = 0
        self.full: tuple[float, int] | None = None  # until when all places were taken, and the tokens until then

    @property
    def fingerprint(self) -> str:
        return self._engine.fingerprint

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        done = await self._engine.generate(request)
        self.requests.append(request)
        self.tokens += done.output_tokens
        return done

    def begins_to_end(self) -> None:
        """To be called when a scene has ended and no other takes its place."""
        self.full = self.full or (time.perf_counter(), self.tokens)

    async def all(self, requests: Sequence[Request]) -> list[Completion]:
        return await asyncio.gather(*(self.generate(request) for request in requests))

    def row(self, seconds: float) -> dict[str, Any]:
        calls = len(self.requests)
        return {"s": seconds, "calls": calls, "calls_s": calls / seconds, "tokens_s": self.tokens / seconds}


def cast(engine: Any) -> Actor:
    """The same model for everybody: characters, environment and next speaker."""
    model = Base(name="base", source=ModelSource(str(zoo_path("base"))), sampling=SAMPLING)
    helpers = {name: Actor(model, engine, 1) for name in ("environment", "next_speaker")}
    return Actor(model, engine, 1, helpers)


async def play(
    benchmark: Coser, samples: Sequence[Sample], actor: Actor, in_flight: int, none_left: Callable[[], None]
) -> None:
    """Keeps so many scenes under way, as a run does; says when there are fewer."""
    pending = iter(samples)

    async def worker() -> None:
        for sample in pending:
            await benchmark.episode(sample, actor)
        none_left()

    await asyncio.gather(*(worker() for _ in range(in_flight)))


# All requests of a round -> their answers
Round = Callable[[Sequence[Request]], Awaitable[list[Completion]]]


class LockStep:
    """Holds calls back until every scene that is still playing has made one, and their answers until all have come."""

    likelihoods = False

    def __init__(self, answer: Round, playing: int) -> None:
        self._answer = answer
        self._playing = playing
        self._waiting: list[tuple[Request, asyncio.Future[Completion]]] = []

    async def generate(self, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._go_on()
        return await future

    def ended(self) -> None:
        self._playing -= 1
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and len(self._waiting) == self._playing:
            batch, self._waiting = self._waiting, []
            self._task = asyncio.ensure_future(self._round(batch))

    async def _round(self, batch: list[tuple[Request, asyncio.Future[Completion]]]) -> None:
        answers = await self._answer([request for request, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)


async def in_lock_step(benchmark: Coser, samples: Sequence[Sample], answer: Round) -> None:
    """Plays one group of scenes round by round."""
    steps = LockStep(answer, len(samples))

    async def scene(sample: Sample) -> None:
        await benchmark.episode(sample, cast(steps))
        steps.ended()

    await asyncio.gather(*(scene(sample) for sample in samples))


def with_chat(benchmark: Coser, samples: Sequence[Sample]) -> dict[str, Any]:
    """vLLM's synchronous class with the settings of our engine, and its own operators."""
    os.environ.update(VLLM_LOGGING_LEVEL="ERROR", VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1")
    from vllm import LLM, SamplingParams
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    llm = LLM(
        str(zoo_path("base")),
        dtype="float32",
        max_model_len=MAX_MODEL_LEN,
        enforce_eager=True,
        enable_prefix_caching=True,
        enable_chunked_prefill=False,
        block_size=32,
        max_num_seqs=256,
        distributed_executor_backend=UniProcExecutor,
    )
    calls = tokens = read = cached = 0

    async def answer(requests: Sequence[Request]) -> list[Completion]:
        nonlocal calls, tokens, read, cached
        chats: Any = [[{"role": m.role, "content": m.content} for m in r.messages or ()] for r in requests]
        params = [
            SamplingParams(temperature=r.sampling.temperature, max_tokens=r.sampling.max_tokens, seed=r.seed)
            for r in requests
        ]
        found = []
        for done in llm.chat(chats, params, use_tqdm=False):
            reply, prompt = done.outputs[0], len(done.prompt_token_ids or ())
            output = len(reply.token_ids)
            found.append(Completion(reply.text, "stop", prompt, output))
            calls, tokens = calls + 1, tokens + output
            read, cached = read + prompt, cached + (done.num_cached_tokens or 0)
        return found

    asyncio.run(answer([Request((Message("user", "Who are you?"),), Sampling(max_tokens=8), 1)]))
    calls = tokens = read = cached = 0
    begin = time.perf_counter()
    for start in range(0, len(samples), IN_FLIGHT):
        asyncio.run(in_lock_step(benchmark, samples[start : start + IN_FLIGHT], answer))
    seconds = time.perf_counter() - begin
    rates = {"s": seconds, "calls": calls, "calls_s": calls / seconds, "tokens_s": tokens / seconds}
    return rates | {"cached": cached / read, "prompt": read / calls}


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


def over_http(benchmark: Coser, samples: Sequence[Sample], folder: Path) -> dict[str, Any]:
    """Threads that each play one scene after the other, from one list."""
    counted = HttpCount()
    pending, lock = iter(samples), threading.Lock()
    assert benchmark.scenes  # read before the clock starts

    def thread(url: str) -> None:
        actor = cast(Http(url, counted))
        while True:
            with lock:
                sample = next(pending, None)
            if sample is None:
                return
            asyncio.run(benchmark.episode(sample, actor))

    with served(folder) as url:
        asyncio.run(Http(url, HttpCount()).generate(Request((Message("user", "Who?"),), Sampling(max_tokens=8), 1)))
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
def served(folder: Path) -> Iterator[str]:
    """A vLLM server with the same model and context; yields its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "server.log").open("wb")
    arguments = {
        "--model": str(zoo_path("base")),
        "--served-model-name": "base",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "float32",
        "--max-model-len": str(MAX_MODEL_LEN),
        "--block-size": "32",
        "--max-num-seqs": "256",
    }
    # prompts are read whole for the reason that engines/vllm.py gives
    flags = ["--enforce-eager", "--enable-prefix-caching", "--no-enable-chunked-prefill"]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags]
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
                sys.exit(f"the server did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def variations(file: Path, count: int) -> Path:
    """The embedded scenes, told again with a number in the scenario, until there are enough."""
    scenes = json.loads(resource("tasks/coser/embedded/test_set.json").read_text(encoding="utf-8"))
    made = [
        {
            **scenes[number % len(scenes)],
            "book": f"{scenes[number % len(scenes)]['book']}, retelling {number}",
            "scenario": f"Retelling {number}. {scenes[number % len(scenes)]['scenario']}",
        }
        for number in range(count)
    ]
    file.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    return file


if __name__ == "__main__":
    main()
