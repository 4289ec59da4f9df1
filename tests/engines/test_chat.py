"""The prompt a model reads: a wrong token here and every number of a run is of another model."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from roleeval.engines import ModelSource, request_key
from roleeval.engines.chat import (
    load_tokenizer,
    output_text,
    prompt_token_ids,
    render_prompt,
    special_tokens,
    stop_token_ids,
)
from roleeval.engines.openai._wire import request_body
from roleeval.errors import ConfigError, EngineError
from roleeval.types import Message, Request, Sampling

CHAT = (Message("system", "You are Holmes."), Message("user", "Who are you?"))


def ask(messages: tuple[Message, ...] | None = CHAT, *, prompt: str | None = None, prefill: str = "") -> Request:
    return Request(messages, Sampling(), seed=0, prompt=prompt, prefill=prefill)


def test_a_chat_is_rendered_with_the_turn_opened_and_prefilled(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(ModelSource(str(tiny_model)))
    assert render_prompt(tokenizer, ask(prefill="I am ")) == (
        "<|im_start|>system\nYou are Holmes.<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\nI am "
    )


def test_a_raw_prompt_passes_as_it_is(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(ModelSource(str(tiny_model)))
    prompt = "  two spaces <|im_end|>\n\ntwo lines\n"
    assert render_prompt(tokenizer, ask(None, prompt=prompt)) == prompt
    assert tokenizer.decode(prompt_token_ids(tokenizer, ask(None, prompt=prompt))) == prompt


def test_the_template_writes_the_only_special_tokens(tiny_model: Path, tmp_path: Path) -> None:
    """A tokenizer that prepends its own BOS would give a templated chat two of them."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    tokenizer.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelSource(str(tmp_path)))
    assert tokenizer.encode("hello")[0] == 1
    ids = prompt_token_ids(tokenizer, ask())
    assert ids.count(1) == 3
    assert ids[:2] != [1, 1]


def test_a_raw_prompt_gets_the_tokenizers_own_tokens_only_where_it_asks(tiny_model: Path, tmp_path: Path) -> None:
    """HyCoRA asks Llama without its BOS, and ChatGLM2 behind two prefix tokens that no text stands for."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> <|im_start|> $A", special_tokens=[("<|pad|>", 0), ("<|im_start|>", 1)]
    )
    tokenizer.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(ModelSource(str(tmp_path)))
    bare = prompt_token_ids(tokenizer, ask(None, prompt="[INST]Who?[/INST]"))
    assert 0 not in bare and 1 not in bare
    prefixed = replace(ask(None, prompt="[INST]Who?[/INST]"), prompt_special_tokens=True)
    assert prompt_token_ids(tokenizer, prefixed) == [0, 1, *bare]
    unprefixed = replace(prefixed, prompt_special_tokens=False)
    assert request_key("engine", prefixed) != request_key("engine", unprefixed)
    for asked in (prefixed, unprefixed):
        body = request_body(asked, model="m", extended=True, send_seed=True, max_tokens_field="max_tokens")
        assert body["add_special_tokens"] is asked.prompt_special_tokens


def test_a_stop_string_names_the_special_tokens_that_begin_with_it(tiny_model: Path, tmp_path: Path) -> None:
    """They never show in a text, so looking for the string there would never stop."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    reserved = [f"<|reserved_special_token_{number}|>" for number in range(3)]
    tokenizer.add_tokens([*reserved, "<|eot_id|>"], special_tokens=True)
    tokenizer.save_pretrained(tmp_path)
    special = special_tokens(load_tokenizer(ModelSource(str(tmp_path))))
    ids = tokenizer.convert_tokens_to_ids(reserved)
    assert stop_token_ids(special, ["<|reserved_special_token"]) == sorted(ids)
    assert stop_token_ids(special, ["<|eot_id|>", "<|im_end|>"]) == sorted([special["<|eot_id|>"], 2])
    assert stop_token_ids(special, ["", "the", "\n"]) == []


def test_the_template_file_replaces_the_models_own(tiny_model: Path, tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[bot] ")
    tokenizer = load_tokenizer(ModelSource(str(tiny_model), chat_template=str(template)))
    assert render_prompt(tokenizer, ask()) == "[system] You are Holmes.\n[user] Who are you?\n[bot] "


def test_a_missing_template_file_is_named(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.source\.chat_template=.*none\.jinja"):
        load_tokenizer(ModelSource(str(tiny_model), chat_template=str(tmp_path / "none.jinja")))


def test_a_base_model_without_template_takes_raw_prompts_only(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "base-model"
    shutil.copytree(tiny_model, model, ignore=shutil.ignore_patterns("chat_template*"))
    tokenizer = load_tokenizer(ModelSource(str(model)))
    with pytest.raises(ConfigError, match=r"base-model has no chat template: set model\.source\.chat_template"):
        render_prompt(tokenizer, ask())
    assert render_prompt(tokenizer, ask(None, prompt="Once")) == "Once"


@pytest.mark.parametrize("template", ["{{ raise_exception('no system role') }}", "{% for %}"])
def test_a_template_that_refuses_or_is_broken_is_a_fault_of_the_model(
    tiny_model: Path, tmp_path: Path, template: str
) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(template)
    tokenizer = load_tokenizer(ModelSource(str(tiny_model), chat_template=str(file)))
    with pytest.raises(ConfigError, match=r"chat template of .* refused the messages \(roles \['system', 'user'\]\)"):
        render_prompt(tokenizer, ask())


@pytest.mark.parametrize("request_", [ask(None), ask(prompt="both"), ask(None, prompt="")])
def test_a_request_without_one_prompt_is_refused(tiny_model: Path, request_: Request) -> None:
    with pytest.raises(EngineError, match="prompt"):
        prompt_token_ids(load_tokenizer(ModelSource(str(tiny_model))), request_)


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=str(tmp_path)):
        load_tokenizer(ModelSource(str(tmp_path)))


@pytest.mark.parametrize("text", ["I am here.", " and spaces  stay , as they are .", "你是谁？", "\n\nlines\n"])
def test_output_text_is_what_the_tokens_add(tiny_model: Path, text: str) -> None:
    tokenizer = load_tokenizer(ModelSource(str(tiny_model)))
    prompt = prompt_token_ids(tokenizer, ask())
    assert output_text(tokenizer, prompt, tokenizer.encode(text)) == text


def test_output_text_keeps_the_space_that_sentencepiece_drops_from_a_first_token(tmp_path: Path) -> None:
    """With Llama 2's tokenizer, "My name" + " is" would be read back as "My nameis"."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "▁My": 1, "▁name": 2, "▁is": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    assert tokenizer.decode([3]) == "is"
    assert output_text(tokenizer, [1, 2], [3]) == " is"


def test_output_text_leaves_out_a_cut_character_and_special_tokens(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(ModelSource(str(tiny_model)))
    clef = tokenizer.encode("ok 𝄞")
    assert output_text(tokenizer, [5], clef[:-1]) == "ok "
    assert output_text(tokenizer, [5], [*clef, 2]) == "ok 𝄞"
