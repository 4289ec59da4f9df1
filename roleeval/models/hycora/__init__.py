"""HyCoRA: a hyper-network that generates one LoRA adapter per role. Reads checkpoints, exports adapters."""

from roleeval.models.hycora._adapters import (
    adapter_address,
    cached_adapter,
    default_cache,
    export,
    write_adapter,
)
from roleeval.models.hycora._checkpoint import Checkpoint, check_base, is_hycora, open_checkpoint
from roleeval.models.hycora._family import HyCora
from roleeval.models.hycora._generate import LoraPair, lora_pairs
from roleeval.models.hycora._layout import LAYOUTS, Layout
from roleeval.models.hycora._manifest import read_manifest
from roleeval.models.hycora._parameters import HyCoraShape, ModuleShape, Parameters, count_parameters
from roleeval.models.raw_prompts import raw_prompt

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "HyCora",
    "HyCoraShape",
    "Layout",
    "LoraPair",
    "ModuleShape",
    "Parameters",
    "adapter_address",
    "cached_adapter",
    "check_base",
    "count_parameters",
    "default_cache",
    "export",
    "is_hycora",
    "lora_pairs",
    "open_checkpoint",
    "raw_prompt",
    "read_manifest",
    "write_adapter",
]
