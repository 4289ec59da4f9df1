"""Chat templates: a persona that the template drops, or a date that it writes, would be in no number's name."""

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import CompletionStore, ModelSource, StoredEngine, model_fingerprint
from roleeval.engines.chat import check_first, load_tokenizer, opened_prompt, render_prompt
from roleeval.engines.openai._wire import request_body
from roleeval.engines.openai.engine import OpenAIOptions
from roleeval.engines.template import Prompts, opened_reasoning, says
from roleeval.engines.turns import fitted, turns_hint
from roleeval.errors import ConfigError, EngineError
from roleeval.types import ChatRole, Completion, Message, Request, Sampling

TURN = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
ALL = f"{{%- for message in messages -%}}{TURN}{{%- endfor -%}}"
OPEN = "{{ '<|im_start|>assistant\n' }}"
PLAIN = ALL + OPEN
DROPS = f"{{%- for message in messages if message['role'] != 'system' -%}}{TURN}{{%- endfor -%}}{OPEN}"
KEEPS_LAST = "{{ messages[0]['content'] + messages[-1]['content'] }}"
REFUSES = "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system turn here') }}{%- endif -%}" + PLAIN
ALTERNATES = (
    "{%- set rest = messages[1:] if messages[0]['role'] == 'system' else messages -%}{%- for message in rest -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('users alternate') }}"
    "{%- endif -%}{%- endfor -%}" + PLAIN
)
BOTH = REFUSES.split("{%- for")[0] + ALTERNATES
DATED = "{{ 'Today: ' + strftime_now('%d %b %Y, %S') }}" + PLAIN
GUARDED = "{%- if not date is defined -%}{%- set date = strftime_now('%Y') -%}{%- endif -%}{{ date }}" + PLAIN
THINKS = PLAIN.replace("assistant\n", "assistant\n<think>\n")
SWITCH = (
    PLAIN + "{%- if enable_thinking is defined and not enable_thinking -%}{{ '<think>\n\n</think>\n\n' }}{%- endif -%}"
)

ONE: tuple[ChatRole, ...] = ("system", "user")
SEVERAL: tuple[ChatRole, ...] = ("system", "user", "assistant", "user")
NEIGHBOURS: tuple[ChatRole, ...] = ("system", "user", "user")


def ask(*roles: ChatRole, **changes: Any) -> Request:
    chat = tuple(Message(role, f"what {role} {number} says") for number, role in enumerate(roles or ONE))
    return replace(Request(chat, Sampling(), seed=0), **changes)


@pytest.fixture
def source(tiny_model: Path, tmp_path: Path) -> Any:
    def made(template: str, **options: Any) -> ModelSource:
        file = tmp_path / "chat.jinja"
        file.write_text(template)
        return ModelSource(str(tiny_model), chat_template=str(file), **options)

    return made


def by_both_ways(source: ModelSource, request: Request) -> list[str]:
    """What is said before anything is loaded, and with the tokenizer."""
    found = []
    prompts = Prompts(source)
    for check in (
        lambda: prompts.key(request),
        lambda: render_prompt(load_tokenizer(source), request, prompts=Prompts(source)),
    ):
        with pytest.raises(ConfigError) as caught:
            check()
        found.append(str(caught.value))
    return found


# What a message says is in the prompt, or nothing is asked


@pytest.mark.parametrize(
    ("template", "roles", "what", "option"),
    [
        (DROPS, ONE, "leaves out what system turns say (1 of 2 turns", "model.source.fold_system=true ("),
        (KEEPS_LAST, SEVERAL, "leaves out what user and assistant turns say (2 of 4", "chat_template=FILE"),
        (REFUSES, ONE, "no system turn here", "model.source.fold_system=true ("),
        (ALTERNATES, NEIGHBOURS, "users alternate", "model.source.merge_neighbours=true ("),
        (BOTH, NEIGHBOURS, "no system turn", "model.source.fold_system=true model.source.merge_neighbours=true ("),
        ("{{ raise_exception('never') }}", ONE, "never", "chat_template=FILE"),
    ],
)
def test_a_template_that_loses_or_refuses_turns_is_named_with_the_option_that_helps(
    source: Any, template: str, roles: tuple[ChatRole, ...], what: str, option: str
) -> None:
    for said in by_both_ways(source(template), ask(*roles)):
        assert "the chat template of " in said and what in said and option in said
    with pytest.raises(ConfigError):
        given = Prompts(source(template))
        given.first = ask(*roles)
        check_first(load_tokenizer(given.source), given)


@pytest.mark.parametrize("roles", [ONE, SEVERAL, NEIGHBOURS, ("system", "assistant", "user"), ("system",), ("user",)])
def test_with_the_options_every_template_gets_all_that_is_said(source: Any, roles: tuple[ChatRole, ...]) -> None:
    request = ask(*roles)
    for template in (DROPS, REFUSES, ALTERNATES if roles[1:2] != ("assistant",) else DROPS):
        wanted = source(template, fold_system=True, merge_neighbours=True)
        prompts = Prompts(wanted)
        assert prompts.key(request) == ()
        text = render_prompt(load_tokenizer(wanted), request, prompts=prompts)
        assert request.messages is not None
        places = [text.index(message.content) for message in request.messages]
        assert places == sorted(places)


def test_the_system_turn_opens_the_first_user_turn_and_neighbours_become_one() -> None:
    chat = [Message("system", "S"), Message("user", "U"), Message("user", "V"), Message("assistant", "A")]
    folded = (Message("user", "S\n\nU"), Message("user", "V"), Message("assistant", "A"))
    assert fitted(chat, ModelSource("m", fold_system=True)) == folded
    assert fitted(folded, ModelSource("m", fold_system=True)) == folded
    assert fitted(chat, ModelSource("m", merge_neighbours=True))[1] == Message("user", "U\n\nV")
    both = fitted(chat, ModelSource("m", fold_system=True, merge_neighbours=True))
    assert both == (Message("user", "S\n\nU\n\nV"), Message("assistant", "A"))
    assert fitted(chat, ModelSource("m")) == tuple(chat)


def test_a_persona_that_the_question_repeats_is_missed_all_the_same(source: Any) -> None:
    chat = (Message("system", "Pirate"), Message("user", "Are you a Pirate?"))
    by_both_ways(source(DROPS), replace(ask(), messages=chat))


def test_what_one_messages_text_makes_a_template_lose_is_that_requests_failure(source: Any) -> None:
    cuts = PLAIN.replace("message['content']", "message['content'].split('|')[0]")
    given = source(cuts)
    tokenizer, prompts = load_tokenizer(given), Prompts(given)
    assert prompts.key(ask()) == ()
    render_prompt(tokenizer, ask(), prompts=prompts)
    with pytest.raises(EngineError, match=r"leaves out a part of a user turn: 'a\|b'"):
        render_prompt(tokenizer, replace(ask(), messages=(Message("user", "a|b"),)), prompts=prompts)


def test_templates_may_trim_escape_and_take_reasoning_out_of_past_turns(source: Any) -> None:
    given = source(PLAIN.replace("message['content']", "message['content'].split('</think>')[-1] | trim"))
    chat = (Message("user", "  a\n"), Message("assistant", "<think>plan</think>\n\nAye."), Message("user", "b"))
    text = render_prompt(load_tokenizer(given), replace(ask(), messages=chat), prompts=Prompts(given))
    assert "Aye." in text and "plan" not in text
    lost = (Message("user", "a"), Message("assistant", "Said.<think>plan</think>Aye."), Message("user", "b"))
    with pytest.raises(EngineError, match="leaves out a part of an assistant turn"):
        render_prompt(load_tokenizer(given), replace(ask(), messages=lost), prompts=Prompts(given))
    assert says('{"content": "say \\"x\\"\\n"}', 'say "x"\n') and says("a b\nc", "a\nb c") and not says("abc", "abd")


def test_nothing_is_loaded_or_asked_where_the_template_drops_the_persona(source: Any, tmp_path: Path) -> None:
    class Never:
        likelihoods = False
        fingerprint = "never"
        started = False

        def __init__(self) -> None:
            self.prompt_key = Prompts(source(DROPS)).key

        async def start(self) -> None:
            self.started = True

    engine: Any = Never()
    with pytest.raises(ConfigError, match="leaves out what system turns say"):
        asyncio.run(StoredEngine(engine, CompletionStore(tmp_path / "s.sqlite")).generate(ask()))
    assert not engine.started


# Servers


def test_a_server_gets_the_chat_in_the_form_that_its_model_takes() -> None:
    engine = OpenAIOptions(base_urls=("http://127.0.0.1:1/v1",)).build(ModelSource("m", fold_system=True), None)  # type: ignore[arg-type]
    plain = OpenAIOptions(base_urls=("http://127.0.0.1:1/v1",)).build(ModelSource("m"), None)  # type: ignore[arg-type]
    assert [m["role"] for m in engine._body(ask())["messages"]] == ["user"]
    body = request_body(ask(), model="m", extended=True, send_seed=True, max_tokens_field="max_tokens")
    assert plain._body(ask()) == body
    assert engine.fingerprint != plain.fingerprint
    with pytest.raises(ConfigError, match=r"engine\.extra_body\.chat_template_kwargs"):
        OpenAIOptions(base_urls=("http://127.0.0.1:1/v1",)).build(
            ModelSource("m", template_options={"enable_thinking": False}),
            None,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("System role not supported", "fold_system"),
        ("Conversation roles must alternate user/assistant/user/assistant/...", "merge_neighbours"),
        ("After the optional system message, conversation roles must alternate", "merge_neighbours"),
    ],
)
def test_a_servers_refusal_names_the_option(message: str, option: str) -> None:
    assert f"model.source.{option}=true" in turns_hint(message)
    assert turns_hint("The model `x` does not exist.") == ""


# The store's key


def test_only_what_a_template_takes_from_elsewhere_is_in_the_key(
    source: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Prompts(ModelSource(str(tiny_model))).key(ask()) == ()
    assert Prompts(source(PLAIN)).key(ask()) == ()
    assert Prompts(source(THINKS)).key(ask()) == ("opened <think>\n",)
    assert Prompts(source(SWITCH)).key(ask()) == ()
    raw = replace(ask(), messages=None, prompt="Once")
    assert Prompts(source(DATED)).key(raw) == ()
    with caplog.at_level(logging.WARNING):
        (key,) = Prompts(source(DATED)).key(ask())
    assert key.startswith("date ") and "template_date=" in caplog.text
    pinned = source(DATED, template_date="2026-01-31")
    assert Prompts(pinned).key(ask()) == ()
    text = render_prompt(load_tokenizer(pinned), ask(), prompts=Prompts(pinned))
    assert text.startswith("Today: 31 Jan 2026, 00")
    assert Prompts(source(GUARDED)).key(ask()) != ()
    guarded = source(GUARDED, template_options={"date": "1888"})
    assert Prompts(guarded).key(ask()) == ()
    assert render_prompt(load_tokenizer(guarded), ask()).startswith("1888<|im_start|>")
    with pytest.raises(ConfigError, match=r"template_date='soon' is not a date"):
        Prompts(source(DATED, template_date="soon"))


def test_prompts_of_one_engine_have_one_date_and_another_days_answers_are_not_taken(
    source: Any, tmp_path: Path
) -> None:
    class Clock:
        likelihoods = False
        fingerprint = "clock"
        asked = 0

        def __init__(self, source: ModelSource) -> None:
            self.prompts = Prompts(source)
            self.prompt_key = self.prompts.key

        async def start(self) -> None: ...

        async def generate(self, request: Request) -> Completion:
            self.asked += 1
            return Completion("Aye.", "stop", 1, 1)

    async def asked_by(engines: list[Any]) -> list[int]:
        store = CompletionStore(tmp_path / "s.sqlite")
        for engine in engines:
            for _ in range(2):
                await StoredEngine(engine, store).generate(ask())
        return [engine.asked for engine in engines]

    engines: list[Any] = [Clock(source(DATED)) for _ in range(2)]
    engines[1].prompts.now = engines[1].prompts.now.replace(year=1999)
    assert asyncio.run(asked_by(engines)) == [1, 1]


def test_options_are_part_of_the_fingerprint_and_defaults_are_not(tiny_model: Path) -> None:
    plain = ModelSource(str(tiny_model))
    changed: list[dict[str, Any]] = [
        {"template_options": {"enable_thinking": False}},
        {"template_date": "2026-01-31"},
        {"fold_system": True},
        {"merge_neighbours": True},
    ]
    found = {model_fingerprint(replace(plain, **change)) for change in changed}
    assert len(found | {model_fingerprint(plain)}) == 5
    hash(replace(plain, **changed[0]))


# Reasoning that the template opens


@pytest.mark.parametrize(
    ("template", "options", "begins"),
    [
        (PLAIN, {}, ""),
        (THINKS, {}, "<think>\n"),
        (SWITCH, {}, ""),
        (SWITCH, {"template_options": {"enable_thinking": False}}, ""),
        (PLAIN + "[THINK]", {}, "[THINK]"),
        (PLAIN + "<seed:think>", {}, "<seed:think>"),
        (PLAIN + "{{ '<reasoning>\n' }}", {}, "<reasoning>\n"),
    ],
)
def test_a_tag_that_the_template_opens_belongs_to_the_text(
    source: Any, template: str, options: dict[str, Any], begins: str
) -> None:
    given = source(template, **options)
    tokenizer = load_tokenizer(given)
    ids, begun = opened_prompt(tokenizer, ask(), prompts=Prompts(given))
    assert begun == begins and tokenizer.decode(ids).endswith(begins)
    assert opened_prompt(tokenizer, ask(prefill="Aye"))[1] == f"{begins}Aye"
    assert opened_prompt(tokenizer, ask(json_schema="{}"))[1] == ""
    assert opened_prompt(tokenizer, ask(messages=None, prompt=f"x{begins}"))[1] == ""


def test_options_of_the_template_reach_the_prompt(source: Any) -> None:
    given = source(SWITCH, template_options={"enable_thinking": False, "unused": None, "words": "a 'b' \"c\""})
    text = render_prompt(load_tokenizer(given), ask())
    assert text.endswith("assistant\n<think>\n\n</think>\n\n")
    assert opened_reasoning("x<think>\n y") == "" and opened_reasoning("x <THINK>\n") == "<THINK>\n"


# No template at all


def test_a_model_without_template_is_refused_by_its_first_request(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "base-model"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("chat_template*"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    prompts = Prompts(ModelSource(str(folder)))
    assert prompts.key(ask()) == ()
    with pytest.raises(ConfigError, match=r"has no chat template: set model\.source\.chat_template"):
        prompts.check(ask())  # without a tokenizer, before anything is asked
    prompts.check(replace(ask(), messages=None, prompt="raw"))
    Prompts(ModelSource(str(tiny_model))).check(ask())
    with pytest.raises(ConfigError, match=r"has no chat template: set model\.source\.chat_template"):
        check_first(load_tokenizer(prompts.source), prompts)


def test_a_template_with_a_byte_order_mark_is_the_same(source: Any) -> None:
    given = source(f"\ufeff{PLAIN}")
    assert render_prompt(load_tokenizer(given), ask()).startswith("<|im_start|>system")
