"""The prompt formats of HyCoRA's own evaluation: the bare question, because the role is only in the adapter."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from roleeval.errors import ConfigError
from roleeval.types import Message

_FILE = Path(__file__).with_name("prompts.yaml")


def raw_prompt(name: str, history: Sequence[Message]) -> str:
    """The text that a model continues, for one question.

    Args:
        name: a key of prompts.yaml: llama, qwen2 or chatglm2.
        history: the visible history; these formats are defined for a single question.

    Raises:
        ConfigError: there is more than a question.

    Source: spec/hycora.md, section 3.
    """
    if len(history) != 1 or history[0].role != "user":
        raise ConfigError(
            f"model.prompt_format={name}: defined for one question without a history (got {len(history)} messages); use"
            " prompt_format=chat"
        )
    return _formats()[name].replace("{question}", history[0].content, 1)


@lru_cache(maxsize=1)
def _formats() -> dict[str, str]:
    import yaml

    formats: dict[str, str] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return formats
