"""What a model's config.json says of its sizes, before anything is loaded."""

import contextlib
import json
from pathlib import Path
from typing import Any

from roleeval.engines._model_files import model_file, model_json
from roleeval.engines._protocol import ModelSource

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_WEIGHTS = ("*.safetensors", "*.bin")


def stored_weights(folder: Path) -> int:
    """Bytes of a model's weights in its folder; 0 where there are none."""
    for pattern in _WEIGHTS:
        if files := list(folder.glob(pattern)):
            return sum(file.stat().st_size for file in files)
    return 0


def weight_bytes(source: ModelSource, dtype: str) -> int | None:
    """Bytes of a model's weights when they are loaded as `dtype`; None of a model that is in no local folder."""
    stored = stored_weights(Path(source.path)) if Path(source.path).is_dir() else 0
    if not stored:
        return None
    found = model_json(source, "config.json")
    kept = _BYTES.get(str(found.get("dtype") or found.get("torch_dtype")))
    return stored if kept is None or dtype not in _BYTES else stored * _BYTES[dtype] // kept


def kv_shape(source: ModelSource) -> tuple[int, int] | None:
    """Numbers per token in keys and values, and the longest sequence; None where the configuration does not say.

    Mostly the file says all of it, and transformers need not be imported.
    """
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        found = json.loads(model_file(source, "config.json"))
        found = {**found, **(found.get("text_config") or {})}
        size = int(found.get("head_dim") or found["hidden_size"] // found["num_attention_heads"])
        numbers = 2 * int(found["num_hidden_layers"]) * int(found["num_key_value_heads"]) * size
        return numbers, int(found["max_position_embeddings"])
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=source.trust_remote_code
        ).get_text_config()
        heads = int(config.num_attention_heads)
        kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
        size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
        return 2 * int(config.num_hidden_layers) * kv_heads * size, int(config.max_position_embeddings)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, ImportError):
        return None  # vLLM will say what is wrong with it


def context_of(source: ModelSource) -> int | None:
    """Tokens of prompt and answer together that a model is made for; None where no file says so."""
    try:
        config: Any = json.loads(model_file(source, "config.json"))
        length = {**config, **(config.get("text_config") or {})}.get("max_position_embeddings")
        return length if isinstance(length, int) and length > 0 else None
    except (ValueError, AttributeError, TypeError):
        return None
