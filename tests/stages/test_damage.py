"""A finished folder is checked before it is used, and the command that made it mends it from the store."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import scripted
from judged import points, winner
from roleeval_stubs import StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.judging import PairwiseJudge, RubricJudge
from roleeval.metrics import AnswerLength
from roleeval.models import Base
from roleeval.report.found.collect import collect
from roleeval.results import ResultFolder
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime

ALL = ("generate", "score", "judge")
FILES = ("transcripts.jsonl", "judgements.jsonl", "scores.parquet", "summary.json")


def config(results: Path, name: str = "stub", **options: Any) -> RunConfig:
    judge = RubricJudge(engine=scripted("sound", lambda _: points(4, "dear")), source=ModelSource("judge"))
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name=name, source=ModelSource(f"{name}-model")),
        engine=StubOptions(journal=str(results.parent / "journal")),
        metrics={"length": AnswerLength()},
        judge=judge,
        options=RunOptions(results_dir=str(results), progress="quiet", **{"limit": 8, "stages": ALL, **options}),
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()


def contents(folder: ResultFolder) -> dict[str, bytes]:
    return {name: (folder.path / name).read_bytes() for name in FILES}


def calls(results: Path) -> int:
    return len((results.parent / "journal").read_text().split())


def shortened(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:5]))


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def junk(file: Path) -> None:
    file.write_bytes(b"junk" * 100)


def changed(file: Path) -> None:
    """The same size, another letter."""
    content = file.read_bytes()
    file.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "shortened": shortened,
    "torn": torn,
    "junk": junk,
    "changed": changed,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_the_same_command_mends_what_was_damaged(
    tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    results = tmp_path / "results"
    folder = execute(config(results)).folder
    before, asked = contents(folder), calls(results)
    DAMAGE[damage](folder.path / name)
    assert [skipped.path for skipped in collect([results]).not_shown] == (
        [folder.path] if name == "summary.json" or (name == "scores.parquet" and damage != "changed") else []
    )
    outcome = execute(config(results))
    assert not outcome.skipped
    assert f"damaged ({name}" in caplog.text
    assert contents(folder) == before
    assert calls(results) == asked  # all of it came from the store
    assert execute(config(results)).skipped


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("stages", [("score",), ("judge",), ("score", "judge")])
def test_damaged_answers_are_never_scored_nor_judged(tmp_path: Path, damage: str, stages: tuple[str, ...]) -> None:
    folder = execute(config(tmp_path / "results")).folder
    DAMAGE[damage](folder.transcripts)
    scores = folder.scores.read_bytes()
    with pytest.raises(ResultError, match=r"transcripts\.jsonl: .*stages=\[generate,score\]"):
        execute(config(tmp_path / "results", stages=stages))
    assert folder.scores.read_bytes() == scores


@pytest.mark.parametrize("lost", ["summary.json", "scores.parquet", "judgements.jsonl"])
def test_judging_alone_a_damaged_folder_keeps_its_metrics(tmp_path: Path, lost: str) -> None:
    folder = execute(config(tmp_path / "results")).folder
    before = contents(folder)
    (folder.path / lost).unlink()
    execute(config(tmp_path / "results", stages=("judge",)))
    assert contents(folder) == before


def test_what_cannot_be_mended_is_named(tmp_path: Path) -> None:
    folder = execute(config(tmp_path / "results")).folder
    (folder.path / "judgements.jsonl").unlink()
    (folder.path / "judgements.jsonl").mkdir()
    with pytest.raises(ResultError, match=r"judgements\.jsonl: damaged, and cannot be removed .* remove it and run"):
        execute(config(tmp_path / "results"))


def test_a_folder_without_hashes_is_checked_by_its_lines(tmp_path: Path) -> None:
    """As an earlier version wrote it."""
    folder = execute(config(tmp_path / "results")).folder
    file = folder.path / "manifest.json"
    data = json.loads(file.read_text())
    del data["files"]
    file.write_text(json.dumps(data))
    assert execute(config(tmp_path / "results")).skipped
    shortened(folder.transcripts)
    with pytest.raises(ResultError, match="holds 5 of 8 samples"):
        execute(config(tmp_path / "results", stages=("score",)))
    assert not execute(config(tmp_path / "results")).skipped


def test_the_way_out_that_a_damaged_manifest_names_works(tmp_path: Path) -> None:
    folder = execute(config(tmp_path / "results")).folder
    before = contents(folder)
    torn(folder.path / "manifest.json")
    with pytest.raises(ResultError, match=r"manifest\.json: .*; delete the file and run the same command again"):
        execute(config(tmp_path / "results"))
    (folder.path / "manifest.json").unlink()
    execute(config(tmp_path / "results"))
    assert contents(folder) == before


def test_a_judge_that_is_killed_between_its_files_costs_no_other_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    folder = execute(config(results)).folder
    first = config(results)
    second = replace(first, judge=RubricJudge(name="other", engine=first.judge.engine, source=ModelSource("judge")))  # type: ignore[union-attr]

    def killed(self: ResultFolder, manifest: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ResultFolder, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(second)
    execute(second)
    summary, manifest = folder.summary(), folder.manifest()
    assert summary is not None
    assert manifest is not None
    judged = {name.partition("@")[0] for name in summary["metrics"] if name.startswith("judge/")}
    assert judged == {"judge/rubric", "judge/other"}
    assert len(manifest.judges) == 2


def compared(results: Path, name: str) -> RunConfig:
    judge = PairwiseJudge(engine=scripted("pairs", lambda _: winner("A", "B")), source=ModelSource("judge"))
    return replace(config(results, name), judge=judge)


def test_a_damaged_sibling_and_a_copy_do_not_stop_comparing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = tmp_path / "results"
    runs = {
        name: execute(replace(config(results, name), judge=None)).folder for name in ("one", "two", "three", "four")
    }
    shortened(runs["three"].transcripts)
    (runs["four"].path / "manifest.json").write_text("{")
    for name in ("one", "two"):
        copy = runs[name].path.with_name(f"{runs[name].path.name}-copy")
        shutil.copytree(runs[name].path, copy)
    caplog.set_level(logging.WARNING)
    execute(compared(results, "one"))
    manifest = runs["one"].manifest()
    assert manifest is not None
    (record,) = manifest.judge_records.values()
    assert record.opponents == (runs["two"].run_id,)
    assert "transcripts.jsonl" in caplog.text
    assert "manifest.json" in caplog.text
    assert caplog.text.count("a copy of a run") == 2


def test_part_files_of_killed_runs_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    folder = execute(config(tmp_path / "results")).folder.path
    for name in (".transcripts.jsonl.123.part", ".transcripts.jsonl.123.unordered", ".scores.parquet.9.part"):
        (folder / name).write_bytes(b"half")
    (folder / "notes.part").write_text("mine")
    assert execute(config(tmp_path / "results")).skipped
    assert {file.name for file in folder.iterdir()} == {*FILES, "config.yaml", "manifest.json", "notes.part"}
    assert not [file for file in folder.parent.iterdir() if file != folder]  # no lock is left


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from dataclasses import replace
from tests.stages.test_damage import config, execute
from roleeval_stubs import StubOptions
import logging
logging.basicConfig()
results = Path(sys.argv[1])
base = config(results)
judge = replace(base.judge, name=sys.argv[2])
engine = StubOptions(delay_s=0.3, journal=base.engine.journal)
print(execute(replace(base, judge=judge, engine=engine, options=replace(base.options, max_in_flight=2))).skipped)
"""


@pytest.mark.parametrize("judges", [("rubric", "rubric"), ("rubric", "other")])
def test_two_processes_on_one_run_lose_and_repeat_nothing(tmp_path: Path, root: Path, judges: tuple[str, str]) -> None:
    results = tmp_path / "results"
    script = SCRIPT.format(paths=[str(root), str(root / "tests" / "support")])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(results), judge],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
        for judge in judges
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert calls(results) == 8
    (found,) = collect([results]).runs
    columns = {name.partition("@")[0].removeprefix("judge/") for name in found.entries if name.startswith("judge/")}
    assert columns == set(judges)
    assert any("works on this run; waiting" in errors for _, errors in said)
