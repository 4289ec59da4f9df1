"""LoRA adapters as folders: reading them, and saying early why one cannot be served."""

import logging
from pathlib import Path

from roleeval.engines._adapter_check import Inspected, inspect_adapter, largest_rank
from roleeval.engines._adapter_files import CONFIG, module_names, read_config, weights_file
from roleeval.engines._base_modules import safetensors_shapes
from roleeval.engines._protocol import ModelSource
from roleeval.engines.fingerprint import adapter_fingerprint
from roleeval.errors import AdapterError
from roleeval.types import AdapterRef

__all__ = ["Inspected", "check_adapter", "load_adapter", "safetensors_shapes", "vllm_rank_limit"]

_log = logging.getLogger(__name__)

# vLLM's kernels are built for these ranks; a larger limit than needed slows every request.
_VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def load_adapter(path: str | Path, name: str = "") -> AdapterRef:
    """Reads a PEFT LoRA folder into a reference.

    Raises:
        AdapterError: the folder, its adapter_config.json or its weights are missing, or it is not a LoRA adapter.
    """
    folder = Path(path)
    config = read_config(folder)
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"{folder / CONFIG}: peft_type is {config.get('peft_type')!r}; only LORA is supported")
    weights_file(folder)
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise AdapterError(f"{folder / CONFIG}: r is {rank!r}; expected a positive whole number")
    try:
        fingerprint = adapter_fingerprint(folder)
    except (OSError, ValueError) as error:
        raise AdapterError(f"adapter {folder}: cannot be read ({error})") from error
    rank, modules = largest_rank(config), module_names(folder, config)
    return AdapterRef(name or folder.name, str(folder.resolve()), fingerprint, rank, modules)


def vllm_rank_limit(rank: int) -> int:
    """The smallest max_lora_rank vLLM accepts that serves adapters of this rank, or its largest.

    An adapter of a larger rank is refused by `check_adapter`; the others that share the engine are served.
    """
    return next((limit for limit in _VLLM_RANKS if rank <= limit), _VLLM_RANKS[-1])


def check_adapter(adapter: AdapterRef, source: ModelSource, *, max_rank: int, patterns: bool = True) -> Inspected:
    """Checks an adapter against a base model and an engine's limits, without loading either.

    Args:
        adapter: a folder's reference.
        source: the base model.
        max_rank: the largest rank that the engine serves.
        patterns: the engine serves rank_pattern and alpha_pattern.

    Raises:
        AdapterError: names the adapter's file and the module, rank or option that does not fit.
    """
    if not adapter.path:
        raise AdapterError(f"adapter {adapter.name} is served elsewhere (model.served=true); use engine=openai")
    if adapter.rank > max(max_rank, _VLLM_RANKS[-1]):
        raise AdapterError(
            f"adapter {adapter.path}: rank {adapter.rank} is above {_VLLM_RANKS[-1]}, vLLM's largest; merge it into its"
            " base, or use engine=hf"
        )
    if adapter.rank > max_rank:
        raise AdapterError(
            f"adapter {adapter.path}: rank {adapter.rank} is above the engine's max_lora_rank {max_rank};"
            " raise engine.max_lora_rank or leave it unset"
        )
    found = inspect_adapter(Path(adapter.path), source, patterns=patterns)
    if found.zero:
        _log.warning("adapter %s has no effect: all its lora_A or lora_B weights are zero", adapter.path)
    return found
