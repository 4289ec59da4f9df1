"""Peak memory of a run by its number of rows, and by the size of a persona: a stand-in engine, RoleBench's files.

    python -m bench.memory                      the table
    python -m bench.memory ROWS BYTES [top]     one case; with top, which lines hold what at the end of generating

Each case runs in a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

from bench.overhead import REFERENCE, NoopOptions

CASES = ((1000, 100), (50_000, 100), (200_000, 100), (50, 100), (50, 5_000_000), (200, 5_000_000))


def main() -> None:
    if len(sys.argv) > 2:
        print(json.dumps(measured(int(sys.argv[1]), int(sys.argv[2]), top=len(sys.argv) > 3)))
        return
    print(f"{'rows':>9}{'persona bytes':>15}{'after imports MB':>18}{'peak MB':>9}{'MB above':>10}")
    for rows, size in CASES:
        command = [sys.executable, "-m", "bench.memory", str(rows), str(size)]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        print(
            f"{rows:>9,}{size:>15,}{row['before']:>18.0f}{row['peak']:>9.0f}{row['peak'] - row['before']:>10.0f}",
            flush=True,
        )


def measured(rows: int, size: int, *, top: bool = False) -> dict[str, float]:
    """Generates and scores a run of so many rows over ten roles, or one with a long description."""
    from roleeval.benchmarks.rolebench import RoleBench
    from roleeval.config import RunConfig, RunOptions
    from roleeval.engines import ModelSource
    from roleeval.metrics import AnswerLength, RougeGoogle
    from roleeval.models import Base
    from roleeval.stages.run import run
    from roleeval.stages.runtime import Runtime

    with tempfile.TemporaryDirectory() as folder:
        data = write(Path(folder, "data"), rows, size)
        warm(data, folder)
        before = peak_mb()
        config = RunConfig(
            benchmark=RoleBench(data_dir=str(data), splits=("eng_specific",)),
            model=Base(name="noop", source=ModelSource("noop")),
            engine=NoopOptions(),
            metrics={"length": AnswerLength(), "google": RougeGoogle(stem=False)},
            options=RunOptions(results_dir=folder, progress="quiet"),
        )
        if top:
            tracemalloc.start(6)
        runtime = Runtime()
        runtime.execute(lambda: run(config, runtime))
        runtime.close()
        if top:
            print(tracemalloc.get_traced_memory())
        return {"before": before, "peak": peak_mb()}


def warm(data: Path, folder: str) -> None:
    """Imports what a run imports."""
    import numpy  # noqa: F401
    import scipy.stats  # noqa: F401


def write(data: Path, rows: int, size: int) -> Path:
    split = data / "rolebench-eng" / "instruction-generalization" / "role_specific"
    split.mkdir(parents=True)
    roles = 10 if size < 10_000 else 1
    with (split / "test.jsonl").open("w") as stream:
        for number in range(rows):
            row: dict[str, Any] = {"role": f"Captain {number % roles}", "question": f"Question {number}?"}
            stream.write(json.dumps(row | {"generated": [REFERENCE.format(number)]}) + "\n")
    (data / "profiles-eng").mkdir()
    described = {f"Captain {role}": (f"A captain, {role}. " * (size // 14))[:size] for role in range(roles)}
    (data / "profiles-eng" / "desc.json").write_text(json.dumps(described))
    return data


def peak_mb() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
