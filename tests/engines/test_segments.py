"""A prompt put together from pieces has the tokenizer's own ids, or every number of a run is of another model."""

import random
from typing import Any

import pytest

from roleeval.engines import ModelSource
from roleeval.engines._segments import Segments
from roleeval.engines.chat import load_tokenizer
from roleeval.resources import zoo_path

PIECES = (
    *("Elementary, ", "my dear", "  Watson", "\n", "\n\n", " ", "'s", "你是谁？", "12", "é", "<|im_", "end|>", "\ttab"),
    *("<think>", "</think>", "𝄞", "<s>", "</s>", "<|im_end|><|im_start|>", "a<|im_start|> b", "<|im_end|>\n"),
)


def texts(count: int) -> list[str]:
    rng = random.Random(5)
    return ["".join(rng.choices(PIECES, k=rng.randint(0, 12))) for _ in range(count)]


def encoded(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def sentencepiece(scheme: str, **token: bool) -> Any:
    """A tokenizer in Llama 2's manner, over single characters."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted({*"".join(PIECES), "▁"})
    words = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, [], unk_token="▁"))
    words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    words.add_special_tokens([AddedToken(name, normalized=False, **token) for name in ("<s>", "</s>", "</s>\n")])
    return PreTrainedTokenizerFast(tokenizer_object=words)


def test_the_small_models_prompts_are_cut_and_keep_their_ids() -> None:
    tokenizer = load_tokenizer(ModelSource(str(zoo_path("base"))))
    segments = Segments(tokenizer)
    assert segments._cut is not None
    for text in texts(400):
        assert segments.ids(text) == encoded(tokenizer, text), text


@pytest.mark.parametrize(
    ("scheme", "token", "cut"),
    [
        ("always", {}, True),
        ("never", {}, True),
        ("first", {}, False),  # a space before the first word of a text alone
        ("always", {"rstrip": True}, False),  # the white space behind a special token is a part of it
        ("always", {"single_word": True}, False),
    ],
)
def test_other_tokenizers_are_cut_only_where_that_changes_nothing(
    scheme: str, token: dict[str, bool], cut: bool
) -> None:
    tokenizer = sentencepiece(scheme, **token)
    segments = Segments(tokenizer)
    assert (segments._cut is not None) is cut
    for text in texts(400):
        assert segments.ids(text) == encoded(tokenizer, text), text


def test_what_was_said_before_is_not_tokenised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer(ModelSource(str(zoo_path("base"))))
    segments = Segments(tokenizer)
    segments.ids("<|im_start|>system\nYou are Holmes.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n")
    seen: list[str] = []
    original = tokenizer.encode
    monkeypatch.setattr(tokenizer, "encode", lambda text, **o: (seen.append(text), original(text, **o))[1])
    segments.ids("<|im_start|>system\nYou are Holmes.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n")
    assert seen == ["user\nWhere?"]
