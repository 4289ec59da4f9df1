"""The adapters on the hf engine's model: loaded by PEFT one by one, each with proof that it and nothing else changes.

Loading an adapter must change the model's log-probabilities where it is switched on, and leave the base's as they were
where it is switched off: some kinds of adapters change the base's weights.
"""

import warnings
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from roleeval.errors import AdapterError
from roleeval.types import AdapterRef

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# In nats. The same forward pass is made twice: rounding is the same, but for kernels that add in any order.
_SAME_BASE = 1e-2


class Adapters:
    """Loads and selects adapters. Blocks; one thread at a time."""

    def __init__(self, model: "PreTrainedModel", probe: list[int]) -> None:
        """Args: the model without adapters, and token ids that it is probed with."""
        self._model = model
        self._probe = probe
        self._peft: Any = None
        self._loaded: set[str] = set()
        self._base = self._logprobs()
        self.spoilt = False  # the model's own layers may have been changed: it has to be loaded again

    def select(self, adapter: AdapterRef | None) -> float | None:
        """Makes an adapter the one that the model answers with; None is the base.

        Returns:
            Where the adapter was loaded just now: the largest change of a log-probability after the probe, in nats.

        Raises:
            AdapterError: PEFT could not load it whole, or it changed the base.
        """
        if adapter is None:
            self._off()
            return None
        name = f"adapter_{adapter.fingerprint}"
        new = name not in self._loaded
        if new:
            self._load(adapter, name)
        self._peft.base_model.enable_adapter_layers()
        self._peft.set_adapter(name, inference_mode=True)
        return float((self._logprobs() - self._base).abs().max()) if new else None

    def _off(self) -> None:
        if self._peft is not None:
            self._peft.base_model.disable_adapter_layers()

    def _load(self, adapter: AdapterRef, name: str) -> None:
        from peft import PeftModel
        from safetensors import SafetensorError

        first = self._peft is None
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                if first:
                    self._peft = PeftModel.from_pretrained(self._model, adapter.path, adapter_name=name)
                else:
                    missing = self._peft.load_adapter(adapter.path, adapter_name=name).missing_keys
            said = [str(warning.message) for warning in caught]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError, UnpicklingError) as error:
            self.spoilt = True  # PEFT may have changed some layers already
            raise AdapterError(f"adapter {adapter.path}: PEFT could not load it: {error}") from error
        absent = next((words for words in said if "missing adapter keys" in words), "")
        if not first and any(name in key for key in missing):
            absent = absent or f"missing adapter keys {[key for key in missing if name in key][:3]}"
        if absent:
            self.spoilt = True
            raise AdapterError(f"adapter {adapter.path}: PEFT did not find all its weights: {absent[:300]}")
        self._peft.eval()
        self._off()
        change = float((self._logprobs() - self._base).abs().max())
        if not change <= _SAME_BASE:
            self.spoilt = True
            raise AdapterError(
                f"adapter {adapter.path}: loading it changed the base model itself (log-probabilities by up to"
                f" {change:.2g} nats); save it as a plain LoRA. The base is loaded again"
            )
        self._loaded.add(name)

    def _logprobs(self) -> "torch.Tensor":
        import torch

        with torch.inference_mode():
            ids = torch.tensor([self._probe], device=self._model.device)
            logits = self._model(input_ids=ids, use_cache=False).logits
            return logits[0, -1].float().log_softmax(-1).cpu()
