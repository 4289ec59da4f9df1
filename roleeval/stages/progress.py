"""Progress of a run on the terminal: a bar, a line from time to time, or nothing."""

import logging
import time
from types import TracebackType
from typing import Literal, Protocol

from roleeval.engines import Usage
from roleeval.plain import plain
from roleeval.types import Transcript

log = logging.getLogger("roleeval")
_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Told of every finished episode."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def done(self, transcript: Transcript, usage: Usage) -> None: ...


def make_progress(kind: Literal["bar", "quiet", "log"], title: str, total: int) -> Progress:
    """A progress display for `total` episodes."""
    title = plain(title)
    if kind == "bar":
        return _Bar(title, total)
    return _Lines(title, total, quiet=kind == "quiet")


class _Lines:
    """A log line every few seconds (or none at all)."""

    def __init__(self, title: str, total: int, *, quiet: bool) -> None:
        self._title, self._total, self._quiet = title, total, quiet
        self._finished = self._failed = 0

    def __enter__(self) -> "_Lines":
        self._begin = self._next = time.monotonic()
        self._next += _LINE_EVERY_S
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def done(self, transcript: Transcript, usage: Usage) -> None:
        self._finished += 1
        self._failed += transcript.status == "engine_failed"
        now = time.monotonic()
        if self._quiet or (now < self._next and self._finished < self._total):
            return
        self._next = now + _LINE_EVERY_S
        rate = self._finished / max(now - self._begin, 1e-9)
        log.info(
            "%s: %d/%d, %.1f samples/s, %.0f tokens/s, about %.0f s left, %d from the store, %d failed",
            self._title,
            self._finished,
            self._total,
            rate,
            usage.output_tokens / max(now - self._begin, 1e-9),
            (self._total - self._finished) / rate,
            usage.stored,
            self._failed,
        )


class _Bar:
    """A rich progress bar with rate, tokens/s, time left and failures; redrawn ten times a second at most."""

    def __init__(self, title: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            console=Console(stderr=True),
            refresh_per_second=10,
        )
        self._task = self._bar.add_task(title, total=total, facts="loading")
        self._finished = self._failed = 0
        self._drawn = 0.0

    def __enter__(self) -> "_Bar":
        self._begin = time.monotonic()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def done(self, transcript: Transcript, usage: Usage) -> None:
        self._finished += 1
        self._failed += transcript.status == "engine_failed"
        now = time.monotonic()
        if now - self._drawn < 0.1 and self._finished < (self._bar.tasks[0].total or 0):
            return
        self._drawn = now
        seconds = max(now - self._begin, 1e-9)
        facts = f"{self._finished / seconds:.1f} samples/s  {usage.output_tokens / seconds:.0f} tok/s"
        if usage.stored:
            facts += f"  {usage.stored} stored"
        if self._failed:
            facts += f"  {self._failed} failed"
        self._bar.update(self._task, completed=self._finished, facts=facts)
