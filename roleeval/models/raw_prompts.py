"""Raw prompts in the place of a chat: those of HyCoRA's own evaluation, for its network and its LoRA baselines."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from roleeval.errors import ConfigError
from roleeval.types import Message

_FILE = Path(__file__).with_name("raw_prompts.yaml")
# "chat" is the model's chat template; the others are keys of raw_prompts.yaml.
PromptFormat = Literal["chat", "llama", "qwen2", "chatglm2", "llama_lora", "qwen2_lora", "chatglm2_lora"]


def raw_prompt(name: str, history: Sequence[Message], system: str = "") -> str:
    """The text that a model continues, for one question.

    Args:
        name: a key of raw_prompts.yaml.
        history: the visible history; these formats are defined for a single question.
        system: the benchmark's system prompt, for formats that put it in front.

    Raises:
        ConfigError: there is more than a question, or no system prompt where one is needed.

    Source: spec/hycora.md, section 3; the evaluation script of yshihao-ai/HyCoRA.
    """
    if len(history) != 1 or history[0].role != "user":
        raise ConfigError(
            f"model.prompt_format={name}: defined for one question without a history (got {len(history)} messages);"
            " use prompt_format=chat"
        )
    texts = {"instruction": system, "question": history[0].content}
    if takes_system(name) and not system.strip():
        raise ConfigError(
            f"model.prompt_format={name}: puts the role's system prompt in front, and there is none; set"
            f" model.system_prompt=persona, or use prompt_format={name.removesuffix('_lora')}"
        )
    entry = _formats()[name]
    for stripped in entry.get("strip", ()):
        texts[stripped] = texts[stripped].strip()
    head, _, tail = str(entry["prompt"]).partition("{question}")
    return f"{head.replace('{instruction}', texts['instruction'], 1)}{texts['question']}{tail}"


def takes_system(name: str) -> bool:
    """Whether a format has a place for the system prompt."""
    return "{instruction}" in _formats()[name]["prompt"]


def special_tokens_around(name: str) -> bool:
    """Whether the tokenizer puts its own tokens around: ChatGLM2's two prefix tokens have no text."""
    return name.startswith("chatglm2")


@lru_cache(maxsize=1)
def _formats() -> Mapping[str, Any]:
    import yaml

    formats: Mapping[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return formats
