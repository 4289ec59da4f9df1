"""Whether vLLM serves adapters on the embedding and the output layer of a model, read from vLLM's own source.

For most architectures it does not, and says so only when an adapter is loaded, long after the model.
"""

import importlib.util
import re
from functools import lru_cache
from pathlib import Path

from roleeval.engines._base_modules import EMBEDDINGS
from roleeval.engines._protocol import ModelSource
from roleeval.engines.vllm._outline import outline
from roleeval.errors import AdapterError
from roleeval.jsonfiles import read_json
from roleeval.types import AdapterRef

_OUTER = frozenset((*EMBEDDINGS, "lm_head"))
_MODELS = "vllm.model_executor.models"


def check_outer_layers(adapter: AdapterRef, source: ModelSource) -> None:
    """Checks an adapter's modules without loading anything.

    Raises:
        AdapterError: it is on a layer of those, and vLLM does not serve that for this model.
    """
    found = sorted(_OUTER.intersection(adapter.modules))
    if found and (architecture := unserved_by(source)):
        raise AdapterError(
            f"adapter {adapter.path}: it is on {', '.join(found)}, which vLLM does not serve for {architecture}; use"
            " engine=hf, or merge the adapter into its base"
        )


@lru_cache(maxsize=8)
def unserved_by(source: ModelSource) -> str:
    """The architecture of a base whose outer layers vLLM serves no adapters on; "" where it does or is not known."""
    try:
        architecture = str(read_json(Path(source.path) / "config.json")["architectures"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    registry = _source(f"{_MODELS}.registry")
    entry = re.search(rf'"{re.escape(architecture)}":\s*\(\s*"(\w+)",\s*"(\w+)"', registry)
    known = getattr(outline(f"{_MODELS}.{entry[1]}"), entry[2], None) if entry else None
    # A class that names neither may have both from the one that it extends.
    unserved = hasattr(known, "packed_modules_mapping") and not hasattr(known, "embedding_modules")
    return architecture if unserved else ""


def _source(module: str) -> str:
    package, *inner = module.split(".")
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ""
    try:
        return Path(found.origin).parent.joinpath(*inner).with_suffix(".py").read_text(encoding="utf-8")
    except OSError:
        return ""
