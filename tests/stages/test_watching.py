"""`roleeval watch`: what is seen of runs while they are under way, and that nothing is touched."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import site_results as made
from site_texts import scenes
from typer.testing import CliRunner

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.cli.main import app
from roleeval.hashing import digest
from roleeval.results import ResultFolder
from roleeval.results.folder import TranscriptWriter
from roleeval.stages.watching import Seen, Watch

RUN = "seed1-0123abcd"


@contextmanager
def under_way(results: Path, count: int, *, process: str) -> Iterator[TranscriptWriter]:
    """A run that has played so many samples of RoleBench, four a split, and is still at it."""
    folder = ResultFolder(results / "rolebench" / "alpha" / RUN)
    benchmark = {"_target_": "roleeval.benchmarks.rolebench.RoleBench", "splits": ["eng_general", "zh_general"]}
    folder.write_yaml("config.yaml", {"benchmark": benchmark, "limit": 4})
    (folder.path.parent / f".{digest(RUN)[:16]}.lock").write_text(process, encoding="utf-8")
    with TranscriptWriter(folder.transcripts) as writer:
        for number in range(count):
            add(writer, number)
        yield writer


def add(writer: TranscriptWriter, number: int) -> None:
    episode = made.single(number, "answer", status="engine_failed" if number == 1 else "ok")
    writer.add(episode.sample, episode.transcript)
    writer._stream.flush()


def here() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def test_a_run_under_way_has_its_samples_counted(tmp_path: Path) -> None:
    planned = RoleBench(splits=("eng_general", "zh_general")).count(limit=4)
    with under_way(tmp_path, 3, process=here()) as writer:
        watching = Watch([tmp_path])
        (seen,) = watching.look()
        assert (seen.state, seen.done, seen.planned, seen.failed) == ("running", 3, planned, 1)
        assert seen.tokens_per_s is None  # three may be from the store
        add(writer, 3)
        writer._stream.write(b'{"half a li')
        writer._stream.flush()
        (seen,) = watching.look()
        assert seen.done == 4
        assert seen.tokens_per_s is not None and seen.tokens_per_s > 0


@pytest.mark.parametrize(
    ("process", "state"),
    [
        (f"process 2147483647 on {socket.gethostname()}", "stopped"),
        ("process 1 on elsewhere", "running"),
        ("", "stopped"),
    ],
)
def test_a_run_is_stopped_when_its_process_is_gone(process: str, state: str, tmp_path: Path) -> None:
    with under_way(tmp_path, 2, process=process):
        (seen,) = Watch([tmp_path]).look()
        assert seen.state == state
        assert ("resumes" in seen.note) == (state == "stopped")


def test_finished_and_damaged_runs_and_their_means(tmp_path: Path) -> None:
    made.write(tmp_path, made.Run("scenes", "alpha", scenes("alpha")))
    damaged = made.write(tmp_path, made.Run("scenes", "beta", scenes("beta")))
    (damaged / "summary.json").write_text("{", encoding="utf-8")
    first, second = Watch([tmp_path]).look()
    assert (first.state, first.path) == ("damaged", damaged)
    assert (second.state, second.done, second.planned) == ("finished", 3, 3)
    assert [(mean.group, mean.label, mean.entry.mean) for mean in second.means] == [("eng", "Overall (points)", 10.0)]


def test_a_benchmark_that_cannot_be_built_here_has_an_unknown_number(tmp_path: Path) -> None:
    with under_way(tmp_path, 1, process=here()):
        config = tmp_path / "rolebench" / "alpha" / RUN / "config.yaml"
        config.write_text("benchmark: {_target_: elsewhere.Mine}\nlimit: null\n", encoding="utf-8")
        assert Watch([tmp_path]).look() == [
            Seen(config.parent, "running", done=1, planned=None, failed=0, note=here()),
        ]


def test_the_command_prints_once_and_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")  # a run in one line, however long the machine's name is
    made.write(tmp_path, made.Run("scenes", "alpha", scenes("alpha")))
    with under_way(tmp_path, 3, process=here()):
        before = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in tmp_path.rglob("*")}
        done = CliRunner().invoke(app, ["watch", str(tmp_path), "--once"])
        assert done.exit_code == 0, done.output
        assert {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in tmp_path.rglob("*")} == before
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert lines[1].startswith(f"running rolebench/alpha/{RUN} 3/8, 1 failed ")
    assert lines[2].startswith(f"finished scenes/alpha/{RUN} 3/3 ") and "eng Overall (points) 10 [" in lines[2]


def test_a_runs_name_is_whole_however_long_the_machines_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with under_way(tmp_path, 3, process=f"4194304 on {'node.' * 12}"):
        done = CliRunner().invoke(app, ["watch", str(tmp_path), "--once"])
    assert f"rolebench/alpha/{RUN} " in done.output


def test_an_empty_folder_has_no_runs_yet(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["watch", str(tmp_path), "--once"])
    assert (done.exit_code, done.output) == (0, "No runs yet.\n")
