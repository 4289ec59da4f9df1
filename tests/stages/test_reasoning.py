"""Marks of reasoning that no setting names are counted and said; a cut-off thought may pass for an answer."""

import logging

import pytest

from roleeval.engines import ModelSource
from roleeval.models import Base
from roleeval.stages.reasoning import ReasoningSeen
from roleeval.types import FinishReason, Transcript, Turn


def seen(*texts: tuple[str, FinishReason]) -> ReasoningSeen:
    found = ReasoningSeen()
    for number, (raw, finish) in enumerate(texts):
        turn = Turn("Pirate", (), raw, raw, "", "ok", finish, 1, 1, "")
        found.add(Transcript(f"x/{number}", "ok", (turn,)))
    return found


def warned(found: ReasoningSeen, caplog: pytest.LogCaptureFixture, **options: object) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        found.warn(Base(name="b", source=ModelSource("m"), **options))  # type: ignore[arg-type]
    return caplog.text


def test_marks_beside_the_setting_are_counted_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    found = seen(("[THINK]a[/THINK]No.", "stop"), ("No.", "stop"), ("<think>a</think>No.", "stop"))
    assert found.facts() == {"reasoning_marks": {"brackets": 1, "think": 1}}
    text = warned(found, caplog)
    assert "1 of 3 answers contain [THINK] ... [/THINK]" in text and "was removed" in text
    assert "model.reasoning_marks=brackets" in text and "<think>" not in text
    assert "[THINK]" not in warned(found, caplog, reasoning_marks="brackets")
    assert "is scored" in warned(found, caplog, reasoning_marks="think")
    assert seen(("No.", "stop")).facts() == {}


def test_cut_answers_beside_unopened_reasoning_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    found = seen(("plan</think>No.", "stop"), ("Okay, the user", "length"))
    assert "model.always_reasons=true" in warned(found, caplog)
    assert warned(found, caplog, always_reasons=True) == ""
    assert warned(seen(("No, I", "length")), caplog) == ""
