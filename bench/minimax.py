"""Sessions of the Role-play Bench in flight, and what roleeval itself costs per message.

    ours      all sessions in flight, the completion store in front of the engine
    one       one session after the other, on a part of the sessions
    oracle    all requests that `ours` made, at once: what the engine could do if no message had to wait for another

The three share an engine and find its prefix cache empty. Replies are sampled, so lengths are uneven. The overhead is
that of a run with a no-op engine, with store and transcripts, in a process of its own.

    python -m bench.minimax [--sessions 90] [--messages 100] [--repeats 1] [--only sessions|overhead]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.coser import Counted
from bench.overhead import ANSWER, peak_mb
from roleeval.benchmarks import Actor, Helper
from roleeval.benchmarks.minimax import Minimax
from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine
from roleeval.models import Base
from roleeval.resources import resource, zoo_path
from roleeval.types import Completion, Request, Sample, Sampling

CONTEXT = 16_384
SAMPLING = Sampling(temperature=0.9, max_tokens=96)
ONE = 2  # sessions that are played one after the other; their rate does not depend on how many
GOALS = {"one": 8.0, "oracle": 0.8}
OVERHEAD = (95, 3135)  # sessions: of one model and language, and of the whole release


def main() -> None:
    parser = argparse.ArgumentParser(description="Sessions in flight, and the overhead of a message.")
    parser.add_argument("--sessions", type=int, default=90)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1, help="runs of the three in turn; the best of each counts")
    parser.add_argument("--only", choices=["sessions", "overhead"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(overhead(int(options.child), options.messages)))
        return
    if options.only != "overhead":
        asyncio.run(in_flight(options.sessions, options.messages, options.repeats))
    if options.only != "sessions":
        print(f"{'no-op engine: sessions':<26}{'messages':>10}{'messages/s':>12}{'again/s':>10}{'peak MB':>9}")
        for sessions in OVERHEAD:
            command = [sys.executable, "-m", "bench.minimax", "--child", str(sessions)]
            command += ["--messages", str(options.messages)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(f"{sessions:<26,}{sessions * options.messages:>10,}{row['rate']:>12,.0f}", end="")
            print(f"{row['again']:>10,.0f}{row['peak_mb']:>9.0f}", flush=True)


async def in_flight(sessions: int, messages: int, repeats: int) -> None:
    """Prints the table of the three, and their ratios."""
    from roleeval.engines.vllm import VllmOptions

    engine = VllmOptions(max_model_len=CONTEXT).build(ModelSource(str(zoo_path("base"))), LoraNeed())
    await engine.start()
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Minimax(messages=messages, runs=1, data_dir=str(variations(Path(folder), sessions)))
        samples = list(benchmark.samples(limit=None))[:sessions]
        print(f"{sessions} sessions of {messages} messages, at most {SAMPLING.max_tokens} new tokens each")
        print(f"{'':<10}{'s':>8}{'messages':>10}{'messages/s':>12}{'tokens/s':>10}{'cached':>8}", flush=True)
        best: dict[str, float] = {}
        cached: dict[str, float] = {}
        for number in range(repeats):
            requests: list[Request] = []
            for name, played in (("ours", samples), ("one", samples[:ONE]), ("oracle", [])):
                await engine._engine.reset_prefix_cache()
                counted = Counted(engine)
                before, begin = dict(engine.describe()["prefix_cache"]), time.perf_counter()
                if name == "oracle":
                    await asyncio.gather(*(counted.generate(request) for request in requests))
                else:
                    stored = StoredEngine(counted, CompletionStore(Path(folder, f"{name}{number}.sqlite")))
                    await play(benchmark, played, stored, at_once=name == "ours")
                row = counted.row(time.perf_counter() - begin)
                requests = counted.requests if name == "ours" else requests
                cached[name] = hit_rate(before, engine.describe()["prefix_cache"])
                best[name] = max(best.get(name, 0.0), row["tokens_s"])
                print(f"{name:<10}{row['s']:>8.1f}{row['calls']:>10}{row['calls_s']:>12.1f}", end="")
                print(f"{row['tokens_s']:>10.0f}{cached[name]:>8.3f}", flush=True)
    await engine.close()
    for name, goal in GOALS.items():
        print(f"tokens/s of ours / {name}: {best['ours'] / best[name]:.2f}   (goal {goal})")
    print(f"prefix cache, ours / one: {cached['ours'] / cached['one']:.2f}   (goal 0.9)")


async def play(benchmark: Minimax, samples: Sequence[Sample], engine: Any, *, at_once: bool) -> None:
    """Plays sessions, all at once or one after the other."""
    model = Base(name="base", source=ModelSource("base"), sampling=SAMPLING)
    actor = Actor(model, engine, 1, {"user": Actor(model, engine, 1)})
    if at_once:
        await asyncio.gather(*(benchmark.episode(sample, actor) for sample in samples))
        return
    for sample in samples:
        await benchmark.episode(sample, actor)


def hit_rate(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Share of prompt tokens that were in the prefix cache."""
    read = after["prompt_tokens"] - before["prompt_tokens"]
    return (after["cached_tokens"] - before["cached_tokens"]) / read if read else 0.0


def variations(folder: Path, count: int) -> Path:
    """The embedded seeds, told again with a number in the setting, until there are enough; half of each language."""
    for language in ("en", "zh"):
        text = resource(f"tasks/minimax/embedded/{language}/seeds.jsonl").read_text(encoding="utf-8")
        seeds = [json.loads(line) for line in text.splitlines()]
        made = [
            {
                **seeds[number % len(seeds)],
                "id": f"{language}_dialogue_{number + 1:04d}",
                "ai_setting": f"({number}) {seeds[number % len(seeds)]['ai_setting']}",
            }
            for number in range(-(-count // 2))
        ]
        (folder / language).mkdir(exist_ok=True)
        lines = "".join(json.dumps(seed, ensure_ascii=False) + "\n" for seed in made)
        (folder / language / "seeds.jsonl").write_text(lines, encoding="utf-8")
    return folder


def overhead(sessions: int, messages: int) -> dict[str, float]:
    """Plays sessions with a no-op engine, then again with everything stored."""
    from roleeval.config import RunConfig, RunOptions
    from roleeval.stages.run import run
    from roleeval.stages.runtime import Runtime

    rates = []
    with tempfile.TemporaryDirectory() as folder:
        data = variations(Path(folder), sessions)
        model = Base(name="noop", source=ModelSource("noop"), sampling=SAMPLING)
        for _ in range(2):
            runtime = Runtime()
            config = RunConfig(
                benchmark=Minimax(messages=messages, runs=1, data_dir=str(data), user=Helper(model)),
                model=model,
                engine=NoopOptions(),
                metrics={},
                options=RunOptions(results_dir=str(Path(folder, "results")), progress="quiet"),
            )
            begin = time.perf_counter()
            runtime.execute(lambda: run(config, runtime))  # noqa: B023
            rates.append(sessions * messages / (time.perf_counter() - begin))
            runtime.close()
            for manifest in Path(folder).rglob("manifest.json"):
                manifest.unlink()
    return {"rate": rates[0], "again": rates[1], "peak_mb": peak_mb()}


@dataclass(frozen=True)
class NoopOptions:
    def build(self, source: Any, lora: Any) -> Any:
        return Noop()


class Noop:
    """Answers at once, with another number each time."""

    likelihoods = False
    fingerprint = "noop"

    def check(self, adapter: Any) -> None: ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        return Completion(ANSWER.format(request.seed), "stop", 100, 24)

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "noop"}


if __name__ == "__main__":
    main()
