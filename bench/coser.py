"""CoSER's scenes with all characters in flight, against the other ways to run them: same model, scenes and seeds.

    ours      64 scenes in flight, the completion store in front of the engine
    loop      one scene after the other
    rounds    64 scenes in lock-step on our engine: every call of a round is awaited before the next round begins
    batches   the same with vLLM's own `LLM.chat`, one call a round, as scripts have it
    http      100 threads, each with a scene of its own, over HTTP to a vLLM server
    oracle    all requests that `ours` made, at once: what the engine could do if no call had to wait for another

Replies are sampled, so their lengths are uneven. Those that our engine can serve share one that has been warmed up, and
find its prefix cache empty; `batches` and `http` have processes of their own. The loop runs a part of the scenes; its
rate does not depend on how many.

    python -m bench.coser [--scenes 128] [--rounds 12] [--repeats 2] [--data FILE]    the zoo's base
    python -m bench.coser --shape llama3-8b                                           on a GPU, random weights

Random weights (vLLM's dummy ones) never end a reply: lengths are drawn, the same for all contestants, from an
exponential distribution with the mean of the scenes' reference replies; the name of a next speaker has 8 tokens.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from bench._vllm import SHAPES, bare_llm, make_base, on_cpu
from roleeval.benchmarks import Actor
from roleeval.benchmarks._coser_rules import Rules
from roleeval.benchmarks.coser import Coser
from roleeval.engines import CompletionStore, Engine, LoraNeed, ModelSource, StoredEngine
from roleeval.engines.chat import load_tokenizer
from roleeval.errors import EngineError
from roleeval.models import Base
from roleeval.resources import resource
from roleeval.types import Completion, Message, Request, Sample, Sampling

# CoSER's own limit of new tokens. No top_p: vLLM sorts the vocabulary for it on the CPU.
SAMPLING = Sampling(temperature=0.9, max_tokens=512)
THREADS = 100
LOOP_SCENES = 4
ZOO_VOCABULARY = 4096  # also with random weights: what they write is read in the next turn
NAME_TOKENS = 8  # of a next speaker, where weights are random
MAX_MODEL_LEN = 8192
LABELS = {
    "ours": "scenes in flight",
    "loop": "scene after scene",
    "rounds": "rounds in lock-step",
    "batches": "rounds with LLM.chat",
    "http": "100 threads over HTTP",
    "oracle": "all requests at once",
}
ROW = "row: "
PROMPT = {"prompt": 0, "cached": 2}  # tokens of a prompt, the share from the prefix cache; decimals
FULL = "while all places are taken"  # without the end, when no scene takes the place of one that is over
ON_OUR_ENGINE = ("ours", "loop", "rounds", "oracle")  # in this order: the oracle has the requests of the first
GOALS = {"loop": 8.0, "rounds": 1.15, "batches": 1.15, "http": 1.3, "oracle": 0.8}


@dataclass(frozen=True)
class Task:
    """What is played, for every contestant.

    Attributes:
        base: folder of the model.
        dummy: whether its weights are random.
        data: a file in CoSER's layout.
        scenes: how many of it are played.
        rounds: of each.
        in_flight: scenes under way at once.
    """

    base: str
    dummy: bool
    data: str
    scenes: int
    rounds: int
    in_flight: int

    @property
    def extra(self) -> dict[str, Any]:
        """Arguments of vLLM that depend on the model."""
        return {"load_format": "dummy"} if self.dummy else {}

    @cached_property
    def benchmark(self) -> Coser:
        return Coser(data_file=self.data, protocol=Rules(rounds=self.rounds))

    @cached_property
    def samples(self) -> list[Sample]:
        return list(islice(self.benchmark.samples(limit=None), self.scenes))

    @cached_property
    def mean_length(self) -> float:
        """Tokens of a reference reply."""
        tokenizer = load_tokenizer(ModelSource(self.base))
        return fmean(len(tokenizer.encode(line.message)) for scene in self.benchmark.scenes for line in scene.lines)

    def cast(self, engine: Any) -> Actor:
        """The same model for everybody: characters, environment and next speaker."""
        engine = Drawn(engine, self.mean_length) if self.dummy else engine
        model = Base(name="base", source=ModelSource(self.base), sampling=SAMPLING)
        short = replace(SAMPLING, max_tokens=NAME_TOKENS) if self.dummy else SAMPLING
        names = Base(name="base", source=ModelSource(self.base), sampling=short)
        helpers = {"environment": Actor(model, engine, 1), "next_speaker": Actor(names, engine, 1)}
        return Actor(model, engine, 1, helpers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Scenes in flight, against other ways to run them.")
    parser.add_argument("--scenes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each contestant in turn; the best counts")
    parser.add_argument("--data", help="a file in CoSER's layout; default: variations of the embedded scenes")
    parser.add_argument("--shape", choices=["zoo", *SHAPES], default="zoo")
    parser.add_argument("--contestants", nargs="+", choices=sorted(LABELS), default=list(LABELS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if "oracle" in options.contestants and "ours" not in options.contestants:
        parser.error("the oracle runs the requests of ours: name both")
    if options.child:
        child(json.loads(options.child))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = options.data or str(variations(folder / "scenes.json", options.scenes))
        base = make_base(folder, options.shape, vocabulary=ZOO_VOCABULARY)
        compare(
            Task(str(base), options.shape != "zoo", data, options.scenes, options.rounds, options.in_flight),
            options.contestants,
            options.repeats,
        )


def compare(task: Task, contestants: Sequence[str], repeats: int) -> None:
    """Prints the table and the ratios."""
    print(f"{task.scenes} scenes of {task.rounds} rounds, {task.in_flight} in flight,", end=" ")
    print(f"at most {SAMPLING.max_tokens} new tokens a call")
    print(f"{'contestant':<24}{'s':>8}{'calls':>8}{'calls/s':>9}{'tokens/s':>10}{'prompt':>8}{'cached':>8}", flush=True)
    rates: dict[str, float] = {}
    together = [name for name in ON_OUR_ENGINE if name in contestants]
    # In turn, so that a machine which others use too is as fast for one as for the other.
    for _ in range(repeats):
        for names in filter(None, [together, *([name] for name in ("batches", "http") if name in contestants)]):
            for row in in_a_process({"names": names, "task": asdict(task)}):
                name = row["name"]
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


def in_a_process(work: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Runs contestants in a process of their own; a row each, as it comes."""
    command = [sys.executable, "-m", "bench.coser", "--child", json.dumps(work)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ROW):
                yield json.loads(line.removeprefix(ROW))
            else:  # vLLM's log
                errors.write(line)
        if process.wait():
            errors.seek(0)
            sys.exit(f"failed: {work}\n{errors.read()[-6000:]}")


def child(work: dict[str, Any]) -> None:
    """Loads what contestants need and times their work."""
    task, names = Task(**work["task"]), work["names"]
    if names == ["http"]:
        show("http", over_http(task))
    elif names == ["batches"]:
        show("batches", with_chat(task))
    else:
        asyncio.run(on_our_engine(names, task))


def show(name: str, row: dict[str, Any]) -> None:
    print(ROW + json.dumps({"name": name} | row), flush=True)


async def on_our_engine(names: Sequence[str], task: Task) -> None:
    """The contestants that share an engine, one after the other."""
    from roleeval.engines.vllm import VllmOptions

    options = VllmOptions(max_model_len=MAX_MODEL_LEN, scheduling="priority", extra=task.extra)
    engine = options.build(ModelSource(task.base), LoraNeed())
    await engine.start()
    requests: list[Request] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            await asyncio.gather(*(engine.generate(warm(number)) for number in range(task.in_flight)))
            await engine._engine.reset_prefix_cache()
            counted = Counted(engine)
            stored = StoredEngine(counted, CompletionStore(Path(folder, f"{number}.sqlite")))
            before = dict(engine.describe()["prefix_cache"])
            begin = time.perf_counter()
            if name == "oracle":
                await asyncio.gather(*(counted.generate(request) for request in requests))
            elif name == "rounds":
                await in_lock_step(task, counted.all)
            elif name == "loop":
                await play(task, task.samples[:LOOP_SCENES], stored, 1, counted.begins_to_end)
            else:
                await play(task, task.samples, stored, task.in_flight, counted.begins_to_end)
                requests = counted.requests
            seconds = time.perf_counter() - begin
            after = engine.describe()["prefix_cache"]
            read = after["prompt_tokens"] - before["prompt_tokens"]
            full = {} if counted.full is None else {"full_tokens_s": counted.full[1] / (counted.full[0] - begin)}
            cached = (after["cached_tokens"] - before["cached_tokens"]) / read
            show(name, counted.row(seconds) | full | {"cached": cached, "prompt": read / len(counted.requests)})
    await engine.close()


def warm(number: int) -> Request:
    return Request((Message("user", f"Who are you, number {number}?"),), Sampling(max_tokens=8), number)


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


class Drawn:
    """An engine whose replies have drawn lengths."""

    likelihoods = False

    def __init__(self, engine: Any, mean: float) -> None:
        self._engine = engine
        self._mean = mean

    async def generate(self, request: Request) -> Completion:
        drawn = min(1 + int(Random(request.seed).expovariate(1 / self._mean)), request.sampling.max_tokens)
        return await self._engine.generate(replace(request, sampling=replace(request.sampling, max_tokens=drawn)))


async def play(
    task: Task, samples: Sequence[Sample], engine: Any, in_flight: int, none_left: Callable[[], None]
) -> None:
    """Keeps so many scenes under way, as a run does; says when there are fewer."""
    pending, actor = iter(samples), task.cast(engine)

    async def worker() -> None:
        for sample in pending:
            await task.benchmark.episode(sample, actor)
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


async def in_lock_step(task: Task, answer: Round) -> None:
    """Plays the scenes group by group, and each group round by round."""
    for start in range(0, len(task.samples), task.in_flight):
        group = task.samples[start : start + task.in_flight]
        steps = LockStep(answer, len(group))

        async def scene(sample: Sample, steps: LockStep = steps) -> None:
            await task.benchmark.episode(sample, task.cast(steps))
            steps.ended()

        await asyncio.gather(*(scene(sample) for sample in group))


def with_chat(task: Task) -> dict[str, Any]:
    """vLLM's synchronous class with the settings of our engine, and its own operators."""
    from vllm import SamplingParams

    llm = bare_llm(Path(task.base), max_model_len=MAX_MODEL_LEN, **task.extra)
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

    asyncio.run(answer([warm(number) for number in range(task.in_flight)]))
    calls = tokens = read = cached = 0
    begin = time.perf_counter()
    asyncio.run(in_lock_step(task, answer))
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
