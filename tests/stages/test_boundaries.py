"""One reply costs one answer: whatever comes from an engine, a judge or a metric, the run ends and says what failed."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge_stubs import scripted
from judged import points
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import ConfigError, EngineError, ResultError
from roleeval.judging import Case, Question, RubricJudge
from roleeval.metrics import AnswerLength, DistinctPerRole, MetricInfo, RougePltrdy
from roleeval.models import Base
from roleeval.results import read_judgements, read_transcripts
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Completion, Request, Sample, Score, Transcript

HALF = "By the powers \ud83d"
HUGE = json.dumps({n: {"quote": "dear", "reason": "", "score": 3} for n in ("character", "knowledge", "engagement")})
HUGE = HUGE.replace("3", "9" * 400, 1)

LIMIT = 6


@dataclass(frozen=True)
class WildOptions:
    """`strange` names an entry of STRANGE: what the engine answers, or raises, to every third question."""

    strange: str
    every: int = 3

    def build(self, source: ModelSource, lora: LoraNeed) -> "WildEngine":
        return WildEngine(self, source)


class WildEngine(StubEngine):
    def __init__(self, options: WildOptions, source: ModelSource) -> None:
        super().__init__(StubOptions(), source, LoraNeed())
        self.wild = options

    async def generate(self, request: Request) -> Completion:
        usual = await super().generate(request)
        if self.calls % self.wild.every:
            return usual
        strange = STRANGE[self.wild.strange]
        if isinstance(strange, BaseException):
            raise strange
        return replace(usual, **strange) if isinstance(strange, Mapping) else strange


def config(folder: Path, engine: Any, **changes: Any) -> RunConfig:
    options = {"limit": LIMIT, "fail_on_error": 1.0, **changes.pop("options", {})}
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine,
        metrics=changes.pop("metrics", {"length": AnswerLength(), "rouge": RougePltrdy(), "d": DistinctPerRole()}),
        options=RunOptions(results_dir=str(folder), progress="quiet", **options),
        **changes,
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()

    async def in_time() -> RunOutcome:
        async with asyncio.timeout(60):
            return await run(config, runtime)

    try:
        return runtime.execute(in_time)
    finally:
        runtime.close()


STRANGE: dict[str, Any] = {
    "half a surrogate pair": {"text": HALF},
    "half a pair in the reasoning": {"reasoning": "\udc00"},
    "a token count of 2^64": {"prompt_tokens": 2**64},
    "tokens that are no number": {"output_tokens": object()},
    "no text": {"text": None},
    "a list": {"text": ["part"]},
    "nothing": None,
    "a programming error": ZeroDivisionError("division by zero"),
    "too deep": RecursionError("maximum recursion depth exceeded"),
    "unicode": UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"),
    "an error with an odd text": OSError(28, "No space left on device"),
}


@pytest.mark.parametrize("kind", [*STRANGE])
def test_a_strange_reply_costs_one_answer(tmp_path: Path, kind: str) -> None:
    folder = execute(config(tmp_path, WildOptions(kind))).folder
    found = [transcript for _, transcript in read_transcripts(folder.transcripts)]
    assert [transcript.status for transcript in found].count("ok") == LIMIT - LIMIT // 3
    failed = [transcript for transcript in found if transcript.status == "engine_failed"]
    assert len(failed) == LIMIT // 3
    assert all(transcript.turns[-1].error for transcript in failed)
    manifest = folder.manifest()
    assert manifest is not None
    assert manifest.failed_samples == LIMIT // 3


def test_strange_replies_are_counted_under_fail_on_error(tmp_path: Path) -> None:
    engine = WildOptions("half a surrogate pair")
    with pytest.raises(EngineError, match=r"fail_on_error=0.05 .*half of a surrogate pair"):
        execute(config(tmp_path, engine, options={"fail_on_error": 0.05}))


def test_a_programming_error_has_its_traceback_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "roleeval")
    execute(config(tmp_path, WildOptions("a programming error")))
    record = next(record for record in caplog.records if record.exc_info)
    assert record.levelno == logging.DEBUG  # for the file, not for the terminal
    assert "Traceback" in caplog.text
    assert "in generate" in caplog.text


SCORED: dict[str, Any] = {
    "error": IndexError("list index out of range"),
    "nan": float("nan"),
    "inf": float("inf"),
    "text": "3",
    "complex": 1j,
}


@dataclass(frozen=True)
class Fragile:
    """A metric that cannot take one kind of answer: `what` names an entry of SCORED."""

    what: str

    def infos(self) -> Sequence[MetricInfo]:
        return (MetricInfo("fragile", label="Fragile", unit="number", recipe="none"),)

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        if sample.index == 1 and transcript.status == "ok":
            found = SCORED[self.what]
            if isinstance(found, Exception):
                raise found
            return [Score("fragile", found)]
        return [Score("fragile", 1.0 if transcript.status == "ok" else None, transcript.status)]


@pytest.mark.parametrize("what", SCORED)
def test_a_metric_that_fails_on_one_sample_has_one_missing_value(tmp_path: Path, what: str) -> None:
    folder = execute(config(tmp_path, StubOptions(), metrics={"f": Fragile(what), "length": AnswerLength()})).folder
    summary = folder.summary()
    assert summary is not None
    entry = summary["metrics"]["fragile"]["eng_general"]
    assert (entry["n"], entry["missing"]) == (LIMIT - 1, 1)
    assert entry["statuses"] == {"metric_failed": 1, "ok": LIMIT - 1}
    with pytest.raises(ResultError, match=r"1 of 6 samples could not be scored.*metrics.f could not score"):
        execute(config(tmp_path / "b", StubOptions(), metrics={"f": Fragile(what)}, options={"fail_on_error": 0.05}))


def judge(script: Any, **options: Any) -> RubricJudge:
    return RubricJudge(engine=scripted("wild", script), source=ModelSource("judge"), attempts=2, **options)


JUDGE_REPLIES: dict[str, Any] = {
    "a score of 400 digits": HUGE,
    "half a surrogate pair": points(3, "dear").replace('"reason": ""', '"reason": "\ud83d"'),
    "half a pair as JSON writes it": points(3, "dear").replace('"reason": ""', '"reason": "\\ud83d"'),
    "nested": "[" * 100_000,
    "a programming error": ZeroDivisionError("division by zero"),
}


@pytest.mark.parametrize("kind", JUDGE_REPLIES)
@pytest.mark.parametrize("together", [True, False])
def test_a_judges_strange_reply_costs_one_judgement(tmp_path: Path, kind: str, together: bool) -> None:
    """Also where it judges while episodes are played: its errors are its own, and the run can be finished."""
    asked: list[str] = []

    def script(request: Request) -> Any:
        assert request.messages is not None
        question = request.messages[-1].content
        if not asked or asked[0] == question:  # one sample, in all attempts and both stages
            asked.append(question)
            return JUDGE_REPLIES[kind]
        return points(4, "dear")

    base = config(tmp_path, StubOptions())
    if not together:
        execute(base)
        base = replace(base, options=replace(base.options, stages=("judge",)))
    else:
        base = replace(base, options=replace(base.options, stages=("generate", "score", "judge")))
    folder = execute(replace(base, judge=judge(script))).folder
    kept = list(read_judgements(folder.judgements))
    assert [judgement.status for judgement in kept].count("judge_failed") == 1
    assert len(kept) == LIMIT


class Forgetful(RubricJudge):
    """A judge of somebody's own with two mistakes in it."""

    def questions(self, case: Case) -> list[Question]:
        if case.sample.index == 1:
            raise KeyError("role")
        return super().questions(case)

    def scores(self, judged: Any) -> Any:
        if any(case.sample.index == 2 for case, _ in judged):
            raise IndexError("list index out of range")
        return super().scores(judged)


def test_a_judges_own_mistakes_cost_their_samples(tmp_path: Path) -> None:
    mistaken = Forgetful(engine=scripted("wild", lambda _: points(4, "dear")), source=ModelSource("judge"))
    base = config(tmp_path, StubOptions(), judge=mistaken)
    folder = execute(replace(base, options=replace(base.options, stages=("generate", "score", "judge")))).folder
    summary = folder.summary()
    assert summary is not None
    (entry,) = [groups["eng_general"] for metric, groups in summary["metrics"].items() if metric.endswith("/overall")]
    assert (entry["n"], entry["missing"]) == (LIMIT - 2, 2)


def test_a_schema_without_a_score_is_refused(tmp_path: Path, root: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    for file in (root / "judges" / "rubric").iterdir():
        (pack / file.name).write_bytes(file.read_bytes())
    (pack / "schema.json").write_text('{"type": "object", "properties": {"quote": {"type": "string"}}}')
    with pytest.raises(ConfigError, match=r"schema.json: a verdict needs a score"):
        judge(lambda _: "", pack=str(pack)).infos(())


TEXTS = st.text(alphabet=st.characters(), max_size=60) | st.text(alphabet="\ud83d\udc00\x00{}[]\"'\\<>/think`:,.1e9 ")
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS | st.none() | st.integers() | st.binary(max_size=4),
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", "error", "abort", None]),
        "prompt_tokens": st.integers() | st.floats() | st.none(),
        "output_tokens": st.integers(min_value=-(2**70), max_value=2**70),
        "reasoning": TEXTS | st.none(),
    },
)


@given(strange=ANSWERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_reply_ends_a_run(tmp_path_factory: pytest.TempPathFactory, strange: dict[str, Any]) -> None:
    STRANGE["drawn"] = strange
    folder = execute(config(tmp_path_factory.mktemp("fuzz"), WildOptions("drawn"), options={"limit": 3})).folder
    assert len(list(read_transcripts(folder.transcripts))) == 3


@given(reply=TEXTS | st.builds(lambda text: points(3, "dear").replace("dear", text), TEXTS))
@settings(max_examples=60, deadline=None)
def test_no_judges_reply_ends_a_question(reply: str) -> None:
    from judged import case, put

    (judgement,) = put(judge(lambda _: reply), lambda _: reply, case("My dear fellow."))
    assert judgement.status in ("ok", "judge_failed")
