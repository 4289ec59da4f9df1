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
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench._coser_http import over_http
from bench._coser_task import MAX_MODEL_LEN, SAMPLING, Task, warm
from bench._vllm import SHAPES, bare_llm, make_base
from roleeval.engines import CompletionStore, Engine, LoraNeed, ModelSource, StoredEngine
from roleeval.resources import resource
from roleeval.types import Completion, Request, Sample

LOOP_SCENES = 4
ZOO_VOCABULARY = 4096  # also with random weights: what they write is read in the next turn
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
    assert task.samples  # read before any clock starts
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
