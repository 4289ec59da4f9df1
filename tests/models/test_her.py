"""HER's replies: whatever a model writes, no thought is heard, and nothing that was said is lost."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roleeval.config import build_target
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.models import Her
from roleeval.models._her_reply import Kind, split_her
from roleeval.types import FinishReason, Persona, Reply

MODEL = Her(name="her", source=ModelSource("folder"))
PLANS = ("system_thinking", "system_think", "System Thinking", "SYSTEM_THINK", "system think", "systemthinking")
ALIASES = ("long_role_thinking", "inner_thinking", "Inner Thought", "roleThinking", "character-thoughts")
THOUGHTS = ("role_thinking", "role_think", "Role Thinking", "ROLE_THINK", "think", "thought", "Think", *ALIASES)
ACTIONS = ("role_action", "Role Action", "ROLE_ACTION")
TAGS = [f"<{slash}{name}>" for name in (*PLANS, *THOUGHTS, *ACTIONS) for slash in ("", "/")]
SECRET = "zyx"
HEARD = ("action", "speech")

words = st.from_regex(r"[A-Wa-w.,!?'é你 ]*[A-W你][A-Wa-w.,!?é你 ]*", fullmatch=True)


def read(text: str, finish: FinishReason = "stop", reasoning: str = "", **options: Any) -> Reply:
    model = Her(name="her", source=ModelSource("folder"), **options) if options else MODEL
    return model.parse(text, finish, reasoning)


@st.composite
def parts(draw: st.DrawFn, text: st.SearchStrategy[str] = words) -> list[tuple[Kind, str, str]]:
    """(kind, text, as written) of a reply as HER is trained to write it; never two speeches in a row."""
    found: list[tuple[Kind, str, str]] = []

    def add(kind: Kind, names: tuple[str, ...]) -> None:
        body = draw(text)
        name = draw(st.sampled_from(names)) if names else ""
        found.append((kind, body, f"<{name}>{body}</{name}>" if name else body))

    add("plan", PLANS)
    for kind in draw(st.lists(st.sampled_from(["thought", "action", "speech"]), max_size=8)):
        if kind == "speech" and found[-1][0] == "speech":
            continue
        add(kind, {"thought": THOUGHTS, "action": ACTIONS, "speech": ()}[kind])  # type: ignore[arg-type]
    return found


# What each audience gets


def test_each_audience_gets_its_own_form() -> None:
    said = "<role_thinking>He knows.</role_thinking><role_action>turns away</role_action>Good night, sir."
    reply = read(f"<system_thinking>Holmes should be curt.</system_thinking>\n\n{said}")
    assert reply.status == "ok"
    assert reply.visible == "(turns away) Good night, sir."
    assert reply.shown == "[He knows.] (turns away) Good night, sir."
    assert reply.own_history == said
    assert reply.thoughts == "Holmes should be curt.\nHe knows."


def test_the_full_history_keeps_the_plan() -> None:
    text = "<system_thinking>Be curt.</system_thinking><role_thinking>Hm.</role_thinking>Good night."
    assert read(text, history="full").own_history == text
    assert "Be curt" not in read(text).own_history


def test_line_breaks_between_parts_stay_and_words_never_run_together() -> None:
    reply = read(
        "<system_thinking>p</system_thinking>One.\n<role_action>nods</role_action>Two<thought>t</thought>three"
    )
    assert reply.visible == "One.\n(nods) Two three"


@given(parts())
def test_rendered_parts_are_read_back(given_parts: list[tuple[Kind, str, str]]) -> None:
    segments, in_plan = split_her("".join(written for _, _, written in given_parts))
    assert not in_plan
    assert [(part.kind, part.text, part.raw) for part in segments] == given_parts


@given(parts(), st.sampled_from(["stop", "length"]))
def test_all_that_was_said_and_done_is_visible_and_nothing_else(
    given_parts: list[tuple[Kind, str, str]], finish: FinishReason
) -> None:
    reply = read("".join(written for _, _, written in given_parts), finish)
    audible = [f"({body.strip()})" if kind == "action" else body for kind, body, _ in given_parts if kind in HEARD]
    assert "".join(reply.visible.split()) == "".join("".join(audible).split())


# No leak


@settings(deadline=None)  # it reads a reply once for each of its letters
@given(parts(), st.data())
def test_a_reply_cut_anywhere_shows_no_thought(given_parts: list[tuple[Kind, str, str]], data: st.DataObject) -> None:
    text = "".join(
        written.replace(f">{body}</", f">{SECRET}{body}{SECRET}</") if kind in ("plan", "thought") else written
        for kind, body, written in given_parts
    )
    for end in range(len(text) + 1):
        reply = read(text[:end], "length")
        assert not re.search("[xyz]", reply.visible)
        assert "<" not in reply.visible and len(reply.visible) <= len(text)


tag_soup = st.lists(
    st.sampled_from([*TAGS, "< / role_think >", "<", ">", "\n", " ", "Hello", "你好", "</"]), max_size=30
)


@given(tag_soup, tag_soup, st.sampled_from(["system_thinking", "role_thinking", "think", "thought"]))
def test_a_secret_in_a_thinking_tag_is_never_heard(before: list[str], after: list[str], name: str) -> None:
    text = f"{''.join(before)}<{name}>{SECRET}</{name}>{''.join(after)}"
    reply = read(text)
    assert SECRET not in reply.visible and SECRET in reply.thoughts


@given(st.one_of(st.text(), tag_soup.map("".join)), st.sampled_from(["stop", "length", "content_filter"]))
def test_no_text_raises_and_a_displayed_reply_stays_as_it_is(text: str, finish: FinishReason) -> None:
    reply = read(text, finish)
    again = read(reply.visible)
    assert (again.visible, again.thoughts) == (reply.visible, "")
    assert reply.status != "ok" or reply.visible


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("<role_thinking>a<role_action>b</role_action>c</role_thinking>d", "d"),  # nested
        ("<role_thinking>a<role_thinking>b</role_thinking>c</role_thinking>d", "d"),
        ("<role_action>a<role_thinking>b</role_thinking>c</role_action>d", "(a) (c) d"),
        ("<role_action>a<role_thinking>b</role_action>c", "(a)"),  # interleaved
        ("a<role_thinking>b", "a"),  # unclosed
        ("a<role_thinking>b</thought>c", "a"),  # mismatched
        ("a</role_thinking>b", "ab"),  # stray
        ("a</role_action> b", "a b"),
        ("plan</system_thinking>b", "b"),  # opened by the template
        ("<role_action>a", "(a)"),
        ("<system_thinking>a</system_thinking>b<system_thinking>c</system_thinking>d", "b d"),  # repeated
        ("<system_thinking>\n<system_thinking>a</system_thinking>b", "b"),  # the prefill again
        ("<think>a</think>b<think>c</think>d", "b d"),
        ("<role_action></role_action>a", "a"),
        ("<system_thinking lang='en'>a</system_thinking>b", "b"),  # with an attribute
        ("<long_role_thinking>a</role_thinking>b", "b"),
        ("<inner_thinking>a<role_thinking>b</role_thinking>c</inner_thinking>d", "d"),
        ("<role_action>a</role_action><role_speech>b</role_speech>", "(a) b"),
        ("<role_action>a<role_speech>b</role_speech>", "(a) b"),  # an action that is not closed
        ("<role_speech>a<role_thinking>b</role_thinking> c</role_speech>", "a c"),
        ("<think>\n<system_thinking>a</system_thinking>b", "b"),  # opened by the template, and by the prefill
        ("<think>\n<system_thinking>a</system_thinking>\n</think>\nb", "b"),
        ("Well <I think> so", "Well <I think> so"),
        ("I <3 you & <b>you</b>", "I <3 you & <b>you</b>"),  # not our tags
    ],
)
def test_broken_tags(text: str, visible: str) -> None:
    assert read(text).visible == visible


@pytest.mark.parametrize("piece", ["<", "<think>", "</think>", "< ", "<role_action>", "<role", "<think>a</think>", " "])
def test_a_hundred_kilobytes_of_anything_are_read(piece: str) -> None:
    """A reader that is not linear would take minutes here."""
    reply = read("<" + piece * (100_000 // len(piece)), "length")
    assert "think>" not in reply.visible


# Statuses


@pytest.mark.parametrize(
    ("text", "finish", "reasoning", "status", "thoughts"),
    [
        ("<system_thinking>He will", "length", "", "truncated_reasoning", "He will"),
        ("<system_thinking>He will", "stop", "", "no_answer", "He will"),
        ("Oh. <system_thinking>He will", "length", "", "truncated_reasoning", "He will"),
        ("<system_thinking>p</system_thinking><role_thinking>He kn", "length", "", "truncated_reasoning", "p\nHe kn"),
        ("<system_thinking>p</system_thinking>", "stop", "", "no_answer", "p"),
        ("", "stop", "", "no_answer", ""),
        ("", "length", "served", "truncated_reasoning", "served"),
        ("<system_thinking>p</system_thinking>No.", "content_filter", "", "refused", "p"),
        ("<system_thinking>p</system_thinking>No.", "length", "served", "ok", "served\np"),
    ],
)
def test_a_reply_without_an_answer_says_why(
    text: str, finish: FinishReason, reasoning: str, status: str, thoughts: str
) -> None:
    reply = read(text, finish, reasoning)
    assert (reply.status, reply.thoughts) == (status, thoughts)
    assert reply.status != "truncated_reasoning" or reply.visible == ""


def test_half_a_tag_is_left_out_only_where_the_text_was_cut() -> None:
    assert read("Hello<role_thi", "length").visible == "Hello"
    assert read("Hello</role act", "length").visible == "Hello"
    assert read("3 <", "stop").visible == "3 <"
    assert read("Hello <rose", "length").visible == "Hello <rose"


# The family


def node(root: Path, **changes: Any) -> dict[str, Any]:
    import yaml

    nodes = [yaml.safe_load((root / f"conf/model/{name}.yaml").read_text()) for name in ("base", "her")]
    return {k: v for k, v in {**nodes[0], **nodes[1]}.items() if k != "defaults"} | {"source": {"path": "m"}} | changes


def test_the_yaml_is_the_class(root: Path) -> None:
    model = build_target(node(root), "model")
    assert isinstance(model, Her) and model.family == "her"
    assert (model.prefill, model.history) == ("<system_thinking>", "no_system_thinking")
    assert (model.sampling.temperature, model.sampling.top_p, model.sampling.max_tokens) == (0.7, 0.9, 1024)
    assert model.sampling.stop == ("<|im_end|>",)
    assert model.adapters() == () and model.adapter(Persona("Holmes", "", "en")) is None
    with pytest.raises(ConfigError, match=r"model\.history.*no_system_thinking"):
        build_target(node(root, history="all"), "model")


def test_it_may_be_an_adapter_of_the_zoo_or_of_a_server(root: Path) -> None:
    zoo = build_target(node(root, source={"path": "zoo:base"}, adapter_path="zoo:shared_lora"), "model")
    adapter = zoo.adapter(Persona("Holmes", "", "en"))
    assert adapter is not None and adapter.name == "shared_lora" and zoo.adapters() == (adapter,)
    served = build_target(node(root, adapter_path="her-lora", served=True), "model")
    assert [(a.name, a.path) for a in served.adapters()] == [("her-lora", "")]
    with pytest.raises(ConfigError, match="no such model in the zoo"):
        build_target(node(root, adapter_path="zoo:nothing"), "model").adapters()


# What others hear


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (
            "<system_thinking>p</system_thinking><role_action>bows</role_action>Hi.",
            "<role_action>bows</role_action>Hi.",
        ),
        ("<Role Action> bows </Role Action>\nHi.", "<role_action>bows</role_action>\nHi."),
        ("Two<inner_thinking>t</inner_thinking>three", "Two three"),
        ("<long_role_thinking>t</long_role_thinking><role_speech>Hi.</role_speech>", "Hi."),
        ("<role_action>bows<role_thinking>t</role_thinking>", "<role_action>bows</role_action>"),
        ("<system_thinking>never ends", ""),
        ("<role_action>bo", "<role_action>bo</role_action>"),
    ],
)
def test_others_hear_actions_in_their_tag_and_no_thought(text: str, heard: str) -> None:
    assert MODEL.heard(text, "length") == heard


@given(tag_soup, tag_soup, st.sampled_from(["system_thinking", "inner_thinking", "systemthinking", "thought"]))
def test_a_secret_in_a_thinking_tag_is_never_heard_by_others(before: list[str], after: list[str], name: str) -> None:
    heard = MODEL.heard(f"{''.join(before)}<{name}>{SECRET}</{name}>{''.join(after)}", "stop")
    assert SECRET not in heard
    assert not re.search(r"<\s*/?\s*[a-z_ ]*(think|thought|speech)", heard, re.IGNORECASE)
