"""The hyper-network's forward pass: a role's LoRA matrices from its embedding, module by module."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.models.hycora._checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch

_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The matrices of one linear layer, as PEFT keeps them: a [r, in], b [out, r], float32, on the CPU."""

    module: str
    layer: int
    a: "torch.Tensor"
    b: "torch.Tensor"


def lora_pairs(checkpoint: Checkpoint, role_id: int) -> Iterator[LoraPair]:
    """Generates a role's LoRA in the order of module types and layers; one module type is in memory at a time.

    Args:
        checkpoint: an opened checkpoint.
        role_id: row of the role embedding.

    Source: spec/hycora.md, section 1.
    """
    import torch

    shape = checkpoint.shape
    with torch.inference_mode():
        states = _encode(checkpoint, role_id)
        for number, (module, sizes) in enumerate(zip(checkpoint.layout.modules, shape.modules, strict=True)):
            head = module.rpartition(".")[2] + ".down_linear"
            rows = states[number * shape.layers : (number + 1) * shape.layers]
            narrow = _linear(checkpoint, f"{head}.down", rows)
            generated = _linear(checkpoint, f"{head}.up", narrow).view(shape.layers, sizes.inputs, shape.rank)
            for layer in range(shape.layers):
                a = generated[layer].t() / shape.hidden**0.5
                b = checkpoint.tensor(f"layers.{layer}.{module}.lora_B").t()
                yield LoraPair(module, layer, a.contiguous(), b.contiguous())


def _encode(checkpoint: Checkpoint, role_id: int) -> "torch.Tensor":
    """The encoder's output for every module id, [N, H]."""
    import torch

    ids = checkpoint.tensor("layers_emb.weight")
    role = checkpoint.tensor("roles_emb.weight")[role_id]
    x = torch.cat([role.expand(len(ids), -1), ids], dim=1)
    if checkpoint.shape.norm_input:
        x = _norm(checkpoint, "hypernet_encoder.norm_input", x)
    x = torch.relu(_linear(checkpoint, "hypernet_encoder.fc_input", x))
    for number in range(checkpoint.shape.blocks):
        block = f"hypernet_encoder.layers.{number}"
        inner = torch.relu(_linear(checkpoint, f"{block}.fc1", _norm(checkpoint, f"{block}.norm", x)))
        x = x + _linear(checkpoint, f"{block}.fc2", inner)
    return _norm(checkpoint, "hypernet_encoder.norm_output", x) if checkpoint.shape.norm_output else x


def _linear(checkpoint: Checkpoint, name: str, x: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import linear

    return linear(x, checkpoint.tensor(f"{name}.weight"), checkpoint.tensor(f"{name}.bias"))


def _norm(checkpoint: Checkpoint, name: str, x: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import layer_norm

    weight, bias = checkpoint.tensor(f"{name}.weight"), checkpoint.tensor(f"{name}.bias")
    return layer_norm(x, (x.shape[-1],), weight, bias, _EPS)
