"""Logs of inspect-ai: what its own reader finds in them, of answers, scenes and sessions."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import site_results as made
from site_texts import scenes, sessions, singles
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.errors import ConfigError, ResultError
from roleeval.integrations.inspect_log import export as module
from roleeval.integrations.inspect_log.export import export

needs_inspect = pytest.mark.usefixtures("inspect_ai")


@pytest.fixture(scope="module")
def inspect_ai() -> Any:
    return pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed (extra inspect)")


def answers() -> Any:
    """Answers of which some failed, were refused or cut off, or have no verdict."""
    yield from list(singles("alpha"))[:20]
    failed = made.single(70, "", status="engine_failed", likeness=None)
    turn = replace(failed.transcript.turns[0], error="connection lost", finish_reason="error")
    yield replace(failed, transcript=replace(failed.transcript, turns=(turn,)), scores=failed.scores[1:], judged=False)
    yield made.single(71, "", status="refused", likeness=0.0)


@pytest.fixture(scope="module")
def logs(inspect_ai: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Benchmark -> its log, read by Inspect."""
    folder = tmp_path_factory.mktemp("inspect")
    made.write(folder / "results", made.Run("answers", "alpha", answers()))
    made.write(folder / "results", made.Run("scenes", "alpha", scenes("alpha"), cluster=("book", "books")))
    made.write(folder / "results", made.Run("sessions", "alpha", sessions("alpha")))
    files, left_out = export([folder / "results"], folder / "logs")
    assert not left_out
    listed = {Path(info.name.removeprefix("file://")) for info in inspect_ai.list_eval_logs(str(folder / "logs"))}
    assert listed == set(files)
    return {log.eval.task: log for log in (inspect_ai.read_eval_log(str(file)) for file in files)}


@needs_inspect
def test_means_have_their_intervals_and_counts(logs: dict[str, Any]) -> None:
    log = logs["answers"]
    assert (log.status, log.eval.model, log.eval.model_generate_config.seed) == ("success", "alpha", 1)
    assert (log.results.total_samples, log.results.completed_samples) == (22, 21)
    first = log.results.scores[0]
    assert first.name == "likeness"
    assert (first.scored_samples, first.unscored_samples) == (20, 2)
    assert set(first.metrics) == {"eng/CUS/mean", "eng/CUS/ci_low", "eng/CUS/ci_high"}
    judge = next(score for score in log.results.scores if score.name.endswith("/overall"))
    assert (judge.scored_samples, judge.unscored_samples) == (20, 1)


@needs_inspect
def test_a_missing_value_is_unscored_and_says_why(logs: dict[str, Any]) -> None:
    samples = {sample.id: sample for sample in logs["answers"].samples}
    missing = samples["eng/00007"].scores["likeness/CUS"]
    assert math.isnan(missing.value) and missing.reason == "engine_failed"
    judged = samples["eng/00009"].scores[f"{made.PREFIX}/overall"]
    assert math.isnan(judged.value) and judged.reason == "grader_failed"
    assert judged.explanation == "judge_failed: no JSON in the reply"
    assert samples["eng/00071"].scores["likeness/CUS"].value == 0.0  # a refusal is an outcome


@needs_inspect
def test_a_failed_sample_has_its_error(logs: dict[str, Any]) -> None:
    errors = {sample.id: sample.error.message for sample in logs["answers"].samples if sample.error}
    assert errors == {"eng/00070": "engine_failed: connection lost"}


@needs_inspect
def test_thoughts_are_reasoning_and_no_text(logs: dict[str, Any]) -> None:
    sample = next(sample for sample in logs["answers"].samples if sample.id == "eng/00013")
    assert [message.role for message in sample.messages] == ["system", "user", "assistant"]
    assert [content.type for content in sample.messages[-1].content] == ["reasoning", "text"]
    assert sample.messages[-1].text == sample.output.completion
    assert "She hides this." not in sample.messages[-1].text
    assert sample.target == ["Reference 13."]


@needs_inspect
def test_a_judges_points_come_with_its_reasons(logs: dict[str, Any]) -> None:
    sample = next(sample for sample in logs["answers"].samples if sample.id == "eng/00013")
    score = sample.scores[f"{made.PREFIX}/overall"]
    assert score.value == 7.0
    assert score.explanation == "> answer 13 is a fine\nIt does not fit. (kind lapse, dimension logic, severity 3)"
    session = next(sample for sample in logs["sessions"].samples if sample.id == "session-1/run_1")
    assert "turn 40: > " in session.scores[f"{made.PREFIX}/overall"].explanation


@needs_inspect
def test_scenes_and_sessions_read_like_conversations(logs: dict[str, Any]) -> None:
    scene = logs["scenes"].samples[0]
    assert [message.role for message in scene.messages] == ["assistant"] * 8 + ["user"]  # nobody hears NSP
    assert scene.messages[0].text == "Sherlock Holmes: alpha, scene 0: line 0 by candle light."
    session = logs["sessions"].samples[0]
    assert [message.role for message in session.messages[:4]] == ["user", "user", "assistant", "user"]
    assert session.messages[2].text.startswith("Nils: “Round 2”")


@needs_inspect
def test_the_command_writes_json_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    run = made.write(tmp_path / "results", made.Run("scenes", "alpha", scenes("alpha")))
    broken = made.write(tmp_path / "results", made.Run("scenes", "beta", scenes("beta")))
    (broken / "transcripts.jsonl").write_text("{", encoding="utf-8")
    done = CliRunner().invoke(
        app, ["export", "inspect", str(tmp_path / "results"), "--out", str(tmp_path / "logs"), "--format", "json"]
    )
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "logs").iterdir()
    assert file.name.endswith("_scenes_alpha_seed1-0123abcd.json")
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert f"not exported: {broken}" in done.output and str(run) not in done.output


def test_what_cannot_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_inspect", lambda: None)
    with pytest.raises(ResultError, match="no finished and scored run"):
        export([tmp_path], tmp_path / "logs")


def test_without_inspect_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    with pytest.raises(ConfigError, match=r"roleeval\[inspect\]"):
        export([tmp_path], tmp_path / "logs")
