"""A run's memory does not grow with its rows, nor with how often a long persona is asked."""

import json
import tracemalloc
from pathlib import Path

import pytest
from roleeval_stubs import StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.metrics import AnswerLength
from roleeval.models import Base
from roleeval.results import ResultFolder, read_transcripts
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime


def peak(folder: Path, rows: int, *, persona: int, in_flight: int) -> int:
    """Bytes that a run of so many rows holds at most; every part of it has run before."""
    data = folder / "data"
    split = data / "rolebench-eng" / "instruction-generalization" / "role_specific"
    split.mkdir(parents=True)
    lines = [json.dumps({"role": "Ada", "question": f"Who? {n}", "generated": ["I am."]}) for n in range(rows)]
    (split / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (data / "profiles-eng").mkdir()
    (data / "profiles-eng" / "desc.json").write_text(json.dumps({"Ada": "kind " * (persona // 5)}), encoding="utf-8")
    config = RunConfig(
        benchmark=RoleBench(data_dir=str(data), splits=("eng_specific",)),
        model=Base(name="m", source=ModelSource("base")),
        engine=StubOptions(),
        metrics={"length": AnswerLength()},
        options=RunOptions(results_dir=str(folder), progress="quiet", max_in_flight=in_flight),
        judge=None,
    )
    runtime = Runtime()
    tracemalloc.start()
    try:
        outcome = runtime.execute(lambda: run(config, runtime))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        runtime.close()
        assert outcome.failed_samples == 0


@pytest.fixture(autouse=True)
def warm(tmp_path: Path) -> None:
    peak(tmp_path / "warm", 8, persona=10, in_flight=4)


def test_a_long_persona_is_held_once(tmp_path: Path) -> None:
    few = peak(tmp_path / "few", 4, persona=500_000, in_flight=64)
    many = peak(tmp_path / "many", 16, persona=500_000, in_flight=64)
    assert many < 1.5 * few
    (folder,) = (tmp_path / "many" / "rolebench" / "m").glob("seed*")
    personas = [sample.persona for sample, _ in read_transcripts(ResultFolder(folder).transcripts)]
    assert len(personas) == 16 and len(set(map(id, personas))) == 1


def test_rows_are_streamed(tmp_path: Path) -> None:
    few = peak(tmp_path / "few", 150, persona=2000, in_flight=16)
    many = peak(tmp_path / "many", 600, persona=2000, in_flight=16)
    assert many < 1.5 * few
