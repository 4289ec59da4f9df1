"""The norms that the CPU worker registers are vLLM's."""

from typing import Any

import pytest

pytest.importorskip("vllm", reason="no vLLM is installed")

import torch

from roleeval.engines.vllm.cpu.worker import _KERNELS

pytestmark = pytest.mark.vllm


def test_norms_are_those_of_vllms_definition() -> None:
    from vllm import ir

    def both(op: Any, *inputs: Any) -> tuple[Any, Any]:
        mine, native = (op.impls[name].impl_fn(*(i.clone() for i in inputs), 1e-6) for name in (_KERNELS, "native"))
        return mine, native

    x, residual, weight = (torch.randn(shape, dtype=torch.float32) for shape in ((7, 192), (7, 192), (192,)))
    torch.testing.assert_close(*both(ir.ops.rms_norm, x, weight))
    torch.testing.assert_close(*both(ir.ops.fused_add_rms_norm, x, residual, weight))
