"""For the tests of judging: samples, cases and judged result folders without any model."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judge_stubs import SCRIPTS, Script, scripted

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine
from roleeval.judging import Answer, Case, Judge, Judgement, ask
from roleeval.metrics import AnswerLength
from roleeval.models import Base
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Persona, Request, Sample, Score, Status

SOURCE = ModelSource("judge-model")


PERSONA = Persona("Sherlock Holmes", "a consulting detective", "en")
SAMPLE = Sample("eng/1", 1, "eng", PERSONA.role, PERSONA, "Who are you?", {"SPE": ("I am Holmes.",)})


def case(*texts: str, statuses: Mapping[int, Status] | None = None) -> Case:
    """Answers of the runs "m0/run", "m1/run", ...; the first is judged."""
    ended = statuses or {}
    answers = {f"m{n}/run": Answer.said(text, status=ended.get(n, "ok")) for n, text in enumerate(texts)}
    return Case(SAMPLE, "m0/run", answers)


def put(judge: Judge, script: Script, *cases: Case) -> list[Judgement]:
    """Puts a judge's questions about cases to a script."""

    async def go() -> list[Judgement]:
        with tempfile.TemporaryDirectory() as folder:
            store = CompletionStore(Path(folder) / "store.sqlite")
            engine = StoredEngine(scripted("unit", script).build(SOURCE, LoraNeed()), store)
            try:
                return [
                    await ask(question, judge, engine, repeat=repeat)
                    for each in cases
                    for question in judge.questions(each)
                    for repeat in range(judge.samples_per_item)
                ]
            finally:
                store.close()

    return asyncio.run(go())


def scores(judge: Judge, case: Case, judgements: list[Judgement]) -> dict[str, Score]:
    """Metric -> row of one case."""
    ((_, rows),) = judge.scores([(case, judgements)])
    return {row.metric: row for row in rows}


def points(score: int, quote: str = "my dear fellow") -> str:
    """A rubric judge's reply."""
    return json.dumps(
        {n: {"quote": quote, "reason": "", "score": score} for n in ("character", "knowledge", "engagement")}
    )


def winner(style: str, knowledge: str, why: str = "") -> str:
    """A pairwise judge's reply."""
    return json.dumps({"style": {"reason": why, "winner": style}, "knowledge": {"reason": why, "winner": knowledge}})


def _voice(model: str) -> Script:
    """A model that answers in its own way, and does not give its name away."""

    def answer(request: Request) -> str:
        assert request.messages is not None
        question = request.messages[-1].content.strip()
        token = hashlib.sha256(f"{model}{question}".encode()).hexdigest()
        return f"Well, my dear fellow, {question[:40]} {token[: 4 + int(token[0], 16)]}"

    return answer


def configured(folder: Path, judge: Any, *, model: str = "stub", limit: int = 10, **options: Any) -> RunConfig:
    """A run of 2 * limit samples with stand-ins for the model and the judge."""
    metrics = {"length": AnswerLength()}
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general", "eng_specific")),
        model=Base(name=model, source=ModelSource(model)),
        engine=options.pop("engine", None) or scripted(f"model {model}", _voice(model)),
        metrics=metrics,
        options=RunOptions(results_dir=str(folder), progress="quiet", limit=limit, **options),
        judge=judge,
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()


def asked(name: str) -> int:
    """How many calls reached a script."""
    return len(SCRIPTS[name].requests)


def entry(outcome: RunOutcome, ending: str, group: str = "eng_general") -> Mapping[str, Any]:
    """The summary's entry of the one metric with this ending."""
    summary = outcome.folder.summary()
    assert summary is not None
    names = [name for name in summary["metrics"] if name.endswith(ending)]
    assert len(names) == 1, names
    found: Mapping[str, Any] = summary["metrics"][names[0]][group]
    return found
