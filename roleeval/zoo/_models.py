"""Making, saving and loading the small models and their adapters in the Hugging Face and PEFT folder layouts."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.errors import ConfigError
from roleeval.zoo._tokenizer import END_OF_TEXT

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen2ForCausalLM

LINEAR_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Modules of these names choose experts.
_ROUTERS = ("gate", "router", "shared_expert_gate")


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Shape of the base model (Qwen2 architecture, tied embeddings).

    It is trained on far shorter texts than `context`, which real scenes and questions about them need: every layer
    attends to the last `window` tokens alone, so that turns keep their form there.
    """

    vocab: int = 4096
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    intermediate: int = 512
    context: int = 16384
    window: int = 1024


@dataclass(frozen=True, slots=True)
class LoraSize:
    """Shape of an adapter on all seven linear modules of a layer."""

    rank: int = 8
    alpha: int = 64
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class HyCoraSize:
    """Sizes of the network; names as in the official config.json."""

    roles_emb_dim: int = 32
    layers_emb_dim: int = 32
    hyper_hidden_dim: int = 96
    residual_blocks_num: int = 2
    head: int = 16
    rank_dim: int = 8
    alpha: float = 64.0
    dropout: float = 0.1
    contrast: float = 0.3


def new_base(size: ModelSize, tokenizer: "PreTrainedTokenizerFast") -> "Qwen2ForCausalLM":
    """An untrained base model in float32, initialised from torch's current seed."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=size.vocab,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.context,
        use_sliding_window=True,
        sliding_window=size.window,
        max_window_layers=0,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def save_base(model: "Qwen2ForCausalLM", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Writes weights rounded to bfloat16, configuration, generation defaults (greedy) and tokenizer."""
    import torch
    from transformers import GenerationConfig

    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TEXT)]
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id, max_new_tokens=128
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_base(folder: Path) -> "tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast]":
    """The stored base in float32 and its tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2ForCausalLM

    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def linear_modules(model: "PreTrainedModel") -> tuple[str, ...]:
    """Last names of the linear modules in a model's decoder layers, which adapters are put on; no router.

    Raises:
        ConfigError: it has none.
    """
    import torch

    names: dict[str, None] = {}
    for name, module in model.base_model.named_modules():
        own = name.rpartition(".")[2]
        if isinstance(module, torch.nn.Linear) and re.search(r"\.\d+\.", name) and own not in _ROUTERS:
            names[own] = None
    if not names:
        raise ConfigError(f"{model.name_or_path}: no linear modules in its layers, which LoRA adapters are put on")
    return tuple(names)


def add_lora(base: "PreTrainedModel", size: LoraSize, modules: Sequence[str] = LINEAR_MODULES) -> "PeftModel":
    """Freezes the base and adds a trainable LoRA adapter in float32, initialised from torch's current seed."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=size.rank,
        lora_alpha=size.alpha,
        lora_dropout=size.dropout,
        target_modules=list(modules),
        task_type="CAUSAL_LM",
    )
    model: PeftModel = get_peft_model(base, config)
    return model


def save_adapter(model: "PeftModel", folder: Path, base: str = "zoo:base") -> None:
    """Writes an adapter in float32, with a configuration that is the same on every machine.

    Args:
        model: what was trained.
        folder: where to.
        base: what the configuration calls the base: a name, not a path, because which base it fits is what matters.
    """
    model.save_pretrained(str(folder), save_embedding_layers=False)  # "auto" asks the hub
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config: dict[str, Any] = json.loads(file.read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
