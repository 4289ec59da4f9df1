"""How long a plan says that models take: from what a probe's calls took, without loading and without waiting."""

import pytest

from roleeval.stages.plan._needs import Range
from roleeval.stages.plan._pace import Call, Meter, Pace

NEW = Range(100, 200, 400)


def test_tokens_are_spread_over_the_time_of_their_calls_and_pauses_do_not_count() -> None:
    meter = Meter([Call(0, 10, 5, 100), Call(0, 10, 5, 100), Call(30, 40, 5, 50)], {"a": 7.0, "b": 3.0})
    pace = meter.pace("x", 2, "kept")
    assert pace is not None and (pace.slow, pace.fast, pace.start) == (5, 20, 10)
    assert pace.origin == "x: 5.0 to 20 new tokens a second, by 3 calls, 2 at once (their answers are kept)"
    assert pace.seconds(NEW, NEW, starts=True) == Range(15, 26, 90)
    assert pace.seconds(NEW, NEW, starts=False) == Range(5, 16, 80)


def test_texts_that_are_only_scored_are_timed_by_what_is_read() -> None:
    pace = Meter([Call(0, 2, 100, 0), Call(2, 4, 100, 0)]).pace("x", 1, "kept")
    assert pace is not None and pace.reads and pace.slow == pace.fast == 50
    assert pace.seconds(NEW, Range(0, 0, 0), starts=False) == Range(2, 4, 8)


def test_what_the_store_answers_says_nothing_of_speed() -> None:
    assert Meter().pace("x", 4, "kept") is None


def test_nothing_to_ask_loads_nothing() -> None:
    assert Pace(10, 10, 60, "").seconds(Range(0, 0, 0), Range(0, 0, 10), starts=True).expected == 0


def test_a_range_keeps_what_is_expected() -> None:
    assert Range.of((3, 2, 9)) == Range(2, 2, 9) and Range.of((1, 12, 9)) == Range(1, 12, 12)
    assert Range.of((1, 2, 3)).expected == pytest.approx(2)
