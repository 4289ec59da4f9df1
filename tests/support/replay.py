"""A roleeval run whose answers are written here, and an lm-eval model that gives the same answers again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import EngineError
from roleeval.hashing import digest
from roleeval.metrics import default_metrics
from roleeval.models import Base
from roleeval.results import ResultFolder
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from roleeval.types import AdapterRef, Completion, FinishReason, Request, Sample

FAILS = "the engine failed"


def answer(sample: Sample) -> tuple[str, FinishReason]:
    """An answer with something to get wrong in it; which kind is decided by the row's position."""
    reference = next(iter(sample.references.values()))[-1]
    kinds: list[tuple[str, FinishReason]] = [
        (reference, "stop"),
        (f"  {reference}\n\nAnd so, dear friend, I say no more. \n\n{reference[: len(reference) // 2]}", "stop"),
        (f"<think>What would {sample.persona.role} say? {reference}</think>\n\n{reference[::-1]}", "stop"),
        (f"no opening tag {reference} </think> first </think>{reference[3:]}. ", "stop"),
        (f"<think>{reference} and on and on", "length"),
        ("", "stop"),
        ("...", "stop"),
        ("As an AI language model, I cannot have a favourite. 作为一个人工智能语言模型，我没有感情。", "stop"),
        ("I'm sorry, but I can't help with that.", "stop"),
        (f"{reference} {sample.question} 我不知道 Don't ask. Mr. X. said so . . {{{{role}}}}", "length"),
    ]
    return kinds[int(sample.id.rpartition("/")[2]) % len(kinds)]


@dataclass(frozen=True)
class Script:
    """Options of an engine that answers from "system|question" -> completion, or fails."""

    lines: Mapping[str, tuple[str, FinishReason]] = field(hash=False)

    def build(self, source: ModelSource, lora: LoraNeed) -> "ScriptEngine":
        return ScriptEngine(self, source)


class ScriptEngine:
    likelihoods = False

    def __init__(self, script: Script, source: ModelSource) -> None:
        self.script, self.source = script, source

    @property
    def fingerprint(self) -> str:
        return digest("script", sorted(self.script.lines.items()))

    def check(self, adapter: AdapterRef) -> None: ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        assert request.messages is not None
        system, user = request.messages
        text, finish = self.script.lines[f"{system.content}|{user.content}"]
        if text == FAILS:
            raise EngineError(text)
        return Completion(text, finish, 10, 20)

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "script"}


def play(
    benchmark: RoleBench, results: Path, *, failing: str = "", stages: Any = ("generate", "score")
) -> ResultFolder:
    """Runs a benchmark with the answers above; the sample whose id is `failing` has an engine that fails."""
    lines: dict[str, tuple[str, FinishReason]] = {}
    for sample in benchmark.samples(limit=None):
        key = f"{benchmark.system_prompt(sample.persona)}|{sample.question}"
        lines[key] = (FAILS, "error") if sample.id == failing else answer(sample)
    config = RunConfig(
        benchmark=benchmark,
        model=Base(name="script", source=ModelSource("script-model")),
        engine=Script(lines),
        metrics={str(i): metric for i, metric in enumerate(default_metrics())},
        options=RunOptions(results_dir=str(results), progress="quiet", stages=stages),
    )
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime)).folder
    finally:
        runtime.close()


def replay_lm(texts: Mapping[str, str]) -> Any:
    """An lm-eval model that answers a row by its id, and keeps the requests. Its chat template is JSON."""
    from lm_eval.api.model import LM

    class Replay(LM):
        tokenizer_name = "json"

        def __init__(self) -> None:
            super().__init__()
            self.requests: list[Any] = []

        def generate_until(self, requests: list[Any]) -> list[str]:
            self.requests += requests
            return [texts[request.doc["id"]] for request in requests]

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            assert add_generation_prompt
            return json.dumps(chat_history, ensure_ascii=False)

        def loglikelihood(self, requests: list[Any]) -> Any:
            raise AssertionError("these tasks only generate")

        loglikelihood_rolling = loglikelihood

    return Replay()


def evaluate(lm: Any, tasks: list[str], include_path: Path, **options: Any) -> Any:
    """Stock lm-eval on our tasks."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(include_path), include_defaults=False)
    return simple_evaluate(lm, tasks=tasks, task_manager=manager, apply_chat_template=True, **options)
