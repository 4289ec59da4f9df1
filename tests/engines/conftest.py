"""A tiny random model with tokenizer, chat template and LoRA adapters: real files, seeded, made once per session."""

from pathlib import Path

import pytest

ADAPTERS = 3
RANK = 8
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TEXTS = (
    "Who are you, and what do you want from me? I am the captain of this ship, and you will answer.",
    "My name is Sherlock Holmes. It is my business to know what other people do not know.",
    "The wizard looked at the ring and said nothing; the fire crackled, and the rain fell on the roof.",
    "To be, or not to be, that is the question: whether it is nobler in the mind to suffer.",
    "你是谁？我是这里的主人，请告诉我你的名字。",
    '{"score": 3, "reason": "stays in character"}',
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vllm: starts a real vLLM engine or server")


def make_model(folder: Path) -> Path:
    """Writes a Qwen2 model of two layers whose greedy texts vary, with a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|im_end|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(_config(len(tokenizer)))
    with torch.no_grad():  # a logit of 0 is never near the largest: texts are printable, without half characters
        model.lm_head.weight[[n for n in range(len(tokenizer)) if not _printable(tokenizer.decode([n]))]] = 0.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapters(model: Path, folder: Path, *, count: int = ADAPTERS) -> list[Path]:
    """Writes LoRA adapters with random A and B, each of which changes the model's texts."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "gate_proj"]
    paths = []
    for number in range(count):
        torch.manual_seed(100 + number)
        config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=modules, init_lora_weights=False)
        path = folder / f"adapter{number}"
        get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(path)
        paths.append(path)
    return paths


def _printable(token: str) -> bool:
    return token == "<|im_end|>" or (token.isprintable() and "\ufffd" not in token and not token.startswith("<|"))


def _config(vocab_size: int) -> "object":
    from transformers import Qwen2Config

    # Untied and with a wide initialisation: logits far enough apart that rounding never decides a token.
    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_adapters(tiny_model, tmp_path_factory.mktemp("adapters"))
