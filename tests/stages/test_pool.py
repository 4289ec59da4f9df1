"""Runs on a pool leave the bytes of runs on the engine inside, whatever the number of workers and whoever dies."""

import json
from pathlib import Path
from typing import Any

import pytest
from judged import execute
from local_pool import LocalPoolOptions
from roleeval_stubs import StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import EngineDeadError
from roleeval.metrics import AnswerLength
from roleeval.models import Base


def make(folder: Path, engine: Any) -> RunConfig:
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine,
        metrics={"length": AnswerLength()},
        options=RunOptions(results_dir=str(folder), progress="quiet", limit=40, max_in_flight=16),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("transcripts.jsonl", "scores.parquet", "summary.json")}


@pytest.mark.parametrize(("workers", "kill_after"), [(1, None), (2, None), (4, None), (2, 5)])
def test_the_bytes_are_those_of_the_engine_inside(tmp_path: Path, workers: int, kill_after: int | None) -> None:
    alone = execute(make(tmp_path / "alone", StubOptions(delay_s=0.002)))
    pooled = execute(make(tmp_path / "pool", LocalPoolOptions(StubOptions(delay_s=0.002), workers, kill_after)))
    assert pooled.folder.path.name == alone.folder.path.name
    assert contents(pooled.folder.path) == contents(alone.folder.path)
    engine = json.loads((pooled.folder.path / "manifest.json").read_text())["engine"]
    assert engine["kind"] == "stub"
    assert (
        engine["fingerprint"] == json.loads((alone.folder.path / "manifest.json").read_text())["engine"]["fingerprint"]
    )
    assert engine["pool"]["lost"] == (0 if kill_after is None else 2)
    assert sum(worker["answered"] for worker in engine["pool"]["workers"]) == 40


def test_the_store_of_a_run_in_this_process_answers_the_pools(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    execute(make(tmp_path / "r", StubOptions(journal=str(journal))))
    asked = journal.read_text().count("\n")
    for manifest in (tmp_path / "r").rglob("manifest.json"):
        manifest.unlink()
    execute(make(tmp_path / "r", LocalPoolOptions(StubOptions(journal=str(journal)), 2)))
    assert journal.read_text().count("\n") == asked


def test_when_all_workers_are_gone_the_run_stops_and_the_same_command_resumes(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    dying = StubOptions(journal=str(journal), die_after=7)
    with pytest.raises(EngineDeadError, match=r"all 2 workers are gone: the stub engine died.*it resumes"):
        execute(make(tmp_path / "r", LocalPoolOptions(StubOptions(journal=str(journal), die_after=0), 2)))
    journal.unlink()
    outcome = execute(make(tmp_path / "r", LocalPoolOptions(dying, 2)))  # each life answers seven
    alone = execute(make(tmp_path / "alone", StubOptions()))
    assert contents(outcome.folder.path) == contents(alone.folder.path)
