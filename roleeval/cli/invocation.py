"""What the jobs of one command share and leave behind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roleeval.config import RunConfig
    from roleeval.stages.runtime import Runtime


class Invocation:
    """What the jobs of one command share and leave behind."""

    def __init__(self) -> None:
        self.leads = False  # whether this is the command's own process, not one that a launcher started
        self.dry_run = False  # prompts are shown, nothing is asked
        self.refused: Exception | None = None  # why a sweep cannot start
        self.outcomes: Path | None = None  # where jobs in other processes write their outcomes
        self.launched = 0  # number of these jobs
        self.jobs = 0
        self.shared: frozenset[str] | None = None  # overrides that all jobs have; None is not known yet
        self.failures: list[str] = []
        self.unsaid = False  # some are of jobs in other processes, whose errors were not shown here
        self.folders: list[str] = []
        self.partial: list[str] = []  # what a budget had no room for
        self.chosen: Mapping[str, tuple[str, ...]] | None = None  # benchmark -> clusters that are run; None: all
        self.judged: list[RunConfig] = []  # runs that were judged, perhaps before all their opponents had finished
        self.waiting: list[RunConfig] = []  # runs whose named opponents had not finished
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> "Runtime":
        if self._runtime is None:
            from roleeval.stages.runtime import Runtime

            self._runtime = Runtime()
        return self._runtime

    def begin(self, chosen: Mapping[str, tuple[str, ...]] | None) -> None:
        """Forgets what was done, keeps the engines; jobs run these clusters from now on."""
        self.chosen, self.jobs = chosen, 0
        self.failures, self.folders, self.partial, self.judged, self.waiting = [], [], [], [], []

    def know(self, jobs: Sequence[Sequence[str]]) -> None:
        """Learns what jobs there are, by their overrides; the first time counts, when there are several commands."""
        if jobs and self.shared is None:
            self.shared = frozenset.intersection(*map(frozenset, jobs))

    def restricted(self, config: "RunConfig") -> "RunConfig":
        """A run of those of its benchmark's clusters that are run."""
        if self.chosen is None:
            return config
        return replace(config, options=replace(config.options, clusters=self.chosen[config.benchmark.name]))

    def interrupt(self) -> None:
        """Ends the job that is running as Ctrl-C does, from a signal's handler.

        Raises:
            KeyboardInterrupt: no job is running.
        """
        if self._runtime is None or not self._runtime.interrupt():
            raise KeyboardInterrupt

    def leave(self, file: Path) -> None:
        """In a launcher's process: writes the outcome of its job, for the command's own process to gather."""
        from roleeval.results import write_atomically

        found = {"jobs": self.jobs, "failures": self.failures, "folders": self.folders, "partial": self.partial}
        write_atomically(file, json.dumps(found, ensure_ascii=False).encode())

    def gather(self) -> None:
        """Collects the outcomes of a sweep's jobs in other processes."""
        files = sorted(self.outcomes.glob("*.json")) if self.outcomes else []
        for file in files:
            found = json.loads(file.read_text(encoding="utf-8"))
            self.jobs += found["jobs"]
            self.failures += found["failures"]
            self.folders += found["folders"]
            self.partial += found["partial"]
        if lost := self.launched - len(files):
            self.jobs += lost
            self.failures.append(f"{lost} jobs left no outcome file; see their logs")
        self.unsaid |= bool(self.outcomes)
        self.outcomes, self.launched = None, 0

    def close(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None


@lru_cache(maxsize=1)
def invocation() -> Invocation:
    return Invocation()
