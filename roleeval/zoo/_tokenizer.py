"""The small models' tokenizer: byte-level BPE learned from the training texts, with a ChatML-like template."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"

# Plain tokens, not special ones: they stay visible in decoded text, where a reasoning family's parser looks for them.
_TAGS = tuple(
    f"<{end}{tag}>" for tag in ("think", "system_thinking", "role_thinking", "role_action") for end in ("", "/")
)
_RESERVED = tuple(f"<|reserved_{i}|>" for i in range(8))
_SPECIAL = (END_OF_TEXT, TURN_START, TURN_END, *_RESERVED)
FIRST_PLAIN_TOKEN = len(_SPECIAL)

_CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, max_length: int) -> "PreTrainedTokenizerFast":
    """Learns a tokenizer of exactly `vocab_size` tokens or fewer; any text in Unicode's NFC round-trips.

    Args:
        texts: what the merges are learned from; the same texts in the same order give the same tokenizer.
        vocab_size: tokens at most, special and reserved ones included.
        max_length: the model's context length, recorded for its users.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(_TAGS),
        min_frequency=2,
        special_tokens=list(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=24,  # bytes: eight Chinese characters; longer tokens would be whole remembered phrases
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in _TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START, *_RESERVED],
        chat_template=_CHAT_TEMPLATE,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
