"""Progress of a run: a bar on a terminal, a line from time to time elsewhere, or nothing.

Both read the run's usage by themselves, so that a scene of forty calls moves before it is finished. What came from the
store is in no rate.
"""

import asyncio
import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from roleeval.engines import Usage
from roleeval.plain import duration, plain
from roleeval.types import Transcript

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger("roleeval")
_LOG_EVERY_S = 10.0  # progress=log
_LINE_EVERY_S = 30.0  # progress=bar where there is no terminal; short runs have no line
_ESTIMATE_FROM_S = 60.0
_TELLING = 10  # one episode of so many has to be finished before its kind tells how long the others are


class Progress(Protocol):
    """Told of every finished episode."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def done(self, transcript: Transcript) -> None: ...


def make_progress(
    kind: Literal["bar", "quiet", "log"], title: str, total: int, usage: Usage, *, longest: int | None = None
) -> Progress:
    """A progress display.

    Args:
        kind: of the display (RunOptions.progress).
        title: what is done.
        total: episodes.
        usage: of the run's engines; read whenever something is shown.
        longest: calls of an episode at most, where that is known.
    """
    pace, title = Pace(total, usage, longest), plain(title)
    if kind == "bar":
        from rich.console import Console

        console = Console(stderr=True)
        return _Bar(title, pace, console) if console.is_terminal else _Lines(title, pace, every_s=_LINE_EVERY_S)
    return _Lines(title, pace, every_s=_LOG_EVERY_S if kind == "log" else None, ends=kind == "log")


class Pace:
    """How far a run is, how fast, and how long it will take."""

    def __init__(self, total: int, usage: Usage, longest: int | None = None) -> None:
        self.total, self._usage, self._longest = total, usage, longest
        self.finished = self._failed = self._calls = 0

    def done(self, transcript: Transcript) -> None:
        """Counts a finished episode."""
        self.finished += 1
        self._failed += transcript.status == "engine_failed"
        self._calls += sum(bool(turn.messages) or turn.prompt is not None for turn in transcript.turns) or 1

    def text(self, now: float) -> str:
        """What there is to say at a moment of time.monotonic(); "" where no call was made yet."""
        usage = self._usage
        if usage.begun is None:
            return f"{usage.stored} from the store" if usage.stored else "loading" if usage.requests else ""
        seconds = max(now - usage.begun, 1e-9)
        parts = [
            f"{usage.asked} calls",
            f"{usage.stored + usage.generated} turns",
            f"{usage.output_tokens / seconds:.0f} tokens/s",
        ]
        if usage.stored:
            parts.append(f"{usage.stored} from the store")
        if self._failed:
            parts.append(f"{self._failed} failed")
        left = self.seconds_left(now)
        return ", ".join([*parts, f"about {duration(left)} left"] if left is not None else parts)

    def seconds_left(self, now: float) -> float | None:
        """Seconds to the end at the rate of the calls so far; None in the first minute, and where nothing tells."""
        usage = self._usage
        if usage.begun is None or now - usage.begun < _ESTIMATE_FROM_S or not usage.generated:
            return None
        unfinished, done = self.total - self.finished, usage.stored + usage.generated
        under_way = done - self._calls
        # The episodes that end first are short: a few of them tell nothing of those that are under way.
        mean = self._calls / self.finished if self.finished * _TELLING >= self.total else None
        for each in (mean, self._longest):
            if each is not None and unfinished * each > under_way:
                left = max(unfinished * each - under_way, float(unfinished))
                return left * (now - usage.begun) / usage.generated
        return None


class _Lines:
    """A log line every few seconds (or none at all)."""

    def __init__(self, title: str, pace: Pace, *, every_s: float | None, ends: bool = False) -> None:
        """`ends`: the last episode has a line in any case."""
        self._title, self._pace, self._every_s, self._ends = title, pace, every_s, ends
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "_Lines":
        self._last = time.monotonic()
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        """Says something later, also if no episode has ended until then."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # without a loop only `done` does
            return
        if self._every_s is not None:
            self._timer = loop.call_later(self._every_s, self._again)

    def _again(self) -> None:
        self._say_if_due()
        self._wait()

    def done(self, transcript: Transcript) -> None:
        self._pace.done(transcript)
        self._say_if_due(at_once=self._ends and self._pace.finished == self._pace.total)

    def _say_if_due(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._every_s is None or (now - self._last < self._every_s and not at_once):
            return
        self._last = now
        facts = self._pace.text(now)
        log.info("%s: %d/%d%s", self._title, self._pace.finished, self._pace.total, f", {facts}" if facts else "")


class _Bar:
    """A rich progress bar; rich draws it ten times a second and asks for its facts by itself."""

    def __init__(self, title: str, pace: Pace, console: "Console") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class Facts(ProgressColumn):
            max_refresh = 0.5

            def render(self, task: Task) -> Text:
                return Text(pace.text(time.monotonic()))

        columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=24)]
        self._bar = RichProgress(*columns, MofNCompleteColumn(), Facts(), console=console, refresh_per_second=10)
        self._task = self._bar.add_task(title, total=pace.total)
        self._pace = pace
        self._drawn = 0.0

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.update(self._task, completed=self._pace.finished)
        self._bar.stop()

    def done(self, transcript: Transcript) -> None:
        self._pace.done(transcript)
        now = time.monotonic()
        if now - self._drawn >= 0.1:
            self._drawn = now
            self._bar.update(self._task, completed=self._pace.finished)
