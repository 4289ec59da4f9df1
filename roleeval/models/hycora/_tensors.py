"""The tensors of a checkpoint file, one at a time: neither format is loaded completely."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.errors import AdapterError

if TYPE_CHECKING:
    import torch

_FILES = ("model.safetensors", "pytorch_model.bin")


class TensorFile:
    """Names, shapes and (when asked for) values of a weights file; values come in float32.

    Raises:
        AdapterError: the folder has no weights file, it is not readable, or it is a pickle that holds code.
    """

    def __init__(self, folder: Path) -> None:
        files = [folder / name for name in _FILES if (folder / name).is_file()]
        if not files:
            raise AdapterError(f"checkpoint {folder}: no {' or '.join(_FILES)} in it")
        self.file = files[0]
        self._read: _Safetensors | _Pickled = (
            _Safetensors(self.file) if self.file.suffix == ".safetensors" else _Pickled(self.file)
        )
        self.shapes: Mapping[str, tuple[int, ...]] = self._read.shapes

    def read(self, name: str) -> "torch.Tensor":
        """One tensor in float32."""
        return self._read.tensor(name).float()


class _Safetensors:
    def __init__(self, file: Path) -> None:
        from safetensors import SafetensorError

        try:
            self._handle = _open_safetensors(file)
            names = list(self._handle.keys())
        except (OSError, SafetensorError) as error:
            raise AdapterError(f"{file}: not a readable safetensors file ({error})") from error
        self.shapes = {name: tuple(self._handle.get_slice(name).get_shape()) for name in names}

    def tensor(self, name: str) -> Any:
        return self._handle.get_tensor(name)


def _open_safetensors(file: Path) -> Any:  # the library's handle has no types
    from safetensors import safe_open

    return safe_open(str(file), framework="pt", device="cpu")


class _Pickled:
    def __init__(self, file: Path) -> None:
        self._tensors = _load_pickle(file)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def tensor(self, name: str) -> Any:
        return self._tensors[name]


def _load_pickle(file: Path) -> dict[str, Any]:
    import torch

    try:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the format before torch 1.6 cannot be mapped
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AdapterError(
            f"{file}: refused, because it does not contain only tensors and loading it could run code"
            f" ({str(error).splitlines()[0]}); if you trust it, convert it to safetensors"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise AdapterError(f"{file}: not a readable PyTorch file ({error})") from error
    if not isinstance(content, Mapping) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise AdapterError(f"{file}: it is not a dictionary of tensors")
    return {str(name): tensor for name, tensor in content.items()}
