"""Runs with a stand-in engine: what a folder holds, what is asked again, and what a failure leaves behind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import LoraNeed, ModelSource
from roleeval.errors import EngineDeadError, EngineError, ResultError
from roleeval.metrics import AnswerLength, DistinctPerRole, EmptyRate, RougePltrdy
from roleeval.models import Base
from roleeval.results import read_transcripts
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime

FILES = {"config.yaml", "manifest.json", "scores.parquet", "summary.json", "transcripts.jsonl"}


def make(folder: Path, engine: StubOptions | None = None, **options: Any) -> RunConfig:
    metrics = {"rouge": RougePltrdy(), "length": AnswerLength(), "empty": EmptyRate(), "distinct": DistinctPerRole()}
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general", "eng_specific")),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine or StubOptions(),
        metrics=metrics,
        options=RunOptions(results_dir=str(folder), progress="quiet", **{"limit": 20, **options}),
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("transcripts.jsonl", "scores.parquet", "summary.json")}


def journal(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@dataclass(frozen=True)
class SlowToLoad(StubOptions):
    def build(self, source: ModelSource, lora: LoraNeed) -> StubEngine:
        return SlowToLoadEngine(self, source, lora)


class SlowToLoadEngine(StubEngine):
    """Says that it took an hour to load."""

    async def start(self) -> None:
        self.loads = 1

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "stub", "load_s": 3600.0 * self.loads}


def test_the_speed_of_a_model_is_without_its_engines_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first run of a sweep loads the engine: its model is not slower than the others."""
    clock = iter([0.0, 3610.0])
    monkeypatch.setattr("roleeval.stages.generate.time.perf_counter", lambda: next(clock))
    session = execute(make(tmp_path, SlowToLoad())).folder.manifest().session
    assert session["seconds"] == 3610 and session["output_tokens_per_s"] == 320 / 10
    assert session["samples_per_s"] == 40 / 10 and session["loading_s"] == 3600


def test_a_run_leaves_a_whole_result_folder(tmp_path: Path) -> None:
    outcome = execute(make(tmp_path))
    folder = outcome.folder.path
    assert {p.name for p in folder.iterdir()} == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["samples"] == {"planned": 40, "statuses": {"ok": 40}}
    assert manifest["tokens"] == {"output": 320, "prompt": 480}
    scores = pd.read_parquet(folder / "scores.parquet")
    per_metric = scores.groupby(["metric", "group"]).size()
    assert per_metric["rougeL_recall_pltrdy_max", "eng_general/CUS"] == 20
    assert per_metric["rougeL_recall_pltrdy_max", "eng_general/RAW"] == 20
    assert per_metric["rougeL_recall_pltrdy_max", "eng_specific/SPE"] == 20
    assert per_metric["distinct1_role", "eng_specific"] == 6


def test_the_summary_agrees_with_the_score_rows(tmp_path: Path) -> None:
    folder = execute(make(tmp_path)).folder
    scores = pd.read_parquet(folder.scores)
    summary = folder.summary()
    assert summary is not None
    for metric, groups in summary["metrics"].items():
        for group, entry in groups.items():
            if "mean_of" in entry:
                parts = [summary["metrics"][metric][g]["mean"] for g in entry["mean_of"]]
                assert entry["mean"] == pytest.approx(sum(parts) / len(parts))
                continue
            rows = scores[(scores.metric == metric) & (scores.group == group)]
            assert entry["mean"] == pytest.approx(rows["value"].mean())
            assert entry["n"] + entry["missing"] == len(rows)
    assert "eng/AVG" in summary["metrics"]["rougeL_recall_pltrdy_max"]


def test_results_do_not_depend_on_scheduling(tmp_path: Path) -> None:
    one = execute(make(tmp_path / "a", StubOptions(delay_s=0.002), max_in_flight=1)).folder.path
    many = execute(make(tmp_path / "b", StubOptions(delay_s=0.002), max_in_flight=64)).folder.path
    assert contents(one) == contents(many)


def test_transcripts_read_back_as_they_were_written(tmp_path: Path) -> None:
    folder = execute(make(tmp_path)).folder
    pairs = list(read_transcripts(folder.transcripts))
    originals = list(RoleBench(splits=("eng_general", "eng_specific")).samples(limit=20))
    assert [sample for sample, _ in pairs] == originals
    assert all(transcript.answer.startswith("Well, my dear fellow") for _, transcript in pairs)


def test_a_run_that_is_done_is_skipped(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    first = execute(make(tmp_path / "r", StubOptions(journal=str(calls))))
    again = execute(make(tmp_path / "r", StubOptions(journal=str(calls))))
    assert (first.skipped, again.skipped) == (False, True)
    assert first.folder == again.folder and len(journal(calls)) == 40


@pytest.mark.parametrize("lost", ["summary.json", "scores.parquet"])
def test_scores_that_were_lost_are_made_again_without_generating(tmp_path: Path, lost: str) -> None:
    calls = tmp_path / "calls"
    config = make(tmp_path / "r", StubOptions(journal=str(calls)))
    folder = execute(config).folder.path
    before = contents(folder)
    (folder / lost).unlink()
    assert not execute(config).skipped
    assert contents(folder) == before and len(journal(calls)) == 40


def test_another_seed_and_another_limit_go_to_folders_of_their_own(tmp_path: Path) -> None:
    folders = {execute(make(tmp_path, **o)).folder.path for o in ({}, {"seed": 2}, {"limit": 10})}
    assert len(folders) == 3


def test_generating_and_scoring_apart_gives_the_same_folder(tmp_path: Path) -> None:
    together = execute(make(tmp_path / "a")).folder.path
    execute(make(tmp_path / "b", stages=("generate",)))
    apart = execute(make(tmp_path / "b", stages=("score",))).folder.path
    assert contents(together) == contents(apart)


def test_new_metrics_are_scored_without_generating_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    config = make(tmp_path / "r", StubOptions(journal=str(calls)))
    execute(config)
    fewer = replace(config, metrics={"empty": EmptyRate()})
    outcome = execute(fewer)
    summary = outcome.folder.summary()
    assert not outcome.skipped and summary is not None
    assert set(summary["metrics"]) == {"empty_rate"} and len(journal(calls)) == 40


def test_scoring_by_run_name_needs_no_engine(tmp_path: Path) -> None:
    execute(make(tmp_path, run_name="mine", stages=("generate",)))
    config = replace(make(tmp_path, run_name="mine", stages=("score",)), engine=None)
    assert execute(config).folder.summary() is not None


def test_scoring_what_was_never_generated_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="generate first"):
        execute(make(tmp_path, stages=("score",)))


def test_a_named_folder_of_another_run_is_not_overwritten(tmp_path: Path) -> None:
    execute(make(tmp_path, run_name="mine"))
    with pytest.raises(ResultError, match=r"another run \(different: seed\)"):
        execute(make(tmp_path, run_name="mine", seed=2))


def test_failed_samples_are_missing_counted_and_asked_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    failing = StubOptions(fail="soup", journal=str(calls))
    outcome = execute(make(tmp_path / "r", failing, fail_on_error=0.2))
    assert outcome.failed_samples == 1
    summary = outcome.folder.summary()
    assert summary is not None
    entry = summary["metrics"]["rougeL_recall_pltrdy_max"]["eng_general/CUS"]
    assert entry["n"] + entry["missing"] == 20 and entry["missing"] == 1
    assert entry["statuses"] == {"engine_failed": 1, "ok": 19}
    before = len(journal(calls))
    healed = execute(make(tmp_path / "r", StubOptions(journal=str(calls))))
    assert healed.failed_samples == 0 and len(journal(calls)) - before == 1
    clean = execute(make(tmp_path / "clean"))
    assert contents(healed.folder.path) == contents(clean.folder.path)


def test_too_many_failures_stop_the_run_and_keep_what_is_done(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"fail_on_error=0.05.*What.*same command again"):
        execute(make(tmp_path / "r", StubOptions(fail="What")))
    assert not list((tmp_path / "r").rglob("manifest.json"))
    calls = tmp_path / "calls"
    execute(make(tmp_path / "r", StubOptions(journal=str(calls))))
    assert len(journal(calls)) < 40


def test_a_dead_engine_stops_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(EngineDeadError):
        execute(make(tmp_path / "r", StubOptions(die_after=10), max_in_flight=4))
    calls = tmp_path / "calls"
    execute(make(tmp_path / "r", StubOptions(journal=str(calls))))
    assert len(journal(calls)) == 30


def test_no_half_files_are_left_behind(tmp_path: Path) -> None:
    with pytest.raises(EngineDeadError):
        execute(make(tmp_path, StubOptions(die_after=10)))
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]
