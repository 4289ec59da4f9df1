"""vLLM's CPU worker with batched LoRA products and fused norms; named in `worker_cls`, imported in vLLM's own process.

The products are those of products.py; where a token has no adapter (index -1) vLLM's own operators add the last slot's
delta (vLLM pull requests 48421, 49656). RMS norms are done by vLLM's own C++ kernels, which vLLM compiles for the CPU
but does not use there: one pass over the activations instead of eight.
"""

from typing import Any

import torch
from vllm import ir
from vllm.lora.punica_wrapper import punica_cpu
from vllm.v1.worker.cpu_worker import CPUWorker

from roleeval.engines.vllm.cpu.products import Packs, Products, products

_VllmWrapper = punica_cpu.PunicaWrapperCPU
# Our name for vLLM's C++ kernels among the implementations of its operators.
_KERNELS = "roleeval_cpu"


class FastLora(_VllmWrapper):  # type: ignore[misc, valid-type]
    """vLLM's wrapper around LoRA operators, with our products for linear layers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._packs = Packs()

    def update_metadata(self, *arguments: Any, **options: Any) -> None:
        """Called by vLLM once per step, before the model runs."""
        super().update_metadata(*arguments, **options)
        self._products: dict[int, Products | None] = {}

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Called by vLLM for every adapted linear layer; adds the deltas to y in place."""
        rank = lora_a_stacked[0].shape[2]
        if rank not in self._products:
            self._products[rank] = products(self.token_lora_indices, rank, self._packs)
        chosen, tokens = self._products[rank], len(self.token_lora_indices)
        if chosen is not None:
            flat_y, flat_x = y.view(-1, y.shape[-1])[:tokens], x.view(-1, x.shape[-1])[:tokens]
            chosen.add(flat_y, flat_x, lora_a_stacked, lora_b_stacked, scale, output_slices)


def _fits_kernel(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    return variance_size is None and weight is not None and weight.dtype == x.dtype and x.is_contiguous()


def _adding_fits_kernel(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _fits_kernel(x, weight, epsilon, variance_size) and x_residual.is_contiguous()


@ir.ops.rms_norm.register_impl(_KERNELS, supports_args=_fits_kernel)  # type: ignore[untyped-decorator]
def rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    """vLLM's operator of that name: x / RMS(x) * weight, over the last dimension."""
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


@ir.ops.fused_add_rms_norm.register_impl(  # type: ignore[untyped-decorator]
    _KERNELS, supports_args=_adding_fits_kernel, inplace=True
)
def fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """vLLM's operator of that name: the sum x + x_residual, normalised in x and as it is in x_residual, in place."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


class FastCpuWorker(CPUWorker):  # type: ignore[misc]
    """The CPU worker; making it puts the wrapper and the kernels above into this process."""

    def __init__(self, vllm_config: Any, *arguments: Any, **options: Any) -> None:
        """Makes one.

        Raises:
            RuntimeError: this build of vLLM has no such kernels.
        """
        punica_cpu.PunicaWrapperCPU = FastLora
        priority = vllm_config.kernel_config.ir_op_priority
        for name in ("rms_norm", "fused_add_rms_norm"):
            if not hasattr(torch.ops._C, name):  # compiled code: nothing that _compat.py could read
                raise RuntimeError(f"this vLLM has no C++ kernel {name} for the CPU; set engine.stock=true")
            getattr(priority, name).insert(0, _KERNELS)
        super().__init__(vllm_config, *arguments, **options)
