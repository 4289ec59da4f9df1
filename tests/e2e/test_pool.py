"""A run on a pool, as a person sees it: a worker that is killed, Ctrl-C, and what is left of either."""

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import STUB, Start, files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]
POOL = (*STUB[:2], "engine=pool", "engine@engine.inner=stub", *STUB[3:], "engine.cpus_per_worker=0.25", "limit=25")
TWO = ("engine.min_workers=2", "engine.max_workers=2", "engine.inner.delay_s=0.2", "max_in_flight=16", "progress=quiet")


def of_run(mark: str) -> dict[int, str]:
    """The processes of a run, Ray's included: they have its mark in their environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if f"ROLEEVAL_TEST={mark}".encode() in environment:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


def wait_for_answers(journal: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while not journal.exists() or len(journal.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_worker_and_ctrl_c_leave_no_noise_and_no_processes(tmp_path: Path, start: Start) -> None:
    mark = str(tmp_path)
    options = (*POOL, *TWO, f"engine.inner.journal={tmp_path / 'j.txt'}", "results_dir=r")
    process = start(*options, ROLEEVAL_TEST=mark)
    wait_for_answers(tmp_path / "j.txt", 20)
    worker = next(pid for pid, command in of_run(mark).items() if command.startswith("ray::RayWorker"))
    os.kill(worker, signal.SIGKILL)
    wait_for_answers(tmp_path / "j.txt", 60)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert time.monotonic() - begun < 30
    assert "Run the same command again" in output
    assert "Traceback" not in output
    assert "raylet" not in output
    deadline = time.monotonic() + 20
    while left := of_run(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)

    again = start(*options, ROLEEVAL_TEST=mark)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert "raylet" not in output
    alone = start(*STUB, "limit=25", "progress=quiet", "results_dir=alone")
    assert alone.wait(120) == 0
    assert files(tmp_path / "r") == files(tmp_path / "alone")
