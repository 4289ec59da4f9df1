"""A run may end at any instant: the same command again ends as an uninterrupted run does, and asks nothing twice."""

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import STUB, Start, files, starter

RUN = (*STUB, "progress=quiet", "max_in_flight=8", "engine.delay_s=0.04", "limit=60")


SESSIONS = ("benchmark=minimax", "benchmark.messages=24", "benchmark.runs=1", "metrics=minimax")
# What is killed: options, kills at most and at least, seconds to the kill, and whether they begin with the first call.
KILLED = {
    "answers": ((), 14, 10, (0.4, 2.2), False),
    "sessions": ((*SESSIONS, "model.sampling.temperature=0.7"), 4, 3, (0.05, 0.6), True),
}


@pytest.mark.parametrize("what", KILLED)
def test_killed_at_random_moments_it_ends_as_if_never_killed(tmp_path: Path, start: Start, what: str) -> None:
    options, most, least, moments, from_first_call = KILLED[what]
    command = (*RUN, *options)
    whole = start(*command, "results_dir=whole", "engine.journal=whole.txt")
    assert whole.wait(120) == 0, whole.stdout.read() if whole.stdout else ""
    rng = random.Random(20)
    kills, code, journal = 0, None, tmp_path / "killed.txt"
    while code != 0:
        before = journal.stat().st_size if journal.exists() else 0
        process = start(*command, "results_dir=killed", "engine.journal=killed.txt")
        while from_first_call and process.poll() is None and (not journal.exists() or journal.stat().st_size == before):
            time.sleep(0.01)
        try:
            # past start-up, so that most kills fall into generating, writing and scoring; the last rounds may finish
            code = process.wait(rng.uniform(*moments) if kills < most else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= least
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    asked = journal.read_text().split()
    once = (tmp_path / "whole.txt").read_text().split()
    assert set(asked) == set(once)
    # only calls that were under way when the process died may be asked again: at most 8 a kill
    assert len(asked) - len(set(asked)) <= 8 * kills


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_what_is_done_and_say_how_to_go_on(
    tmp_path: Path, start: Start, number: signal.Signals, code: int
) -> None:
    process = start(*RUN, "results_dir=r", "engine.journal=j.txt")
    deadline = time.monotonic() + 60
    while not (tmp_path / "j.txt").exists() or len((tmp_path / "j.txt").read_text().split()) < 40:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert "Run the same command again" in output and "Traceback" not in output
    assert not list((tmp_path / "r").rglob("manifest.json"))
    before = len((tmp_path / "j.txt").read_text().split())
    again = start(*RUN, "results_dir=r", "engine.journal=j.txt")
    assert again.wait(60) == 0
    assert len((tmp_path / "j.txt").read_text().split()) - before <= 240 - 40 + 8


def test_sigterm_ends_a_background_job_of_a_script(tmp_path: Path) -> None:
    """A shell without job control has its background jobs ignore SIGINT."""
    start = starter(tmp_path, hears_sigint=False)
    process = start(*RUN, "results_dir=r", "engine.journal=j.txt", "engine.delay_s=0.3")
    deadline = time.monotonic() + 60
    while not (tmp_path / "j.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143, output
    assert "Run the same command again" in output and "Traceback" not in output


def test_an_interrupted_sweep_stops_as_a_whole(tmp_path: Path, start: Start) -> None:
    process = start("-m", *RUN, "results_dir=r", "engine.journal=j.txt", "seed=1,2,3")
    while not (tmp_path / "j.txt").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output


@pytest.mark.parametrize("size", [20_000, 300_000])
def test_a_full_disk_names_the_file_and_the_same_command_goes_on(tmp_path: Path, size: int) -> None:
    """A limit on the size of files stands for the disk: what is too much cannot be written."""
    command = (*RUN, "engine.delay_s=0", "results_dir=r", "limit=200", "log_file=run.log")
    start = starter(tmp_path, largest_file=size)
    process = start(*command)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert re.search(r"r/\S+: (could not be written|database or disk is full)", output), output
    assert "Traceback" not in output
    assert not [file for file in (tmp_path / "r").rglob("*") if file.suffix in (".part", ".unordered", ".lock")]
    again = starter(tmp_path)(*command)
    assert again.wait(120) == 0
    whole = starter(tmp_path)(*command[:-3], "results_dir=whole", *command[-2:])
    assert whole.wait(120) == 0
    assert files(tmp_path / "r") == files(tmp_path / "whole")


def test_a_log_that_cannot_be_written_stops_no_run(tmp_path: Path, start: Start) -> None:
    process = start(*RUN, "engine.delay_s=0", "results_dir=r", "log_file=/dev/full")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert output.count("/dev/full: could not be written") == 1
    assert "Traceback" not in output
    process = start(*RUN, "results_dir=r", "log_file=/proc/none/run.log")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "log_file: /proc/none/run.log could not be written" in output and "Traceback" not in output
