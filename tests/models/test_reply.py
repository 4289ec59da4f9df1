"""Replies with `<think>` reasoning: what is an answer, and what is reasoning that was cut off."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleeval.config import build_target
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.models import Base, Rar
from roleeval.types import FinishReason

BASE = Base(name="base", source=ModelSource("folder"))
RAR = Rar(name="rar", source=ModelSource("folder"), adapter_path=None)


@pytest.mark.parametrize("model", [BASE, RAR])
@pytest.mark.parametrize(
    ("text", "finish", "reasoning", "visible", "thoughts", "status"),
    [
        ("<think>a</think>\nHi.", "stop", "", "Hi.", "a", "ok"),
        ("a</think>Hi.", "stop", "", "Hi.", "a", "ok"),  # the template wrote the opening tag
        ("<think>a</think>b</think>Hi.", "stop", "", "Hi.", "a</think>b", "ok"),
        ("<think>a</think>Hi, I", "length", "", "Hi, I", "a", "ok"),
        ("<think>a", "length", "", "", "a", "truncated_reasoning"),
        ("<think>a", "stop", "", "", "a", "truncated_reasoning"),
        ("<think>a</think><think>b", "stop", "", "", "a\nb", "truncated_reasoning"),
        ("<think>a</think>Hi. <think>b", "length", "", "Hi.", "a\nb", "ok"),
        ("<think>a</think>", "length", "", "", "a", "truncated_reasoning"),
        ("<think>a</think>", "stop", "", "", "a", "no_answer"),
        ("<think>a</think>No.", "content_filter", "", "No.", "a", "refused"),
        ("Hi.", "stop", "", "Hi.", "", "ok"),
        ("Hi.", "stop", "served", "Hi.", "served", "ok"),
        ("Hi, I", "length", "served", "Hi, I", "served", "ok"),
        ("", "length", "served", "", "served", "truncated_reasoning"),
        ("", "stop", "served", "", "served", "no_answer"),
    ],
)
def test_reasoning_and_answer_are_told_apart(
    model: Base, text: str, finish: FinishReason, reasoning: str, visible: str, thoughts: str, status: str
) -> None:
    reply = model.parse(text, finish, reasoning)
    assert (reply.visible, reply.thoughts, reply.status) == (visible, thoughts, status)
    assert (reply.own_history, reply.shown) == ("", "")


def test_a_model_that_always_reasons_was_cut_off_where_no_tag_is_seen() -> None:
    text = "She would ask about the letter first, because"
    rar, base = RAR.parse(text, "length", ""), BASE.parse(text, "length", "")
    assert (rar.visible, rar.thoughts, rar.status) == ("", text, "truncated_reasoning")
    assert (base.visible, base.status) == (text, "ok")


@given(st.text(), st.text(), st.sampled_from(["stop", "length", "content_filter"]))
def test_no_reply_raises_and_nothing_thought_is_visible(before: str, after: str, finish: FinishReason) -> None:
    after = after.replace("SECRET", "")
    for model in (BASE, RAR):
        assert "SECRET" not in model.parse(f"{before}<think>SECRET</think>{after}", finish, "").visible
        assert "SECRET" not in model.parse(f"<think>SECRET{after}", finish, "").visible


def node(root: Path, **changes: Any) -> dict[str, Any]:
    import yaml

    nodes = [yaml.safe_load((root / f"conf/model/{name}.yaml").read_text()) for name in ("base", "rar")]
    return {k: v for k, v in {**nodes[0], **nodes[1]}.items() if k != "defaults"} | {"source": {"path": "m"}} | changes


def test_the_yaml_of_rar_asks_for_the_second_adapter(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.adapter_path: not set"):
        build_target(node(root), "model")
    model = build_target(node(root, adapter_path=None), "model")
    assert isinstance(model, Rar) and model.family == "rar" and model.adapters() == ()
    assert (model.sampling.temperature, model.sampling.top_p, model.sampling.max_tokens) == (0.6, 0.95, 4096)
    assert model.sampling.stop == ("<|eot_id|>", "<|reserved_special_token")
    zoo = build_target(node(root, source={"path": "zoo:base"}, adapter_path="zoo:shared_lora"), "model")
    assert [adapter.name for adapter in zoo.adapters()] == ["shared_lora"]


# Other marks


@pytest.mark.parametrize(
    ("text", "visible", "thoughts", "status"),
    [
        ("<thinking>a</thinking>No.", "No.", "a", "ok"),
        ("a</Thinking>\nNo.", "No.", "a", "ok"),
        ("<thinking>a", "", "a", "truncated_reasoning"),
        ("Hi. <thinking>a</thinking> Bye.", "Hi.  Bye.", "a", "ok"),
        ("[THINK]a[/THINK]No.", "No.", "a", "ok"),
        ("[THINK]a", "", "a", "truncated_reasoning"),
        ("<seed:think>a</seed:think>No.", "No.", "a", "ok"),
        ("<reasoning>a</reasoning>\n<answer>No.</answer>", "No.", "a", "ok"),
        ("<reasoning>a</reasoning>\n<answer>No, I", "No, I", "a", "ok"),
        ("<think>a</think><answer>No.</answer>", "No.", "a", "ok"),
        ("<answer>No.</answer>", "No.", "", "ok"),
        ("The <answer>x</answer> is", "The <answer>x</answer> is", "", "ok"),
        ("<thought>a</thought>No.", "No.", "a", "ok"),
        ("◁think▷a◁/think▷No.", "No.", "a", "ok"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>No.", "No.", "a", "ok"),
        ("<|channel|>final<|message|>No.<|return|>", "No.", "", "ok"),
        ("<|channel|>analysis<|message|>a b", "", "a b", "truncated_reasoning"),
        ("analysisWe weigh.assistantfinalNo.", "No.", "We weigh.", "ok"),
        ("analysisWe weigh", "", "We weigh", "truncated_reasoning"),
        ("analysis of it: No.", "analysis of it: No.", "", "ok"),
        ("<THINK>a</THINK>No.", "No.", "a", "ok"),
    ],
)
def test_reasoning_in_other_marks_is_no_answer(text: str, visible: str, thoughts: str, status: str) -> None:
    reply = BASE.parse(text, "length", "")
    assert (reply.visible, reply.thoughts, reply.status) == (visible, thoughts, status)


def test_marks_are_a_setting() -> None:
    def parsed(marks: str, text: str) -> str:
        return Base(name="b", source=ModelSource("m"), reasoning_marks=marks).parse(text, "stop", "").visible

    assert parsed("none", "<think>a</think>No.") == "<think>a</think>No."
    assert parsed("brackets", "[THINK]a[/THINK]<think>b</think>No.") == "<think>b</think>No."
    assert parsed("think", "[THINK]a[/THINK]No.") == "[THINK]a[/THINK]No."
    assert parsed("<plan> </plan>", "<plan>a</plan>No.") == "No."
    with pytest.raises(ConfigError, match=r"model\.reasoning_marks: 'loud' is invalid; give auto, none, think"):
        parsed("loud", "")
    always = Base(name="b", source=ModelSource("m"), always_reasons=True)
    assert always.parse("Okay, the user", "length", "").status == "truncated_reasoning"


@given(st.text(), st.text(), st.sampled_from(["thinking", "seed:think", "reasoning", "thought"]))
def test_what_other_marks_enclose_is_never_visible(before: str, after: str, name: str) -> None:
    after, before = after.replace("SECRET", ""), before.replace("SECRET", "")
    assert "SECRET" not in BASE.parse(f"{before}<{name}>SECRET</{name}>{after}", "stop", "").visible
    assert "SECRET" not in BASE.parse(f"{before}<{name}>SECRET{after}", "length", "").visible


@pytest.mark.parametrize(
    "piece", ["<thinking>", "</thinking>", "[THINK]", "<|channel|>", "<|end|>", "<answer>", "analysis"]
)
def test_a_hundred_kilobytes_of_marks_are_read(piece: str) -> None:
    """A reader that is not linear would take minutes here."""
    BASE.parse(piece * (100_000 // len(piece)), "length", "")
