"""Adapters on disk: standard PEFT folders, written completely or not at all.

    FOLDER/adapter_config.json          LORA, r, lora_alpha, target_modules
    FOLDER/adapter_model.safetensors    lora_A and lora_B of every module, float32
    FOLDER/roleeval.json                the address (what it was made from) and the hash of the weights

Only one module type is in memory at a time: tensors are written as they are generated.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from roleeval.engines import load_adapter
from roleeval.errors import AdapterError
from roleeval.hashing import digest, file_hash
from roleeval.models._role_paths import role_folder
from roleeval.models.hycora._checkpoint import Checkpoint, check_base, open_checkpoint
from roleeval.models.hycora._generate import lora_pairs
from roleeval.models.hycora._manifest import read_manifest
from roleeval.resources import user_cache
from roleeval.types import AdapterRef

log = logging.getLogger("roleeval")

# Part of every address: raise it when the same checkpoint would give other files.
_VERSION = 1
_CONFIG, _WEIGHTS, _RECORD = "adapter_config.json", "adapter_model.safetensors", "roleeval.json"


def default_cache() -> Path:
    """Where materialised adapters are kept unless told otherwise: in the user's cache folder."""
    return user_cache() / "hycora"


def adapter_address(checkpoint: Checkpoint, role_id: int) -> str:
    """What determines an adapter's content, hashed. A role counts by its id: names are the manifest's."""
    return digest("hycora-adapter", _VERSION, checkpoint.fingerprint, role_id)


def cached_adapter(checkpoint: Checkpoint, role_id: int, role: str, cache: Path) -> AdapterRef:
    """A role's adapter out of the cache, made first where it is not there yet.

    Raises:
        AdapterError: it could not be written.
    """
    folder = cache / adapter_address(checkpoint, role_id)
    if write_adapter(checkpoint, role_id, folder):
        log.info("materialised the adapter of %s in %s", role, folder)
    return load_adapter(folder, role)


def export(
    checkpoint: Path,
    base: Path,
    roles: Path,
    out: Path,
    *,
    only: Collection[str] = (),
    each: Callable[[str, Path], None] | None = None,
) -> dict[str, Path]:
    """Writes one standard PEFT folder per role, named by the role.

    Args:
        checkpoint: a HyCoRA checkpoint's folder.
        base: the base model's folder; its shapes are checked, its weights are not read.
        roles: the role manifest.
        out: the folder to write into. An adapter that is there already and whole is kept.
        only: these roles; none given means all.
        each: told about every role when its folder is there.

    Returns:
        Role -> folder, in the manifest's order.

    Raises:
        AdapterError: see open_checkpoint, read_manifest and check_base; a role is unknown; a folder cannot be written.
    """
    opened = open_checkpoint(checkpoint)
    names = read_manifest(roles, roles=opened.shape.roles)
    unknown = [name for name in dict.fromkeys(only) if name not in names]
    if unknown:
        raise AdapterError(f"unknown role {', '.join(map(repr, unknown))}: {roles} has {', '.join(map(repr, names))}")
    if not base.is_dir():
        raise AdapterError(f"base model {base}: no such folder; give the base as a local folder")
    if not check_base(opened, base):
        log.warning("base model %s has no safetensors files, so it was not checked that the checkpoint fits it", base)
    wanted = [(number, name) for number, name in enumerate(names) if not only or name in only]
    folders = {name: out / role_folder(name) for _, name in wanted}
    for number, name in wanted:
        write_adapter(opened, number, folders[name], base=str(base))
        if each is not None:
            each(name, folders[name])
    return folders


def write_adapter(checkpoint: Checkpoint, role_id: int, folder: Path, *, base: str = "") -> bool:
    """Makes a role's adapter and renames it into place; safe with concurrent writers of the same folder.

    Args:
        checkpoint: an opened checkpoint.
        role_id: row of the role embedding.
        folder: where the adapter is to be.
        base: the base model's name, kept in adapter_config.json.

    Returns:
        False when this very adapter was there already.

    Raises:
        AdapterError: something else is in that place, or it could not be written.
    """
    address = adapter_address(checkpoint, role_id)
    if _is_there(folder, address):
        return False
    part = folder.with_name(f".{address[:12]}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        try:
            _fill(part, checkpoint, role_id, address, base)
            _put(part, folder, address)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise AdapterError(f"adapter {folder}: could not be written ({error})") from error
    return True


def _is_there(folder: Path, address: str) -> bool:
    if not folder.exists():
        return False
    record = _record(folder)
    if record.get("address") != address:
        raise AdapterError(f"{folder} exists and is not this adapter; move it away or choose another folder")
    weights = folder / _WEIGHTS
    if weights.is_file() and (folder / _CONFIG).is_file() and file_hash(weights) == record.get("sha256"):
        return True
    log.warning("adapter %s is damaged; writing it again", folder)
    grave = folder.with_name(f".{address[:12]}.{secrets.token_hex(4)}.damaged")
    try:
        os.replace(folder, grave)
    except FileNotFoundError:  # another process was faster
        return False
    except OSError as error:
        raise AdapterError(f"adapter {folder}: damaged and cannot be replaced ({error})") from error
    shutil.rmtree(grave, ignore_errors=True)
    return False


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / _RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _put(part: Path, folder: Path, address: str) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not _is_there(folder, address):  # not another writer's work: the rename itself failed
            raise


def _fill(part: Path, checkpoint: Checkpoint, role_id: int, address: str, base: str) -> None:
    shape, layout = checkpoint.shape, checkpoint.layout
    entries = {
        layout.peft_key(module, layer, side): size
        for module, sizes in zip(layout.modules, shape.modules, strict=True)
        for layer in range(shape.layers)
        for side, size in (("A", (shape.rank, sizes.inputs)), ("B", (sizes.outputs, shape.rank)))
    }
    with _Writer(part / _WEIGHTS, entries) as writer:
        for pair in lora_pairs(checkpoint, role_id):
            writer.add(layout.peft_key(pair.module, pair.layer, "A"), pair.a.numpy())
            writer.add(layout.peft_key(pair.module, pair.layer, "B"), pair.b.numpy())
    alpha = int(checkpoint.alpha) if checkpoint.alpha.is_integer() else checkpoint.alpha
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": shape.rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": layout.targets(),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    _write_json(part / _CONFIG, config)
    record = {"address": address, "role_id": role_id, "checkpoint": checkpoint.fingerprint, "sha256": writer.sha256}
    _write_json(part / _RECORD, record)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n")


class _Writer:
    """Writes a safetensors file tensor by tensor; the names and shapes are known before the values."""

    def __init__(self, file: Path, shapes: Mapping[str, Sequence[int]]) -> None:
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in shapes.items():
            begin, end = end, end + 4 * shape[0] * shape[1]
            header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._names = iter(shapes)
        self._hash = hashlib.sha256()
        self._stream = file.open("wb")
        self._write(struct.pack("<Q", len(text)) + text)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def add(self, name: str, values: Any) -> None:
        """The next tensor; `values` is a contiguous float32 array."""
        expected = next(self._names)
        if name != expected:
            raise AdapterError(f"found tensor {name} where {expected} was expected")
        self._write(memoryview(values.astype("<f4", copy=False)).cast("B"))

    def _write(self, content: bytes | memoryview) -> None:
        self._hash.update(content)
        self._stream.write(content)
