"""Engines: text in, text out. `vllm`, `openai` and `hf` behind one protocol, and the durable store in front of them."""

from roleeval.engines._protocol import (
    Engine,
    EngineOptions,
    Holds,
    LoraNeed,
    Measures,
    ModelSource,
    Renders,
    Served,
    ServedElsewhere,
    is_elsewhere,
    serving,
)
from roleeval.engines.abilities import Abilities, Able
from roleeval.engines.budget import Budget, BudgetOptions, Price, price_of
from roleeval.engines.fingerprint import adapter_fingerprint, model_fingerprint
from roleeval.engines.loaded import Loaded
from roleeval.engines.lora import check_adapter, load_adapter
from roleeval.engines.store import CompletionStore, likelihood_key, request_key
from roleeval.engines.stored import StoredEngine, Usage
from roleeval.engines.taken import fit, taken_by

__all__ = [
    "Abilities",
    "Able",
    "Budget",
    "BudgetOptions",
    "CompletionStore",
    "Engine",
    "EngineOptions",
    "Holds",
    "Loaded",
    "LoraNeed",
    "Measures",
    "ModelSource",
    "Price",
    "Renders",
    "Served",
    "ServedElsewhere",
    "StoredEngine",
    "Usage",
    "adapter_fingerprint",
    "check_adapter",
    "fit",
    "is_elsewhere",
    "likelihood_key",
    "load_adapter",
    "model_fingerprint",
    "price_of",
    "request_key",
    "serving",
    "taken_by",
]
