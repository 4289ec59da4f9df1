"""Whole commands in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]
STUB = ("--config-dir", str(ROOT / "tests" / "support" / "conf"), "engine=stub", "model=base", "model.source.path=stub")


def _hear_sigint() -> None:
    """A shell's background jobs ignore SIGINT, and their children with them; the tests may run in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts run_eval.py with arguments; its stderr joins stdout."""
    return starter(tmp_path)


def _ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def starter(folder: Path, *, hears_sigint: bool = True) -> Start:
    """`start` for a folder."""

    def run(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        support = ROOT / "tests" / "support"
        paths = [str(support), str(support / "third_party"), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_eval.py"), *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_sigint if hears_sigint else _ignore_sigint,
        )

    return run


def files(results: Path) -> dict[str, bytes]:
    """What must not differ between runs: transcripts, scores and summaries, by path."""
    names = {"transcripts.jsonl", "scores.parquet", "summary.json"}
    return {str(p.relative_to(results)): p.read_bytes() for p in sorted(results.rglob("*")) if p.name in names}
