"""Outgrowing the context is an outcome of its own: kept, counted and shown, and no fault of the engine."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import scripted
from judged import points
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import ContextOverflowError, EngineError
from roleeval.judging import RubricJudge
from roleeval.metrics import AnswerLength, EmptyRate
from roleeval.models import Base
from roleeval.results import read_judgements, read_transcripts
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Completion, Request


@dataclass(frozen=True)
class NarrowOptions:
    """Questions longer than `context` characters do not fit."""

    context: int = 30

    def build(self, source: ModelSource, lora: LoraNeed) -> "NarrowEngine":
        return NarrowEngine(self, source)


class NarrowEngine(StubEngine):
    def __init__(self, options: NarrowOptions, source: ModelSource) -> None:
        super().__init__(StubOptions(), source, LoraNeed())
        self.context = options.context

    async def generate(self, request: Request) -> Completion:
        assert request.messages is not None
        if len(request.messages[-1].content) > self.context:
            raise ContextOverflowError("it is too long", longer="max_model_len", shorter=True)
        return await super().generate(request)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "stub", "options": {"context": self.context}}


def config(folder: Path, engine: Any, **changes: Any) -> RunConfig:
    options = {"limit": 20, "fail_on_error": 0.0, **changes.pop("options", {})}
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine,
        metrics={"length": AnswerLength(), "empty": EmptyRate()},
        options=RunOptions(results_dir=str(folder), progress="quiet", **options),
        **changes,
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()


def test_what_outgrows_the_context_is_counted_and_missing_and_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "roleeval"):
        outcome = execute(config(tmp_path, NarrowOptions()))
    manifest, summary = outcome.folder.manifest(), outcome.folder.summary()
    assert manifest is not None and summary is not None
    outgrown = manifest.outgrown_samples
    assert 0 < outgrown < 20 and manifest.samples.statuses == {"context_overflow": outgrown, "ok": 20 - outgrown}
    assert (manifest.failed_samples, outcome.failed_samples) == (0, 0)
    entry = summary["metrics"]["answer_words"]["eng_general"]
    assert (entry["n"], entry["missing"], entry["statuses"]["context_overflow"]) == (20 - outgrown, outgrown, outgrown)
    errors = {t.turns[0].error for _, t in read_transcripts(outcome.folder.transcripts) if t.status != "ok"}
    assert errors == {"it is too long; raise engine.max_model_len or lower model.sampling.max_tokens"}
    assert f"{outgrown} of 20 samples outgrew the model's context" in caplog.text


def test_the_same_command_leaves_it_and_another_context_asks_again(tmp_path: Path) -> None:
    first = execute(config(tmp_path, NarrowOptions()))
    assert execute(config(tmp_path, NarrowOptions())).skipped
    wider = execute(config(tmp_path, NarrowOptions(context=10_000)))
    manifest = wider.folder.manifest()
    assert manifest is not None and wider.folder == first.folder
    assert manifest.samples.statuses == {"ok": 20} and execute(config(tmp_path, NarrowOptions())).skipped


@pytest.mark.parametrize(
    ("share", "total", "allowed"),
    [(0.05, 8, 1), (0.05, 1, 0), (0.05, 2, 1), (0.05, 100, 5), (0.0, 100, 0), (1.0, 8, 7), (0.2, 40, 8)],
)
def test_one_failure_is_not_too_many_and_all_are(share: float, total: int, allowed: int) -> None:
    assert RunOptions(fail_on_error=share).failures_allowed(total) == allowed


def test_a_run_in_which_every_call_failed_does_not_say_that_anything_is_kept(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"2 of 20 samples failed.*\. Fix the cause") as raised:
        execute(config(tmp_path, StubOptions(fail="e"), options={"fail_on_error": 0.05, "max_in_flight": 1}))
    assert "kept" not in str(raised.value)


def test_an_answer_too_long_for_a_judge_is_that_answers_outcome(tmp_path: Path) -> None:
    def script(request: Request) -> Any:
        assert request.messages is not None
        too_long = len(request.messages[-1].content) % 2
        return ContextOverflowError("so long", shorter=True) if too_long else points(3, "dear")

    judge = RubricJudge(engine=scripted("narrow", script), source=ModelSource("judge"), attempts=2)
    folder = execute(replace(config(tmp_path, StubOptions()), judge=judge)).folder
    failed = [judgement for judgement in read_judgements(folder.judgements) if judgement.status != "ok"]
    assert 0 < len(failed) < 20 and {len(judgement.attempts) for judgement in failed} == {1}
    assert {judgement.reason for judgement in failed} == {"the question does not fit into the judge's context"}
    assert "lower judge.sampling.max_tokens" in json.dumps([str(judgement.attempts) for judgement in failed])
