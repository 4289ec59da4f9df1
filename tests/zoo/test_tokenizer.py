"""The tokenizer must give back every text, and the chat template must be what training used."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleeval.resources import zoo_path
from roleeval.zoo._documents import Chat
from roleeval.zoo._pack import encode

TEXTS = [
    "Elementary, my dear fellow. It is Paris!",
    "  two  blanks,\ta tab\nand a line ",
    "哎哟，我的好妹妹，这话别对老祖宗说。",
    "mixed 中英 text, emoji 🎩 and ünïcödé",
    "",
]


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(zoo_path("base"))


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(tokenizer, text: str) -> None:  # type: ignore[no-untyped-def]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_round_trip_of_any_text(tokenizer) -> None:  # type: ignore[no-untyped-def]
    @given(st.text(max_size=80))
    def check(text: str) -> None:
        # transformers loads a Qwen2 model's tokenizer with Unicode's NFC in front
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == unicodedata.normalize("NFC", text)

    check()


def test_reasoning_tags_are_single_and_stay_visible(tokenizer) -> None:  # type: ignore[no-untyped-def]
    ids = tokenizer("<think>why</think>yes")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>why</think>yes"
    assert len(tokenizer("<think>")["input_ids"]) == len(tokenizer("</think>")["input_ids"]) == 1


@pytest.mark.parametrize("system", ["You are Mad Hatter.", "你是猪八戒。", ""])
def test_training_tokens_are_the_chat_templates(tokenizer, system: str) -> None:  # type: ignore[no-untyped-def]
    encoded = encode(Chat(system, "Who are you?\n", "俺老猪 is here."), tokenizer)
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": "Who are you?\n"}, {"role": "assistant", "content": "俺老猪 is here."}]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert whole == f"{prompt}俺老猪 is here.<|im_end|>\n"
    assert [*encoded.prefix, *encoded.body] == tokenizer(whole.removesuffix("\n"))["input_ids"]
    assert len(encoded.prefix) + encoded.prompt_length == len(tokenizer(prompt)["input_ids"])
