"""LoRA adapters as folders: reading them, and saying early why one does not fit its base model."""

import json
import struct
from pathlib import Path
from typing import Any

from roleeval.engines._protocol import ModelSource
from roleeval.engines.fingerprint import adapter_fingerprint
from roleeval.errors import AdapterError
from roleeval.types import AdapterRef

# vLLM's kernels are built for these ranks; a larger limit than needed slows every request.
_VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_IGNORED_BY_VLLM = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication")


def load_adapter(path: str | Path, name: str = "") -> AdapterRef:
    """Reads a PEFT LoRA folder into a reference.

    Raises:
        AdapterError: the folder, its adapter_config.json or its weights are missing, or it is not a LoRA adapter.
    """
    folder = Path(path)
    config = _read_config(folder)
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"adapter {folder}: peft_type is {config.get('peft_type')!r}; only LORA is supported")
    if not any((folder / f"adapter_model{ending}").is_file() for ending in (".safetensors", ".bin")):
        raise AdapterError(f"adapter {folder}: no adapter_model.safetensors (or .bin) in the folder")
    rank = config.get("r")
    if not isinstance(rank, int) or rank < 1:
        raise AdapterError(f"adapter {folder}: r in adapter_config.json is {rank!r}; expected a positive whole number")
    return AdapterRef(name or folder.name, str(folder.resolve()), adapter_fingerprint(folder), rank)


def vllm_rank_limit(rank: int) -> int:
    """The smallest max_lora_rank vLLM accepts that serves adapters of this rank.

    Raises:
        AdapterError: the rank is larger than vLLM serves.
    """
    for limit in _VLLM_RANKS:
        if rank <= limit:
            return limit
    raise AdapterError(
        f"adapter rank {rank} is above {_VLLM_RANKS[-1]}, vLLM's largest; merge the adapter into the base"
    )


def check_adapter(adapter: AdapterRef, source: ModelSource, *, max_rank: int) -> None:
    """Checks an adapter against a base model and an engine's rank limit, without loading either.

    Raises:
        AdapterError: names the adapter and the module, rank or option that does not fit.
    """
    if not adapter.path:
        raise AdapterError(f"adapter {adapter.name} is served elsewhere (model.served=true); use engine=openai")
    folder = Path(adapter.path)
    config = _read_config(folder)
    if adapter.rank > max_rank:
        raise AdapterError(
            f"adapter {folder}: rank {adapter.rank} is above the engine's max_lora_rank {max_rank};"
            " raise engine.max_lora_rank or leave it unset"
        )
    for key in _IGNORED_BY_VLLM:
        if config.get(key):
            raise AdapterError(f"adapter {folder}: {key} is set, which the engines would ignore; export a plain LoRA")
    if config.get("use_dora"):
        raise AdapterError(f"adapter {folder}: DoRA is not supported; merge the adapter into the base")
    if config.get("bias", "none") != "none":
        raise AdapterError(f"adapter {folder}: bias={config['bias']!r} is not supported; train with bias='none'")
    weights = folder / "adapter_model.safetensors"
    base = safetensors_shapes(Path(source.path))  # {} for a hub id: then the engine itself checks on loading
    if base and weights.is_file():
        _check_shapes(folder, _header_shapes(weights), base, source.path)


def safetensors_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape over all safetensors files of a folder ({} where there are none), headers read only."""
    shapes: dict[str, tuple[int, ...]] = {}
    if folder.is_dir():
        for file in sorted(folder.glob("*.safetensors")):
            shapes.update(_header_shapes(file))
    return shapes


def _header_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
    except (OSError, struct.error, ValueError, MemoryError) as error:
        raise AdapterError(f"{file}: not a readable safetensors file ({error})") from error
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def _check_shapes(
    folder: Path, adapter: dict[str, tuple[int, ...]], base: dict[str, tuple[int, ...]], base_path: str
) -> None:
    for name, shape in adapter.items():
        module, _, side = name.removeprefix("base_model.model.").rpartition(".lora_")
        if not module or side not in ("A.weight", "B.weight"):
            raise AdapterError(f"adapter {folder}: tensor {name} is not a LoRA weight of a linear layer")
        weight = base.get(f"{module}.weight")
        if weight is None:
            raise AdapterError(f"adapter {folder}: target module {module} does not exist in the base model {base_path}")
        have, want = (shape[1], weight[1]) if side == "A.weight" else (shape[0], weight[0])
        if have != want:
            width = "input" if side == "A.weight" else "output"
            raise AdapterError(
                f"adapter {folder}: {module} has {width} width {have}, the base model {base_path} has {want};"
                " it was trained on another base"
            )


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "adapter_config.json"
    if not file.is_file():
        raise AdapterError(
            f"adapter {folder}: no adapter_config.json in it; give a folder written by PEFT's save_pretrained"
        )
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise AdapterError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{file}: expected a JSON object")
    return config
