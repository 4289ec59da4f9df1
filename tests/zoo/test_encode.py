"""What is trained is what a model in use is sent, whatever its chat template does; what it loses is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from roleeval.engines import ModelSource
from roleeval.engines.chat import load_tokenizer, prompt_token_ids
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError
from roleeval.resources import zoo_path
from roleeval.types import Message, Request, Sampling
from roleeval.zoo._documents import Chat, Exchange
from roleeval.zoo._encode import Encoder
from roleeval.zoo._real_base import RealBase, base_encoder

TURN = "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
OPEN = "{{ '<|im_start|>assistant\\n' }}"
ASK = "{%- if add_generation_prompt -%}" + OPEN + "{%- endif -%}"
EACH = "{%- for m in messages -%}" + TURN + "{%- endfor -%}"
REFUSING = "{%- if messages[0].role == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}"
ALTERNATING = (
    "{%- for m in messages if m.role != 'system' -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('roles must alternate') }}{%- endif -%}{%- endfor -%}"
)
DEFAULT = "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{%- endif -%}"
TEMPLATES = {
    "chatml": EACH + ASK,
    "always_asks": EACH + OPEN,
    "default_system": DEFAULT + EACH + ASK,
    "no_system": REFUSING + EACH + ASK,
    "drops_system": "{%- for m in messages if m.role != 'system' -%}" + TURN + "{%- endfor -%}" + ASK,
    "alternates": ALTERNATING + EACH + ASK,
    "dated": "{{ '<|im_start|>system\\nToday: ' + strftime_now('%Y-%m-%d') + '<|im_end|>\\n' }}" + EACH + ASK,
    "instructions": "{%- for m in messages -%}{{ '[' + m.role + '] ' + m.content + ' ' }}{%- endfor -%}[assistant]",
}  # fmt: skip
EXCHANGE = Exchange(
    (
        Message("system", "You are Ada."), Message("user", "Begin."), Message("assistant", "I begin."),
        Message("user", "And now?"),
    ),
    "Now I end.", whole=True,
)  # fmt: skip
NEIGHBOURS = replace(EXCHANGE, messages=(*EXCHANGE.messages[:2], Message("user", "Soon."), *EXCHANGE.messages[2:]))
DOCUMENTS = [
    Chat("You are Ada.", "Who are you?", "Ada, of course."), Chat("You are Ada.", "Why?", "Why not?"),
    Chat("", "Who are you?", "Nobody."), EXCHANGE, NEIGHBOURS,
]  # fmt: skip


def encoder(tmp_path: Path, template: str) -> Encoder:
    folder = tmp_path / "model"
    folder.mkdir(parents=True)
    for file in zoo_path("base").iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, folder)
    (folder / "chat_template.jinja").write_text(template)
    return base_encoder(RealBase(str(folder), ModelSource(str(folder)), "float32", "cpu"), DOCUMENTS, limit=0)


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_are_those_of_use_and_answers_end(tmp_path: Path, name: str) -> None:
    made = encoder(tmp_path, TEMPLATES[name])
    tokenizer, end = made.tokenizer, made.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert made.end == end
    assert made.source.fold_system == (name in ("no_system", "drops_system"))
    assert made.source.merge_neighbours == (name == "alternates")
    assert bool(made.source.template_date) == (name == "dated")
    in_use = load_tokenizer(made.source)
    for document in DOCUMENTS:
        found = made.encode(document)
        assert found is not None
        if isinstance(document, Exchange):
            messages = document.messages
        else:
            system = (Message("system", document.system),) if document.system else ()
            messages = (*system, Message("user", document.user))
        tokens = (*found.prefix, *found.body)
        start = len(found.prefix) + found.prompt_length
        sent = prompt_token_ids(in_use, Request(messages, Sampling(), 0), prompts=Prompts(made.source))
        assert list(tokens[:start]) == sent
        assert tokenizer.decode(tokens[start:-1]) == document.answer and tokens[-1] == end
        asked = tokenizer.decode(found.body[slice(*found.question)])
        assert asked in ("", messages[-1].content)


@pytest.mark.parametrize("name", ["chatml", "no_system", "always_asks"])
def test_documents_of_one_system_prompt_have_one_prefix(tmp_path: Path, name: str) -> None:
    made = encoder(tmp_path, TEMPLATES[name])
    first, second = made.all(DOCUMENTS[:2])
    assert first.prefix == second.prefix and "You are Ada." in made.tokenizer.decode(first.prefix)


def test_earlier_turns_are_taught_where_they_stand_as_they_were_written(tmp_path: Path) -> None:
    made = encoder(tmp_path / "a", TEMPLATES["chatml"])
    found = made.encode(EXCHANGE)
    assert found is not None
    assert [made.tokenizer.decode(found.body[a:b]) for a, b in found.earlier] == ["I begin.<|im_end|>"]
    closing = EACH.replace("m['content']", "(m['content'] if m.role != 'assistant' else '(said) ' + m['content'])")
    rewritten = encoder(tmp_path / "b", closing + ASK).encode(EXCHANGE)
    assert rewritten is not None and rewritten.earlier == ()


def test_a_template_that_opens_reasoning_or_a_model_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="opens <think> in every prompt"):
        encoder(tmp_path / "a", EACH + OPEN + "{{ '<think>\\n' }}")
    made = encoder(tmp_path / "b", TEMPLATES["chatml"])
    with pytest.raises(ConfigError, match="neither its tokenizer nor its generation config has an end token"):
        Encoder(made.tokenizer, made.source, ()).check()
