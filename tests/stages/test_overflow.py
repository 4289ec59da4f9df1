"""Outgrowing the context is an outcome of its own: kept, counted and shown, and no fault of the engine."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import case, cases, write
from judge_stubs import scripted
from judged import points
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.rules import Rules
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.hf import HfOptions
from roleeval.engines.vllm import VllmOptions
from roleeval.errors import ConfigError, ContextOverflowError, EngineError
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


class MeasuringEngine(NarrowEngine):
    """Knows its context before it is loaded, as local engines do."""

    def require_room(self, request: Request) -> None:
        assert request.messages is not None
        if len(request.messages[-1].content) > self.context:
            raise ContextOverflowError("it is too long", longer="max_model_len")

    async def generate(self, request: Request) -> Completion:
        self.require_room(request)  # would be context_overflow too, and after others were asked
        return await super().generate(request)


@dataclass(frozen=True)
class MeasuringOptions(NarrowOptions):
    def build(self, source: ModelSource, lora: LoraNeed) -> MeasuringEngine:
        return MeasuringEngine(self, source)


def test_what_cannot_fit_is_named_before_anything_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"none of the 20 samples fits.*eng_general/.*raise engine.max_model_len"):
        execute(config(tmp_path, MeasuringOptions(context=3)))
    with caplog.at_level(logging.WARNING, "roleeval"):
        folder = execute(config(tmp_path / "b", MeasuringOptions())).folder
    unforeseen = execute(config(tmp_path / "c", NarrowOptions())).folder
    said = [record.message for record in caplog.records]
    assert "samples cannot fit into the model's context and are not asked" in said[0]
    statuses = [[(s.id, t.status) for s, t in read_transcripts(f.transcripts)] for f in (folder, unforeseen)]
    assert statuses[0] == statuses[1]


class LongSystemEngine(StubEngine):
    def __init__(self, source: ModelSource) -> None:
        super().__init__(StubOptions(), source, LoraNeed())

    def require_room(self, request: Request) -> None:
        assert request.messages is not None
        if request.messages[0].content.startswith("You are Cyrus") and "He sleeps" in request.messages[0].content:
            raise ContextOverflowError("the system prompt is too long")

    async def generate(self, request: Request) -> Completion:
        assert request.messages is not None and "He sleeps. He sleeps." not in request.messages[0].content
        return await super().generate(request)


@dataclass(frozen=True)
class LongSystemOptions:
    def build(self, source: ModelSource, lora: LoraNeed) -> LongSystemEngine:
        return LongSystemEngine(source)


def test_a_scene_with_a_prompt_that_cannot_fit_asks_nobody(tmp_path: Path) -> None:
    """The third character's system prompt alone is too long."""
    scenes = [case(0), case(1, character_profiles={"Cyrus": "He sleeps. " * 900})]
    benchmark = Coser(data_file=str(write(tmp_path, scenes)), protocol=Rules(rounds=2))
    asked = replace(config(tmp_path / "r", LongSystemOptions()), benchmark=benchmark, metrics={})
    folder = execute(asked).folder
    found = {s.id: t for s, t in read_transcripts(folder.transcripts)}
    statuses = sorted(transcript.status for transcript in found.values())
    assert statuses == ["context_overflow", "ok"]
    (turn,) = next(t for t in found.values() if t.status != "ok").turns
    assert (turn.speaker, turn.part, turn.error) == ("Cyrus", "model", "the system prompt is too long")


@pytest.mark.parametrize(
    ("who", "template", "sentence"),
    [
        ("model", None, r"^\S*bare has no chat template: set model\.source\.chat_template"),
        ("judge", None, r"^judge rubric: \S*bare has no chat template: set judge\.source\.chat_template"),
        (
            "judge",
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
            "{% for m in messages %}{{ m.content }}{% endfor %}",
            r"^judge rubric: .* no system turns\. Set judge\.source\.fold_system=true",
        ),
    ],
)
@pytest.mark.parametrize("kind", [HfOptions, VllmOptions])
def test_a_model_that_cannot_be_sent_chats_gets_its_sentence_before_any_sample(
    tmp_path: Path, who: str, template: str | None, sentence: str, kind: Any
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (bare / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    (bare / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    if template is not None:
        (bare / "chat_template.jinja").write_text(template)
    journal = tmp_path / "calls"
    asked = config(tmp_path / "r", StubOptions(journal=str(journal)))
    if who == "model":
        asked = replace(asked, engine=kind(), model=Base(name="m", source=ModelSource(str(bare))))
    else:
        asked = replace(asked, judge=RubricJudge(engine=kind(), source=ModelSource(str(bare))))
    with pytest.raises(ConfigError, match=sentence) as raised:
        execute(asked)
    assert "kept" not in str(raised.value) and not journal.exists()


class CrampedEngine(StubEngine):
    """Has memory for a number of tokens, and counts the calls that are in flight together."""

    def __init__(self, options: "CrampedOptions", source: ModelSource) -> None:
        super().__init__(StubOptions(delay_s=0.001), source, LoraNeed())
        self.room, self.wanted = options.room, 0
        self.now = self.most = 0

    def require_room(self, request: Request) -> None: ...

    def hold(self, tokens: int) -> int:
        self.wanted = tokens
        return self.room

    async def generate(self, request: Request) -> Completion:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().generate(request)
        finally:
            self.now -= 1

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "stub", "most": self.most, "wanted": self.wanted}


@dataclass(frozen=True)
class CrampedOptions:
    room: int

    def build(self, source: ModelSource, lora: LoraNeed) -> CrampedEngine:
        return CrampedEngine(self, source)


@pytest.mark.parametrize(("room", "most"), [(100, 1), (3000, 4), (10**6, 6)])
def test_no_more_scenes_are_in_flight_than_the_cache_has_room_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, room: int, most: int
) -> None:
    benchmark = Coser(data_file=str(write(tmp_path, cases(6))), protocol=Rules(rounds=4))
    with caplog.at_level(logging.WARNING, "roleeval"):
        folder = execute(replace(config(tmp_path / "r", CrampedOptions(room)), benchmark=benchmark, metrics={})).folder
    manifest = folder.manifest()
    assert manifest is not None and manifest.samples.statuses == {"ok": 6}
    assert manifest.engine["most"] == most and manifest.engine["wanted"] > 6 * 5 * 4 * 60
    assert (f"max_in_flight is {most} instead of 6" in caplog.text) == (most < 6)


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
