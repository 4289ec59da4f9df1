"""Counts a model's parameters from safetensors headers: reads no weights and needs no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roleeval.engines import ModelSource
from roleeval.engines.lora import safetensors_shapes
from roleeval.errors import DataError
from roleeval.jsonfiles import read_json
from roleeval.types import AdapterRef


@dataclass(frozen=True, slots=True)
class AdapterParameters:
    """What a family adds to its base, in trained parameters; None where it is not known.

    Attributes:
        total: over all the roles that the model serves.
        per_added_role: what one more role adds.
    """

    total: int | None
    per_added_role: int | None


def adapter_sizes(adapters: Sequence[AdapterRef]) -> list[int | None]:
    """Parameters of each adapter; None for one that a server holds or that is not stored as safetensors."""
    return [_elements(safetensors_shapes(Path(a.path))) if a.path else None for a in adapters]


def summed(sizes: Sequence[int | None]) -> int | None:
    """The sum, or None where a size is not known."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def base_parameters(source: ModelSource) -> int | None:
    """Parameters of a base in a local folder; None for a hub id, a name at an endpoint and packed (quantised) weights.

    Raises:
        DataError: config.json or the index of the weights cannot be read.
    """
    folder = Path(source.path)
    shapes = safetensors_shapes(folder)
    if "quantization_config" in _json(folder / "config.json"):
        return None
    index = _json(folder / "model.safetensors.index.json").get("weight_map")
    if isinstance(index, dict):  # some folders hold the same weights twice, under other names
        shapes = {name: shape for name, shape in shapes.items() if name in index}
    return _elements(shapes)


def _elements(shapes: dict[str, tuple[int, ...]]) -> int | None:
    return sum(math.prod(shape) for shape in shapes.values()) if shapes else None


def _json(file: Path) -> dict[str, object]:
    if not file.is_file():
        return {}
    try:
        data = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error})") from error
    return data if isinstance(data, dict) else {}
