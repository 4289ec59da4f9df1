"""Progress moves with every call, in rates and estimates that stored answers are no part of, and is said rarely."""

import asyncio
import io
import logging

import pytest
from rich.console import Console

from roleeval.engines import Usage
from roleeval.stages import progress
from roleeval.stages.progress import Pace, make_progress
from roleeval.types import Message, Transcript, Turn

TURN = Turn("Holmes", (Message("user", "Who?"),), "I", "I", "", "ok", "stop", 9, 4, "")
SCENE = Transcript("s", "ok", (TURN,) * 10)


def test_a_scene_that_is_not_finished_shows_calls_turns_and_tokens() -> None:
    usage = Usage(requests=3)
    pace = Pace(8, usage, longest=40)
    assert pace.text(0.0) == "loading"
    usage.begun, usage.asked, usage.generated, usage.output_tokens = 100.0, 24, 16, 800
    assert pace.text(120.0) == "24 calls, 16 turns, 40 tokens/s"  # no estimate in the first minute
    assert pace.text(180.0) == "24 calls, 16 turns, 10 tokens/s, about 25 min left"  # 8 * 40 - 16 calls at 16 in 80 s
    for _ in range(2):
        pace.done(SCENE)
    assert pace.seconds_left(180.0) == (8 * 10 - 16) * 80 / 16


def test_a_short_episode_that_ends_first_does_not_tell_how_long_the_others_are() -> None:
    usage = Usage(requests=900, asked=900, generated=900, output_tokens=900, begun=0.0)
    pace = Pace(48, usage, longest=100)
    pace.done(SCENE)  # 10 calls; 890 are under way in the 47 others
    assert pace.seconds_left(90.0) == (47 * 100 - 890) * 90 / 900
    for _ in range(6):  # 7 of 48, 70 calls: 41 times 10 are fewer than the 830 that are under way
        pace.done(SCENE)
    assert pace.seconds_left(90.0) == (41 * 100 - 830) * 90 / 900
    unknown = Pace(48, usage)
    unknown.done(SCENE)
    assert unknown.seconds_left(90.0) is None


def test_stored_answers_are_in_no_rate_and_shorten_the_estimate() -> None:
    usage = Usage(requests=70, stored=60, asked=10, generated=10, output_tokens=700, begun=0.0)
    pace = Pace(10, usage, longest=40)
    for _ in range(6):
        pace.done(SCENE)
    assert pace.text(70.0) == "10 calls, 70 turns, 10 tokens/s, 60 from the store, about 4 min left"
    assert pace.seconds_left(70.0) == (100 - 70) * 7.0
    whole = Pace(10, Usage(requests=70, stored=70))
    assert whole.text(1000.0) == "70 from the store" and whole.seconds_left(1000.0) is None


def lines(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records]


@pytest.mark.parametrize(("kind", "expected"), [("bar", 0), ("quiet", 0), ("log", 1)])
def test_a_short_run_without_a_terminal_has_no_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str, expected: int
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", False)
    with caplog.at_level(logging.INFO, "roleeval"), make_progress(kind, "t", 3, Usage()) as shown:  # type: ignore[arg-type]
        for _ in range(3):
            shown.done(SCENE)
    assert len(lines(caplog.records)) == expected


def test_without_a_terminal_there_is_a_line_every_half_minute_at_most(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while no episode ends: the loop's clock says when."""
    now = [0.0]
    monkeypatch.setattr("rich.console.Console.is_terminal", False)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    usage = Usage(requests=1, asked=4, generated=2, begun=0.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        due: list[tuple[float, object]] = []
        monkeypatch.setattr(loop, "call_later", lambda after, call: due.append((now[0] + after, call)))
        with make_progress("bar", "coser m", 8, usage) as shown:
            for second in range(1, 100):
                now[0] = float(second)
                shown.done(SCENE) if second % 40 == 0 else None
                for at, call in due[:]:
                    if at <= now[0]:
                        due.remove((at, call))
                        call()  # type: ignore[operator]
        monkeypatch.undo()

    with caplog.at_level(logging.INFO, "roleeval"):
        asyncio.run(main())
    said = lines(caplog.records)
    assert len(said) in (2, 3) and said[0].startswith("coser m: 0/8, 4 calls, 2 turns")


def test_the_bar_draws_what_the_calls_say(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    usage = Usage(requests=4, asked=4, generated=3, begun=0.0)
    with progress._Bar("coser m", Pace(8, usage), console):
        pass
    assert "0/8" in out.getvalue() and "4 calls, 3 turns" in out.getvalue()
