"""vLLM's CPU worker with LoRA products grouped by adapter; named in `worker_cls`, imported in vLLM's own process.

vLLM's CPU operators gather a copy of the adapter's matrix for every token of a batch. Here each adapter that is in the
batch gets one matrix product over its tokens: the same sums, several times faster (docs/speed.md). Tokens without an
adapter (index -1) get no delta; vLLM's operators give them the last slot's (vLLM pull requests 48421, 49656).
"""

from typing import Any

import torch
from vllm.lora.ops.torch_ops import lora_ops
from vllm.lora.punica_wrapper import punica_cpu
from vllm.v1.worker.cpu_worker import CPUWorker


def _grouped(inputs: torch.Tensor, weights: torch.Tensor, output: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """[tokens, out]: each token's input times its adapter's matrix [out, in], transposed; 0 without an adapter."""
    stacked = weights.squeeze(1) if weights.dim() == 4 else weights
    inputs = inputs.to(output.dtype)
    indices = indices[: inputs.shape[0]]
    result = torch.zeros(inputs.shape[0], stacked.shape[1], dtype=output.dtype)
    for index in torch.unique(indices).tolist():
        if index < 0:
            continue
        rows = (indices == index).nonzero().squeeze(1)
        result[rows] = inputs[rows] @ stacked[index].to(output.dtype).T
    return result


def bgmv_shrink(
    inputs: torch.Tensor, weights: torch.Tensor, output: torch.Tensor, indices: torch.Tensor, scaling: float = 1.0
) -> None:
    """Writes scaling * (inputs @ A) of each token's adapter into output."""
    product = _grouped(inputs, weights, output, indices)
    output[:, : product.shape[1]] = scaling * product


def bgmv_expand(
    inputs: torch.Tensor, weights: torch.Tensor, output: torch.Tensor, indices: torch.Tensor, add_inputs: bool = True
) -> None:
    """Adds (or writes) inputs @ B of each token's adapter into output's first columns."""
    width = min(weights.shape[-2], output.shape[1])
    bgmv_expand_slice(inputs, weights[..., :width, :], output, indices, 0, width, add_inputs)


def bgmv_expand_slice(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    output: torch.Tensor,
    indices: torch.Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    """The same for the columns of one slice of output."""
    product = _grouped(inputs, weights, output, indices)
    target = output[: product.shape[0], slice_offset : slice_offset + slice_size]
    if add_inputs:
        target += product
    else:
        target.copy_(product)


class GroupedLoraWorker(CPUWorker):  # type: ignore[misc]
    """The CPU worker; importing it puts the operators above into this process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        for module in (lora_ops, punica_cpu):
            for operator in (bgmv_shrink, bgmv_expand, bgmv_expand_slice):
                setattr(module, operator.__name__, operator)
        super().__init__(*arguments, **options)
