"""The files of a PEFT adapter folder: adapter_config.json, and names, shapes and values of its tensors.

FOLDER/adapter_config.json
FOLDER/adapter_model.safetensors    read without torch; or
FOLDER/adapter_model.bin            read with torch's weights_only, which runs no code
"""

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from roleeval.errors import AdapterError
from roleeval.jsonfiles import parse_json

CONFIG = "adapter_config.json"
_UNREADABLE = (
    *(OSError, struct.error, ValueError, MemoryError, OverflowError),
    *(AttributeError, LookupError, TypeError, RecursionError),
)
_NO_JSON = "not valid JSON"
LORA = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?P<weight>\.weight)?")
_ENDINGS = (".safetensors", ".bin")  # PEFT and vLLM prefer the first as well
_BOM = b"\xef\xbb\xbf"
# Bits of a bfloat16: the exponent is all ones in infinities and NaN.
_BF16_EXPONENT, _BF16_NUMBER = 0x7F80, 0x7FFF
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of an adapter, without its values.

    Attributes:
        shape: its sizes.
        finite: no value is infinite or NaN.
        zero: every value is 0.
    """

    shape: tuple[int, ...]
    finite: bool
    zero: bool


def read_config(folder: Path) -> dict[str, Any]:
    """Reads adapter_config.json.

    Raises:
        AdapterError: it is missing, or PEFT could not read it.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise AdapterError(f"adapter {folder}: no {CONFIG} there; give a folder that PEFT's save_pretrained wrote")
    try:
        content = file.read_bytes()
        if content.startswith(_BOM):
            raise AdapterError(
                f"{file}: begins with a byte order mark, which PEFT and vLLM do not read; save it as UTF-8 without one"
            )
        config = parse_json(content)
    except (OSError, ValueError) as error:
        reason = str(error)
        raise AdapterError(f"{file}: {reason if reason.startswith(_NO_JSON) else f'{_NO_JSON} ({reason})'}") from error
    if not isinstance(config, dict):
        raise AdapterError(f"{file}: expected a JSON object")
    return config


def weights_file(folder: Path) -> Path:
    """The file that PEFT reads an adapter's weights from.

    Raises:
        AdapterError: there is none.
    """
    for file in (folder / f"adapter_model{ending}" for ending in _ENDINGS):
        if file.is_file():
            return file
    raise AdapterError(f"adapter {folder}: no adapter_model.safetensors (or .bin) in the folder")


def module_names(folder: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Last names of the modules that an adapter is on, sorted; () where it takes reading the weights to know."""
    file, targets = weights_file(folder), config.get("target_modules")
    if file.suffix == ".safetensors":
        try:
            names = safetensors_header(file).keys()
        except AdapterError:  # said by whoever checks the adapter
            return ()
        if any(".experts." in name for name in names):  # engines join the experts of a mixture under another name
            return ()
        matches = filter(None, map(LORA.fullmatch, names))
        return tuple(sorted({match["module"].rpartition(".")[2] for match in matches}))
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        return ()
    return tuple(sorted({target.rpartition(".")[2] for target in targets}))


def read_tensors(file: Path) -> Mapping[str, Tensor]:
    """Names, shapes and facts on the values of all tensors of a file; read once per process and state of the file.

    Raises:
        AdapterError: the file cannot be read, or holds something else.
    """
    try:
        stat = file.stat()
    except OSError as error:
        raise AdapterError(f"{file}: cannot be read ({error})") from error
    return _tensors(str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _tensors(path: str, size: int, mtime_ns: int, inode: int) -> Mapping[str, Tensor]:
    file = Path(path)
    return dict(_from_safetensors(file, size) if file.suffix == ".safetensors" else _from_pickle(file))


def safetensors_header(file: Path) -> dict[str, dict[str, Any]]:
    """Tensor name -> dtype, shape and data_offsets, as the file's header has them; and "": the offset of the data.

    Raises:
        AdapterError: it is not a safetensors file.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        for entry in entries.values():
            entry["shape"] = tuple(map(int, entry["shape"]))
    except (
        OSError,
        struct.error,
        ValueError,
        MemoryError,
        OverflowError,
        AttributeError,
        LookupError,
        TypeError,
        RecursionError,
    ) as e:
        raise AdapterError(f"{file}: not a readable safetensors file ({e})") from e
    return entries | {"": {"start": 8 + length}}


def _from_safetensors(file: Path, size: int) -> Iterator[tuple[str, Tensor]]:
    import numpy

    entries = safetensors_header(file)
    start = int(entries.pop("")["start"])
    for name, entry in entries.items():
        kind, shape, (begin, end) = entry.get("dtype"), entry["shape"], entry.get("data_offsets", (0, 0))
        if start + end > size:
            raise AdapterError(f"{file}: cut off ({size} bytes, tensor {name} ends at {start + end}); copy it again")
        if kind not in _FLOATS:
            raise AdapterError(f"{file}: tensor {name} has type {kind}; LoRA weights are {', '.join(_FLOATS)}")
        count = math.prod(shape)
        if count * numpy.dtype(_FLOATS[kind]).itemsize != end - begin:
            raise AdapterError(f"{file}: not a readable safetensors file (tensor {name} has a wrong size)")
        values = numpy.memmap(file, _FLOATS[kind], "r", start + begin, (count,)) if count else numpy.zeros(0, "<f4")
        if kind == "BF16":
            finite = bool(((values & _BF16_EXPONENT) != _BF16_EXPONENT).all())
            yield name, Tensor(shape, finite, not (values & _BF16_NUMBER).any())
        else:
            yield name, Tensor(shape, bool(numpy.isfinite(values).all()), not values.any())


def _from_pickle(file: Path) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in load_pickle(file).items():
        yield name, Tensor(tuple(tensor.shape), bool(tensor.isfinite().all()), not bool(tensor.any()))


def load_pickle(file: Path) -> dict[str, Any]:
    """The tensors of a .bin file, read without running code from it.

    Raises:
        AdapterError: torch refuses to read it, or it is not a dictionary of tensors.
    """
    import pickle

    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AdapterError(f"{file}: torch does not read it as plain tensors ({cause})") from error
    if not isinstance(content, dict):
        raise AdapterError(f"{file}: holds a {type(content).__name__}, not a dictionary of tensors")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise AdapterError(f"{file}: {name!r} is a {type(tensor).__name__}, not a tensor")
    return content
