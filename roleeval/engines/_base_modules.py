"""Which modules of a base model a LoRA can be on, and their sizes: from its files' headers, or as it is built."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roleeval.engines._adapter_files import safetensors_header
from roleeval.engines._protocol import ModelSource

# (output width, input width): the shape of a linear layer's weight. Of an embedding: (vocabulary, width).
Modules = Mapping[str, tuple[int, int]]
EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings")


def safetensors_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape over all safetensors files of a folder ({} where there are none), headers read only."""
    shapes: dict[str, tuple[int, ...]] = {}
    if folder.is_dir():
        for file in sorted(folder.glob("*.safetensors")):
            shapes |= {name: entry["shape"] for name, entry in safetensors_header(file).items() if name}
    return shapes


def stored_modules(source: ModelSource) -> Modules:
    """The matrices that the base's safetensors files hold, by module; {} for a hub id or other kinds of files.

    A file may name modules otherwise than the model does (GPT-2, models with a vision tower) or pack them
    (quantisation): what does not fit here is looked up in `built_modules`.
    """
    shapes = safetensors_shapes(Path(source.path))
    found = {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2
    }
    embeddings = [size for name, size in found.items() if name.rpartition(".")[2] in EMBEDDINGS]
    if embeddings and "lm_head" not in found:  # tied: stored once
        found["lm_head"] = embeddings[0]
    return found


def built_modules(source: ModelSource) -> Modules:
    """The same from the model as transformers builds it, without weights; {} where it cannot."""
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        given: dict[str, Any] = {"trust_remote_code": source.trust_remote_code}
        config = AutoConfig.from_pretrained(source.path, revision=source.revision, **given)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, **given)
    except Exception:  # code of any model runs here; what it cannot say is left to the engine
        return {}
    found: dict[str, tuple[int, int]] = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or len(weight.shape) != 2:
            continue
        rows, columns = weight.shape
        found[name] = (columns, rows) if type(module).__name__ == "Conv1D" else (rows, columns)
    return found
