"""What the jobs of one command share and leave behind."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roleeval.config import RunConfig
    from roleeval.stages.runtime import Runtime


class Session:
    """What the jobs of one command share and leave behind."""

    def __init__(self) -> None:
        self.leads = False  # the process of the command itself, and not one that a launcher started
        self.refusal = ""  # why a sweep cannot begin
        self.outcomes: Path | None = None  # where jobs in other processes leave what became of them
        self.launched = 0  # how many such jobs there are
        self.jobs = 0
        self.failures: list[str] = []
        self.folders: list[str] = []
        self.judged: list[RunConfig] = []  # runs that a judge may have compared with too few others
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> "Runtime":
        if self._runtime is None:
            from roleeval.stages.runtime import Runtime

            self._runtime = Runtime()
        return self._runtime

    def leave(self, file: Path) -> None:
        """In a launcher's process: writes what became of its job, for the command's own process to gather."""
        from roleeval.results import write_atomically

        found = {"jobs": self.jobs, "failures": self.failures, "folders": self.folders}
        write_atomically(file, json.dumps(found, ensure_ascii=False).encode())

    def gather(self) -> None:
        """Takes over what a sweep's jobs in other processes have left."""
        files = sorted(self.outcomes.glob("*.json")) if self.outcomes else []
        for file in files:
            found = json.loads(file.read_text(encoding="utf-8"))
            self.jobs += found["jobs"]
            self.failures += found["failures"]
            self.folders += found["folders"]
        if lost := self.launched - len(files):
            self.jobs += lost
            self.failures.append(f"{lost} jobs ended without a word; their processes' own output says more")
        self.outcomes, self.launched = None, 0

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None


@lru_cache(maxsize=1)
def session() -> Session:
    return Session()
