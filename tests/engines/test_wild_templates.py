"""Chat templates as models ship them: for each kind, the tokens that are sent are those its authors send.

The templates are our own and do what such templates do; tokens are those of a real tokenizer that, as Llama's and
Gemma's, puts a BOS in front of any text.
"""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import Abilities, ModelSource
from roleeval.engines.chat import load_tokenizer, opened_prompt
from roleeval.engines.habits import Habits
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError
from roleeval.types import ChatRole, Message, Request, Sampling

BOS, EOS = "<s>", "</s>"
SPECIAL = (
    *(
        "<start_of_turn>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    *("<|User|>", "<|Assistant|>", "<think>", "</think>", "<tools>"),
)
S, U, A, V = ("system", "You are Ada."), ("user", " Who are you?"), ("assistant", "I am Ada."), ("user", "Why?")
Turns = tuple[tuple[ChatRole, str], ...]

# Takes no system turn, names the assistant "model", trims, and writes the BOS (Gemma 2).
NO_SYSTEM = (
    "{{ bos_token }}"
    "{%- if messages[0].role == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}"
    "{%- for m in messages -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + (m.content | trim)"
    " + '<end_of_turn>\n' }}{%- endfor -%}{{ '<start_of_turn>model\n' if add_generation_prompt }}"
)
# Puts the system turn into the first user turn by itself (Gemma 3).
FOLDS = (
    "{{ bos_token }}{%- set first = '' -%}{%- set rest = messages -%}{%- if messages[0].role == 'system' -%}"
    "{%- set first = messages[0].content + '\n\n' -%}{%- set rest = messages[1:] -%}{%- endif -%}"
    "{%- for m in rest -%}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n'"
    " + (first if loop.first else '') + (m.content | trim) + '<end_of_turn>\n' }}{%- endfor -%}"
    "{{ '<start_of_turn>model\n' if add_generation_prompt }}"
)
# Strictly in turn, and the system turn stands before the last question (Mistral).
IN_TURN = (
    "{{ bos_token }}{%- set system = messages[0].content if messages[0].role == 'system' else '' -%}"
    "{%- set rest = messages[1:] if system else messages -%}{%- for m in rest -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('After the optional system message, conversation roles must alternate user/assistant') }}"
    "{%- endif -%}{%- if m.role == 'user' -%}"
    "{{ '[INST]' + (system + '\n\n' if loop.last and system else '') + m.content + '[/INST]' }}"
    "{%- else -%}{{ m.content + eos_token }}{%- endif -%}{%- endfor -%}"
)
CHAT = "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor -%}"
OPEN = "{{ '<|im_start|>assistant\n' if add_generation_prompt }}"
# Writes a system turn of its own where none is given (Qwen2.5).
DEFAULT = (
    "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\nYou are Mill.<|im_end|>\n' }}{%- endif -%}"
    + CHAT
    + OPEN
)
# Always has a system turn, with the date in it (Llama 3).
DATED = (
    "{{ bos_token }}{%- set date = date_string if date_string is defined else strftime_now('%d %b %Y') -%}"
    "{%- set given = messages[0].role == 'system' -%}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date + '\n\n'"
    " + (messages[0].content | trim if given else '') + '<|eot_id|>' }}"
    "{%- for m in (messages[1:] if given else messages) -%}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + (m.content | trim) + '<|eot_id|>' }}{%- endfor -%}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' if add_generation_prompt }}"
)
# Takes reasoning out of past answers, and can close it ahead (Qwen3).
DROPS_REASONING = (
    "{%- for m in messages -%}{%- set said = m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant'"
    " else m.content -%}{{ '<|im_start|>' + m.role + '\n' + said + '<|im_end|>\n' }}{%- endfor -%}"
    + OPEN
    + "{%- if enable_thinking is defined and enable_thinking is false -%}{{ '<think>\n\n</think>\n\n' }}{%- endif -%}"
)
# No turn marks around the system prompt; opens the reasoning, and takes it out of past answers (DeepSeek-R1).
OPENS_REASONING = (
    "{{ bos_token }}{%- for m in messages -%}{%- if m.role == 'system' -%}{{ m.content }}"
    "{%- elif m.role == 'user' -%}{{ '<|User|>' + m.content }}"
    "{%- else -%}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{%- endif -%}{%- endfor -%}"
    "{{ '<|Assistant|><think>\n' if add_generation_prompt }}"
)
# Explains tools to the model where there are any.
TOOLS = (
    "{%- if tools -%}{{ '<|im_start|>system\n<tools>' + (tools | tojson) + '<|im_end|>\n' }}{%- endif -%}"
    "{%- if documents -%}{{ 'documents' }}{%- endif -%}" + CHAT + OPEN
)


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer with the special tokens of many."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"bos_token": BOS, "eos_token": EOS})
    tokenizer.add_tokens(list(SPECIAL), special_tokens=True)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.bos_token_id)]
    )
    path = tmp_path_factory.mktemp("wild")
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def source(folder: Path, tmp_path: Path) -> Callable[..., ModelSource]:
    def made(template: str, **options: Any) -> ModelSource:
        file = tmp_path / "chat.jinja"
        file.write_text(template)
        return ModelSource(str(folder), chat_template=str(file), **options)

    return made


def request(turns: Turns, **more: Any) -> Request:
    return Request(tuple(Message(role, text) for role, text in turns), Sampling(), 0, **more)


def sent(source: ModelSource, turns: Turns, **more: Any) -> list[int]:
    """What a model is sent, which is the same by both ways of counting."""
    prompts = Prompts(source)
    prompts.check(request(turns, **more))
    ids, _ = opened_prompt(load_tokenizer(source), request(turns, **more), prompts=prompts)
    assert Abilities(source, prompts, None).prompt(request(turns, **more), exact=False) == ids
    return ids


def tokens(source: ModelSource, *parts: str) -> list[int]:
    """Special tokens by name, and texts between them."""
    tokenizer = load_tokenizer(source)
    known = tokenizer.get_added_vocab()
    ids = [[known[part]] if part in known else tokenizer.encode(part, add_special_tokens=False) for part in parts]
    return [token for each in ids for token in each]


def turn(role: str, text: str) -> tuple[str, ...]:
    return "<start_of_turn>", f"{role}\n{text}", "<end_of_turn>", "\n"


def chatml(role: str, text: str) -> tuple[str, ...]:
    return "<|im_start|>", f"{role}\n{text}", "<|im_end|>", "\n"


def header(role: str, text: str) -> tuple[str, ...]:
    return "<|start_header_id|>", role, "<|end_header_id|>", f"\n\n{text}"


def habits(source: ModelSource) -> Habits:
    return Habits(Prompts(source).template)


def test_a_model_without_system_turns_gets_the_persona_in_the_first_question_and_one_bos(source: Any) -> None:
    with pytest.raises(ConfigError, match=r"System role not supported.*model\.source\.fold_system=true"):
        sent(source(NO_SYSTEM), (S, U))
    given = source(NO_SYSTEM, fold_system=True)
    folded = turn("user", "You are Ada.\n\n Who are you?")
    assert sent(given, (S, U)) == tokens(given, BOS, *folded, "<start_of_turn>", "model\n")
    several = (*folded, *turn("model", "I am Ada."), *turn("user", "Why?"), "<start_of_turn>", "model\n")
    assert sent(given, (S, U, A, V)) == tokens(given, BOS, *several)


def test_a_template_that_folds_by_itself_needs_no_option_and_gets_the_same(source: Any) -> None:
    turns: Turns = (S, ("user", "Who are you?"), A, V)
    by_itself, by_option = (sent(source(FOLDS, fold_system=fold), turns) for fold in (False, True))
    assert by_itself == by_option == sent(source(NO_SYSTEM, fold_system=True), turns)


def test_turns_that_must_alternate(source: Any) -> None:
    plain = source(IN_TURN)
    wanted = ("[INST]", " Who are you?", "[/INST]", "I am Ada.", EOS, "[INST]", "You are Ada.\n\nWhy?", "[/INST]")
    assert sent(plain, (S, U, A, V)) == tokens(plain, BOS, *wanted)
    with pytest.raises(ConfigError, match=r"roles must alternate.*model\.source\.merge_neighbours=true"):
        sent(plain, (S, U, V))
    merged = source(IN_TURN, merge_neighbours=True)
    asked = "You are Ada.\n\n Who are you?\n\nWhy?"
    assert sent(merged, (S, U, V)) == tokens(merged, BOS, "[INST]", asked, "[/INST]")
    with pytest.raises(ConfigError, match="roles must alternate"):  # a scene that the character opens: no option helps
        sent(merged, (S, A, V))


def test_a_bos_that_template_and_tokenizer_both_write_is_sent_once(source: Any) -> None:
    for template in (NO_SYSTEM, FOLDS, IN_TURN, DATED, OPENS_REASONING):
        given = source(template, fold_system=True, template_date="2026-01-31")
        ids = sent(given, (S, U, A, V))
        (bos,) = tokens(given, BOS)
        assert ids[0] == bos and ids.count(bos) == 1
    bare = source(DEFAULT)  # its authors' code adds none to a rendered chat
    assert tokens(bare, BOS)[0] not in sent(bare, (S, U))


def test_a_default_system_prompt_appears_where_none_is_given_and_only_there(source: Any) -> None:
    given = source(DEFAULT)
    own, asked = chatml("system", "You are Mill."), (*chatml("user", " Who are you?"), "<|im_start|>", "assistant\n")
    assert sent(given, (U,)) == tokens(given, *own, *asked)
    assert sent(given, (S, U)) == tokens(given, *chatml("system", "You are Ada."), *asked)
    assert sent(given, (("system", ""), U)) == tokens(given, *chatml("system", ""), *asked)
    folded = source(DEFAULT, fold_system=True)
    question = chatml("user", "You are Ada.\n\n Who are you?")
    assert sent(folded, (S, U)) == tokens(folded, *own, *question, "<|im_start|>", "assistant\n")


@pytest.mark.parametrize(("template", "own"), [(DEFAULT, "You are Mill."), (DATED, ""), (CHAT + OPEN, ""), (FOLDS, "")])
def test_a_system_prompt_of_the_templates_own_is_known_before_a_run(source: Any, template: str, own: str) -> None:
    given = source(template, template_date="2026-01-31")
    assert habits(given).own_system == own


def test_the_date_is_that_of_the_day_or_the_given_one(source: Any) -> None:
    asked = (*header("user", "Who are you?"), "<|eot_id|>", *header("assistant", ""))
    pinned = source(DATED, template_date="2026-01-31")
    dated = header("system", "Today Date: 31 Jan 2026\n\nYou are Ada.")
    assert sent(pinned, (S, U)) == tokens(pinned, BOS, *dated, "<|eot_id|>", *asked)
    without = header("system", "Today Date: 31 Jan 2026\n\n")
    assert sent(pinned, (U,)) == tokens(pinned, BOS, *without, "<|eot_id|>", *asked)
    today = source(DATED)
    (fact,) = Prompts(today).key(request((S, U)))
    assert fact == f"date {datetime.datetime.now():%d %b %Y}"
    named = source(DATED, template_options={"date_string": "26 Jul 2024"})
    assert Prompts(named).key(request((S, U))) == ()


def test_reasoning_of_past_answers_is_dropped_and_what_was_said_stays(source: Any) -> None:
    given = source(DROPS_REASONING)
    thought: tuple[ChatRole, str] = ("assistant", "<think>\nA child?\n</think>\n\nI am Ada.")
    tail = (*chatml("user", "Why?"), "<|im_start|>", "assistant\n")
    kept = (
        *chatml("system", "You are Ada."),
        *chatml("user", " Who are you?"),
        *chatml("assistant", "I am Ada."),
        *tail,
    )
    assert sent(given, (S, U, thought, V)) == sent(given, (S, U, A, V)) == tokens(given, *kept)
    closed = source(DROPS_REASONING, template_options={"enable_thinking": False})
    assert sent(closed, (S, U, A, V)) == tokens(given, *kept, "<think>", "\n\n", "</think>", "\n\n")
    assert Prompts(closed).key(request((S, U))) == () and habits(closed).closed_reasoning == "<think>\n\n</think>\n\n"
    assert habits(given).closed_reasoning == ""


def test_reasoning_that_the_template_opens_begins_the_answer(source: Any) -> None:
    given = source(OPENS_REASONING)
    thought: tuple[ChatRole, str] = ("assistant", "A child?\n</think>I am Ada.")
    wanted = ("You are Ada.", "<|User|>", " Who are you?", "<|Assistant|>", "I am Ada.", EOS, "<|User|>", "Why?")
    opened = ("<|Assistant|>", "<think>", "\n")
    assert sent(given, (S, U, thought, V)) == tokens(given, BOS, *wanted, *opened)
    assert opened_prompt(load_tokenizer(given), request((S, U)), prompts=Prompts(given))[1] == "<think>\n"
    assert Prompts(given).key(request((S, U))) == ("opened <think>\n",)


def test_no_tools_are_explained_where_none_are_given(source: Any) -> None:
    given = source(TOOLS)
    plain = source(CHAT + OPEN)
    assert sent(given, (S, U)) == sent(plain, (S, U))


def test_of_several_templates_the_default_one_is_sent(folder: Path, tmp_path: Path) -> None:
    """As Command R has it: another template for tools, another for documents."""
    import shutil

    several = tmp_path / "several"
    shutil.copytree(folder, several, ignore=shutil.ignore_patterns("chat_template*"))
    config = json.loads((several / "tokenizer_config.json").read_text())
    named = {"default": CHAT + OPEN, "tool_use": TOOLS, "rag": "{{ 'documents' }}"}
    config["chat_template"] = [{"name": name, "template": text} for name, text in named.items()]
    (several / "tokenizer_config.json").write_text(json.dumps(config))
    given = ModelSource(str(several))
    asked = (*chatml("user", " Who are you?"), "<|im_start|>", "assistant\n")
    assert sent(given, (S, U)) == tokens(given, *chatml("system", "You are Ada."), *asked)


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (NO_SYSTEM, "<end_of_turn>"),
        (IN_TURN, ""),
        (DEFAULT, "<|im_end|>"),
        (DATED, "<|eot_id|>"),
        (OPENS_REASONING, ""),
    ],
)
def test_a_turn_that_nothing_ends_is_known_before_a_run(source: Any, template: str, end: str) -> None:
    """This tokenizer's own end is </s>: for the others it takes the generation config's list, or a stop string."""
    given = source(template)
    able = Abilities(given, Prompts(given), None)
    assert able.unended(Sampling()) == end
    assert able.unended(Sampling(stop=(end,) if end else ())) == ""
