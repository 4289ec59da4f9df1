"""What can be seen of runs from outside while they are under way; reads result folders and touches nothing.

A run that is under way holds its folder's lock, has written config.yaml, and appends every finished episode to a part
file beside transcripts.jsonl. Its scores are written at its end.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from roleeval.benchmarks import SelfScored
from roleeval.config import build_target
from roleeval.errors import RoleEvalError
from roleeval.report.found.collect import Collection, Entry, NotShown, RunResult, collect
from roleeval.report.found.groups import headline_groups, splits_of
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.standings import single_entries
from roleeval.stages.asked import asked_count
from roleeval.stages.lock import holder

State = Literal["running", "finished", "stopped", "damaged"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A headline mean of a finished run: of which group and metric."""

    group: str
    label: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Seen:
    """One run.

    Attributes:
        path: its folder: benchmark/model/run.
        state: "running" while a process works on it; "stopped" where that ended before the run did.
        done, failed: samples that are finished, and those of them whose calls failed.
        planned: how many there will be; None where that is not known.
        tokens_per_s: written; of a run that is under way since it was first looked at.
        means: what represents the benchmark, once it is scored.
        note: what else there is to say.
    """

    path: Path
    state: State
    done: int = 0
    planned: int | None = None
    failed: int = 0
    tokens_per_s: float | None = None
    means: tuple[Mean, ...] = ()
    note: str = ""


@dataclass(slots=True)
class _Part:
    """What was read so far of a run's part file."""

    file: Path
    began: float
    end: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    first: int | None = None  # tokens at the first look

    def read(self) -> None:
        """Counts the episodes that are new; what is not a whole line yet waits."""
        with self.file.open("rb") as stream:
            stream.seek(self.end)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self.end += len(line)
                episode = orjson.loads(line)
                self.statuses[episode["status"]] += 1
                self.tokens += sum(turn["output_tokens"] for turn in episode["turns"])
        self.first = self.tokens if self.first is None else self.first

    def tokens_per_s(self, now: float) -> float | None:
        written = self.tokens - (self.first or 0)
        return written / (now - self.began) if written and now > self.began else None


class Watch:
    """Looks at the runs at or below the paths, again and again; episodes that were seen are not read twice."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._paths = list(paths)
        self._parts: dict[Path, _Part] = {}
        self._planned: dict[Path, int | None] = {}

    def look(self) -> list[Seen]:
        """Every run as it stands now: those under way first.

        Raises:
            ResultError: a path is no folder.
        """
        seen = list(self._seen(collect(self._paths)))
        order = {"running": 0, "stopped": 1, "damaged": 2, "finished": 3}
        return sorted(seen, key=lambda each: (order[each.state], str(each.path)))

    def _seen(self, found: Collection) -> Iterator[Seen]:
        for run in found.runs:
            yield _finished(run)
        for left in found.not_shown:
            who = holder(left.path)
            if (left.path / "config.yaml").is_file() and not (left.path / "manifest.json").is_file():
                yield self._under_way(left.path, who)
            else:
                yield _without_numbers(left, who)

    def _under_way(self, folder: Path, who: str) -> Seen:
        part = self._part(folder)
        if folder not in self._planned:
            self._planned[folder] = _planned(folder / "config.yaml")
        counted = part.statuses if part else Counter[str]()
        return Seen(
            folder,
            "running" if who else "stopped",
            done=sum(counted.values()),
            planned=self._planned[folder],
            failed=counted["engine_failed"],
            tokens_per_s=part.tokens_per_s(time.monotonic()) if part and who else None,
            note=who or "the same command resumes it",
        )

    def _part(self, folder: Path) -> _Part | None:
        file = max(folder.glob(".transcripts.jsonl.*.unordered"), key=os.path.getmtime, default=None)
        if file is None:
            return None
        part = self._parts.get(folder)
        if part is None or part.file != file:
            part = self._parts[folder] = _Part(file, time.monotonic())
        try:
            part.read()
        except (OSError, ValueError, KeyError, TypeError):  # gone since, or half a line: the next look will tell
            return part
        return part


def _planned(config: Path) -> int | None:
    """How many samples a run will have, by its own benchmark; None where only the run itself finds out."""
    import yaml

    try:
        node: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
        benchmark = build_target(node["benchmark"], "benchmark")
        if isinstance(benchmark, SelfScored):
            return None
        return asked_count(benchmark, limit=node["limit"], clusters=node.get("clusters"))
    except (RoleEvalError, yaml.YAMLError, OSError, KeyError, TypeError, ValueError):
        return None


def _finished(run: RunResult) -> Seen:
    who, statuses = holder(run.path), run.facts.statuses
    means = []
    for group in headline_groups([run]):
        there = single_entries(run, group, splits_of([run], group))
        for name in Choice().representing(there, run.infos)[:1]:
            means.append(Mean(group, run.infos[name].label, there[name]))
    left_out = statuses.get("over_budget", 0)
    waits = f"the budget was spent: {left_out} samples were not asked; a larger one goes on" if left_out else ""
    return Seen(
        run.path,
        "running" if who else "stopped" if left_out else "finished",
        done=sum(statuses.values()) - left_out,
        planned=run.facts.planned,
        failed=statuses.get("engine_failed", 0),
        tokens_per_s=run.facts.tokens_per_s,
        means=tuple(means),
        note=f"{who} scores or judges it" if who else waits,
    )


def _without_numbers(left: NotShown, who: str) -> Seen:
    """A finished run that is not scored, or one that is damaged; a process may be about to change that."""
    return Seen(left.path, "running" if who else "damaged", note=who or left.reason)
