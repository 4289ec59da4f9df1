"""The small models that the project trains for itself, so that demo and tests need nothing from outside.

    roleeval/zoo/weights/
      hashes.json        SHA-256 of every file, and what it was built with
      base/              a causal LM (Qwen2 architecture) with its tokenizer and chat template; a plain assistant
      shared_lora/       one PEFT adapter for all embedded roles; needs the persona system prompt

Test instruments, not good models: docs/zoo.md.
"""

from pathlib import Path

from roleeval.errors import ConfigError

ZOO_MODELS = ("base", "shared_lora")
WEIGHTS = Path(__file__).parent / "weights"

__all__ = ["WEIGHTS", "ZOO_MODELS", "zoo_path"]


def zoo_path(name: str) -> Path:
    """The folder of a committed small model or adapter.

    Raises:
        ConfigError: no model of this name; lists the known ones.
    """
    if name not in ZOO_MODELS:
        raise ConfigError(f"zoo has no model {name!r}; known: {', '.join(ZOO_MODELS)}")
    folder = WEIGHTS / name
    if not folder.is_dir():
        raise ConfigError(f"zoo model {name!r} has no weights at {folder}; train it with: roleeval zoo build")
    return folder
