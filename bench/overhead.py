"""What roleeval itself costs per sample: a no-op engine, with store, transcripts and (if asked) ROUGE on.

The rival is lm-eval 0.4.13's `simple_evaluate` with a mock model and exact match, in the same run on the same machine.
Each configuration runs in a process of its own, so that its peak memory is its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFERENCE = "The sea is wide, matey, and I have been her captain for {} years by the powers of the deep blue water."
ANSWER = "By the powers, matey, the sea is wide and blue today, and this old captain has sailed her for {} years."
QUESTION = "Question number {}: what do you think of the wide blue sea, captain?"


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(CASES[sys.argv[1]](int(sys.argv[2]))))
        return
    print(f"{'case':<34}{'samples':>9}{'samples/s':>12}{'again/s':>10}{'peak MB':>9}")
    rival = 0.0
    for name, n in (("lm_eval", 5000), ("plain", 5000), ("plain", 50_000), ("rouge", 5000), ("rouge", 50_000)):
        done = subprocess.run(
            [sys.executable, "-m", "bench.overhead", name, str(n)], capture_output=True, text=True, check=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        rival = rival or row["rate"]
        again = f"{row['again']:,.0f}" if "again" in row else "-"
        ratio = "" if name == "lm_eval" else f"   {row['rate'] / rival:.1f}x lm-eval"
        print(f"{LABELS[name]:<34}{n:>9,}{row['rate']:>12,.0f}{again:>10}{row['peak_mb']:>9.0f}{ratio}", flush=True)


def ours(n: int, *, rouge: bool) -> dict[str, float]:
    """Runs n samples, then again with everything stored."""
    from roleeval.config import RunConfig, RunOptions
    from roleeval.engines import ModelSource
    from roleeval.metrics import RougeGoogle, RougePltrdy
    from roleeval.models import Base
    from roleeval.stages.run import run
    from roleeval.stages.runtime import Runtime

    metrics: dict[str, Any] = {"pltrdy": RougePltrdy(), "google": RougeGoogle(stem=False)} if rouge else {}
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            runtime = Runtime()
            config = RunConfig(
                benchmark=Synthetic(n),
                model=Base(name="noop", source=ModelSource("noop")),
                engine=NoopOptions(),
                metrics=metrics,
                options=RunOptions(results_dir=folder, progress="quiet"),
            )
            begin = time.perf_counter()
            runtime.execute(lambda: run(config, runtime))  # noqa: B023
            rates.append(n / (time.perf_counter() - begin))
            runtime.close()
            for manifest in Path(folder).rglob("manifest.json"):
                manifest.unlink()
    return {"rate": rates[0], "again": rates[1], "peak_mb": peak_mb()}


def lm_eval(n: int) -> dict[str, float]:
    """The same samples through lm-eval with a model that answers at once, scored by exact match."""
    import datasets
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Mock(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [ANSWER.format(i) for i, _ in enumerate(requests)]

        def loglikelihood(self, requests: Any) -> Any:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: Any) -> Any:
            raise NotImplementedError

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"question": QUESTION.format(i), "answer": REFERENCE.format(i)} for i in range(n)]
        data = Path(folder, "data.jsonl")
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        Path(folder, "mock.yaml").write_text(
            f"task: mock\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
            "output_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
            "generation_kwargs: {until: ['<END>']}\nmetric_list: [{metric: exact_match}]\n"
        )
        manager = TaskManager(include_path=folder, include_defaults=False)
        begin = time.perf_counter()
        simple_evaluate(Mock(), tasks=["mock"], task_manager=manager, log_samples=True, bootstrap_iters=0)
        return {"rate": n / (time.perf_counter() - begin), "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Synthetic:
    """n one-turn samples over 95 roles."""

    n: int
    name: str = "synthetic"

    def count(self, *, limit: int | None) -> int:
        return self.n

    def samples(self, *, limit: int | None) -> Iterator[Any]:
        from roleeval.types import Persona, Sample

        for i in range(self.n):
            role = f"Captain {i % 95}"
            persona = Persona(role, "A captain who says matey and swears by the powers.", "en")
            references = {"SPE": (REFERENCE.format(i),)}
            yield Sample(f"s/{i:06d}", i, "s", role, persona, QUESTION.format(i), references)

    async def episode(self, sample: Any, actor: Any) -> Any:
        from roleeval.types import Message, Transcript

        system = f"You are {sample.persona.role}. {sample.persona.description}"
        history = (Message("user", sample.question),)
        turn = await actor.say(sample.persona, system, history, sample_id=sample.id, turn=0)
        return Transcript(sample.id, turn.status, (turn,))

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        return {}

    def describe(self) -> Mapping[str, Any]:
        return {"data_hash": "", "prompt_packs": {}}


@dataclass(frozen=True)
class NoopOptions:
    """An engine that answers at once."""

    def build(self, source: Any, lora: Any) -> "NoopEngine":
        return NoopEngine()


class NoopEngine:
    """See NoopOptions."""

    fingerprint = "noop"
    likelihoods = False

    def check(self, adapter: Any) -> None: ...

    async def start(self) -> None: ...

    async def generate(self, request: Any) -> Any:
        from roleeval.types import Completion

        return Completion(ANSWER.format(request.seed), "stop", 60, 24)

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "noop"}


LABELS = {
    "lm_eval": "lm-eval 0.4.13, exact match",
    "plain": "roleeval, store + transcripts",
    "rouge": "roleeval, + both ROUGE recipes",
}
CASES = {
    "lm_eval": lm_eval,
    "plain": lambda n: ours(n, rouge=False),
    "rouge": lambda n: ours(n, rouge=True),
}

if __name__ == "__main__":
    main()
