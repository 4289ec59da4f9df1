"""Reads a HyCoRA checkpoint in the layout of the official training, and refuses an incomplete one.

    CHECKPOINT/model.safetensors (or pytorch_model.bin)   trainable tensors only, shared ones under decoder layer 0
    CHECKPOINT/config.json                                alpha, and sizes that the tensors must agree with

Tensors are matched by the end of their names, so another prefix (`hyper_network.`) works too.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.engines.lora import safetensors_shapes
from roleeval.errors import AdapterError
from roleeval.hashing import digest, file_hash
from roleeval.jsonfiles import read_json
from roleeval.models.hycora._layout import Layout, layout_of
from roleeval.models.hycora._parameters import HyCoraShape, ModuleShape
from roleeval.models.hycora._tensors import TensorFile

if TYPE_CHECKING:
    import torch

_SHARED = re.compile(r"(?:^|\.)((?:roles_emb|layers_emb)\.weight|hypernet_encoder\..+)$")
_HEAD = re.compile(r"(?:^|\.)(\w+\.down_linear\.(?:down|up)\.(?:weight|bias))$")
_LORA_B = re.compile(r"(?:^|\.)(layers\.(\d+)\.(\w+\.\w+)\.lora_B)$")
_BLOCK = re.compile(r"hypernet_encoder\.layers\.(\d+)\.")
_ANY_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(frozen=True)
class Checkpoint:
    """An opened, checked checkpoint. Values are read when asked for.

    Attributes:
        folder: where it is.
        layout: its architecture's module order.
        shape: all sizes, from the tensors' shapes.
        alpha: LoRA's alpha; the only size that is not in a shape.
        fingerprint: hash of all that determines its adapters.
        keys: tensor name without prefix -> name in the file.
        tensors: the file.
    """

    folder: Path
    layout: Layout
    shape: HyCoraShape
    alpha: float
    fingerprint: str
    keys: Mapping[str, str]
    tensors: TensorFile

    def tensor(self, name: str) -> "torch.Tensor":
        """A tensor in float32, by its name without prefix, for example "hypernet_encoder.fc_input.weight"."""
        return self.tensors.read(self.keys[name])


def is_hycora(folder: Path) -> bool:
    """Whether a folder holds a HyCoRA checkpoint (and not a full model or a PEFT adapter).

    Source: spec/hycora.md, section 2.

    Raises:
        AdapterError: it holds no readable weights file.
    """
    return _looks_right(TensorFile(folder).shapes)


def open_checkpoint(folder: Path) -> Checkpoint:
    """Opens a checkpoint and checks that it is whole.

    Raises:
        AdapterError: names the tensor or key that is missing, doubled or of another shape than the others say.
    """
    if not folder.is_dir():
        raise AdapterError(f"checkpoint {folder}: no such folder")
    file = TensorFile(folder)
    if not _looks_right(file.shapes):
        raise AdapterError(
            f"checkpoint {folder}: not a HyCoRA checkpoint; one has *.lora_B and hypernet_encoder tensors and no"
            " embed_tokens"
        )
    config = _read_config(folder)
    keys = _index(file)
    modules = {match[3] for match in map(_LORA_B.search, keys) if match}
    layout = layout_of(modules, f"checkpoint {folder}")
    shape = _Sizes(file, keys, layout).measure(config)
    _check_config(folder, config, shape, len(layout.modules))
    alpha = config.get("alpha")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool) or alpha <= 0:
        raise AdapterError(f"{folder / 'config.json'}: alpha is {alpha!r}; expected a positive number")
    flags = (shape.norm_input, shape.norm_output)
    fingerprint = digest("hycora", file_hash(file.file), float(alpha), flags)
    return Checkpoint(folder, layout, shape, float(alpha), fingerprint, keys, file)


def check_base(checkpoint: Checkpoint, base: Path) -> bool:
    """Checks that a base model's linear layers have the widths that the checkpoint was trained for.

    Args:
        checkpoint: the network.
        base: the base model's folder; only the headers of its safetensors files are read.

    Returns:
        False when the folder has no safetensors files, so that nothing could be checked.

    Raises:
        AdapterError: names the module and both widths.
    """
    have = safetensors_shapes(base)
    if not have:
        return False
    layout, shape = checkpoint.layout, checkpoint.shape
    where = f"checkpoint {checkpoint.folder} does not fit the base model {base}"
    for module, sizes in zip(layout.modules, shape.modules, strict=True):
        for layer in range(shape.layers):
            name = f"{layout.base_module(module, layer)}.weight"
            weight = have.get(name)
            if weight is None:
                raise AdapterError(f"{where}: the base has no {name}")
            if weight != (sizes.outputs, sizes.inputs):
                raise AdapterError(
                    f"{where}: {name} is {list(weight)} (out, in) but the checkpoint is for [{sizes.outputs},"
                    f" {sizes.inputs}]"
                )
    further = layout.base_module(layout.modules[0], shape.layers)
    if f"{further}.weight" in have:
        raise AdapterError(f"{where}: the base has a module {further}, the checkpoint only {shape.layers} layers")
    return True


def _looks_right(names: Mapping[str, Any]) -> bool:
    return (
        any(name.endswith(".lora_B") for name in names)
        and any("hypernet_encoder." in name for name in names)
        and not any("embed_tokens" in name for name in names)
    )


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise AdapterError(f"checkpoint {folder}: no config.json in it, which is needed for alpha")
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        raise AdapterError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{file}: expected a JSON object")
    return config


def _index(file: TensorFile) -> dict[str, str]:
    """Name without prefix -> name in the file. A pickle may hold one shared tensor under every layer's name."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in file.shapes:
        for pattern in (_SHARED, _HEAD, _LORA_B):
            match = pattern.search(name)
            if match:
                groups[match[1]].append(name)
                break
    return {short: _only(file, short, names) for short, names in groups.items()}


def _only(file: TensorFile, short: str, names: list[str]) -> str:
    first, *others = sorted(names, key=_layer_number)
    for other in others:
        if file.shapes[other] != file.shapes[first] or not file.read(other).equal(file.read(first)):
            raise AdapterError(f"{file.file}: {first} and {other} are both {short} and differ")
    return first


def _layer_number(name: str) -> tuple[int, str]:
    match = _ANY_LAYER.search(name)
    return (int(match[1]) if match else -1, name)


class _Sizes:
    """Measures a checkpoint and checks every tensor on the way."""

    def __init__(self, file: TensorFile, keys: Mapping[str, str], layout: Layout) -> None:
        self._file, self._keys, self._layout = file, keys, layout

    def measure(self, config: Mapping[str, Any]) -> HyCoraShape:
        roles, role_dim = self._shape("roles_emb.weight", None, None)
        ids, layer_dim = self._shape("layers_emb.weight", None, None)
        hidden, _ = self._shape("hypernet_encoder.fc_input.weight", None, role_dim + layer_dim)
        self._shape("hypernet_encoder.fc_input.bias", hidden)
        blocks = self._blocks(hidden)
        norm_input = self._norm("norm_input", role_dim + layer_dim, config.get("layernorm_input"))
        norm_output = self._norm("norm_output", hidden, config.get("layernorm_output"))
        layers = 1 + max(int(match[2]) for match in map(_LORA_B.search, self._keys) if match)
        first = self._layout.modules[0]
        rank, _ = self._shape(f"layers.0.{first}.lora_B", None, None)
        modules = tuple(self._module(module, hidden, rank, layers) for module in self._layout.modules)
        if ids != len(modules) * layers:
            raise self._wrong("layers_emb.weight", f"{len(modules)} module types in {layers} layers need as many rows")
        return HyCoraShape(roles, role_dim, layer_dim, hidden, blocks, rank, layers, modules, norm_input, norm_output)

    def _blocks(self, hidden: int) -> int:
        numbers = {int(match[1]) for match in map(_BLOCK.match, self._keys) if match}
        blocks = max(numbers, default=-1) + 1
        for block in range(blocks):
            for part in ("fc1", "fc2"):
                self._shape(f"hypernet_encoder.layers.{block}.{part}.weight", hidden, hidden)
                self._shape(f"hypernet_encoder.layers.{block}.{part}.bias", hidden)
            for side in ("weight", "bias"):
                self._shape(f"hypernet_encoder.layers.{block}.norm.{side}", hidden)
        return blocks

    def _norm(self, name: str, width: int, wanted: object) -> bool:
        names = [f"hypernet_encoder.{name}.{side}" for side in ("weight", "bias")]
        there = any(n in self._keys for n in names)
        if wanted is False and there:
            raise AdapterError(
                f"{self._file.file}: has {name}, but config.json says {name.replace('norm', 'layernorm')} is false"
            )
        if there or wanted:
            for tensor in names:
                self._shape(tensor, width)
        return there

    def _module(self, module: str, hidden: int, rank: int, layers: int) -> ModuleShape:
        head = module.rpartition(".")[2] + ".down_linear"
        width, _ = self._shape(f"{head}.down.weight", None, hidden)
        self._shape(f"{head}.down.bias", width)
        rows, _ = self._shape(f"{head}.up.weight", None, width)
        self._shape(f"{head}.up.bias", rows)
        if rows % rank:
            raise self._wrong(f"{head}.up.weight", f"its rows must be a multiple of the rank {rank}")
        _, outputs = self._shape(f"layers.0.{module}.lora_B", rank, None)
        for layer in range(1, layers):
            self._shape(f"layers.{layer}.{module}.lora_B", rank, outputs)
        return ModuleShape(rows // rank, outputs, width)

    def _shape(self, name: str, *wanted: int | None) -> tuple[int, ...]:
        key = self._keys.get(name)
        if key is None:
            raise AdapterError(f"{self._file.file}: tensor {name} is missing; the checkpoint is incomplete")
        shape = self._file.shapes[key]
        fits = len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))
        if not fits or 0 in shape:
            expected = ", ".join("any" if w is None else str(w) for w in wanted)
            raise self._wrong(name, f"expected [{expected}]")
        return shape if len(shape) > 1 else (*shape, 1)

    def _wrong(self, name: str, why: str) -> AdapterError:
        key = self._keys[name]
        return AdapterError(f"{self._file.file}: tensor {key} has shape {list(self._file.shapes[key])}; {why}")


def _check_config(folder: Path, config: Mapping[str, Any], shape: HyCoraShape, types: int) -> None:
    found = {
        "roles_num": (shape.roles,),
        "roles_emb_dim": (shape.role_dim,),
        # The specification leaves open whether this counts decoder layers or modules.
        "layers_num": (shape.layers, shape.layers * types),
        "layers_emb_dim": (shape.layer_dim,),
        "residual_blocks_num": (shape.blocks,),
        "hyper_hidden_dim": (shape.hidden,),
        "rank_dim": (shape.rank,),
    }
    for key, allowed in found.items():
        if config.get(key) is not None and config[key] not in allowed:
            raise AdapterError(
                f"{folder / 'config.json'}: {key} is {config[key]!r} but the tensors have {allowed[-1]};"
                " config.json and the weights are from different checkpoints"
            )
