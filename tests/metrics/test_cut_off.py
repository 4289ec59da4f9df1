"""The share of answers that their token limit ended: a length beside which nothing says so is that of the limit."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from judge_stubs import scripted

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.metrics import AnswerLength, CutOffRate
from roleeval.models import Base
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from roleeval.types import Message, Persona, Sample, Status, Transcript, Turn

SAMPLE = Sample("s", 0, "eng", "Holmes", Persona("Holmes", "", "en"), "Who?", {})
TURN = Turn("Holmes", (Message("user", "Who?"),), "I", "I", "", "ok", "stop", 9, 4, "")
CUT = replace(TURN, finish_reason="length")


@pytest.mark.parametrize(
    ("turns", "status", "value"),
    [
        ((TURN,), "ok", 0.0),
        ((CUT,), "ok", 1.0),
        ((replace(CUT, status="truncated_reasoning", visible=""),), "truncated_reasoning", 1.0),
        ((TURN, CUT, replace(CUT, part="environment"), CUT, TURN), "ok", 0.5),
        ((replace(TURN, status="engine_failed", finish_reason="error"),), "engine_failed", None),
        ((CUT, replace(TURN, status="context_overflow", finish_reason="error")), "context_overflow", None),
        ((replace(TURN, messages=(), output_tokens=0),), "ok", None),  # imported: nobody knows how it ended
        ((replace(CUT, prompt_tokens=0, output_tokens=0),), "ok", 1.0),  # an endpoint that counts no tokens
    ],
)
def test_the_share_of_the_models_turns_that_were_cut_off(
    turns: tuple[Turn, ...], status: Status, value: float | None
) -> None:
    (row,) = CutOffRate().score(SAMPLE, Transcript("s", status, turns))
    assert (row.metric, row.value, row.status) == ("cut_off_rate", value, status)
    (info,) = CutOffRate().infos()
    length = AnswerLength().infos()[0]
    assert info.headline and (info.position, length.position) == (31, 30)


@pytest.mark.parametrize("cut", [True, False])
def test_a_budget_that_most_answers_hit_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: bool
) -> None:
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=scripted("cut", lambda request: ("On and on", "length") if cut or not request.seed % 4 else "So."),
        metrics={"cut": CutOffRate()},
        options=RunOptions(results_dir=str(tmp_path), progress="quiet", limit=12),
    )
    runtime = Runtime()
    with caplog.at_level(logging.WARNING, "roleeval"):
        folder = runtime.execute(lambda: run(config, runtime)).folder
    runtime.close()
    summary = folder.summary()
    assert summary is not None
    share = summary["metrics"]["cut_off_rate"]["eng_general"]["mean"]
    assert (share == 1.0) if cut else share < 0.5
    assert ("12 of 12 answers were cut off at model.sampling.max_tokens=256" in caplog.text) == cut


def test_answers_that_were_still_reasoning_are_counted_at_the_end_of_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are scored as empty: few of them move a mean, long before most answers reach the limit."""
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=scripted("plan", lambda request: ("<think>I shall", "length") if not request.seed % 4 else "So."),
        metrics={"cut": CutOffRate()},
        options=RunOptions(results_dir=str(tmp_path), progress="quiet", limit=12),
    )
    runtime = Runtime()
    with caplog.at_level(logging.WARNING, "roleeval"):
        manifest = runtime.execute(lambda: run(config, runtime)).folder.manifest()
    runtime.close()
    assert manifest is not None
    unsaid = manifest.samples.statuses["truncated_reasoning"]
    assert 0 < unsaid < 6
    (said,) = caplog.messages
    assert said.startswith(
        f"{unsaid} of 12 answers were cut off inside their reasoning at model.sampling.max_tokens=256"
    )
