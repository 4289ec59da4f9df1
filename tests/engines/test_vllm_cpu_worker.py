"""Every token of a mixed batch gets its own adapter's delta, and tokens without an adapter get none."""

import pytest

pytest.importorskip("vllm", reason="no vLLM is installed")

import torch

from roleeval.engines._vllm_cpu_worker import Tiles

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize("slots", ([-1, -1, -1], [2], [0, 2, -1, 0, 0], [1] * 40 + [-1] + [0] * 17, [3, 1] * 700))
def test_deltas_are_those_of_the_tokens_one_by_one(slots: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    indices, widths = torch.tensor(slots), (6, 3)
    a = tuple(torch.randn(4, 1, 2, 5, generator=generator) for _ in widths)
    b = tuple(torch.randn(4, 1, width, 2, generator=generator) for width in widths)
    x, y = torch.randn(len(slots), 5, generator=generator), torch.randn(len(slots), 9, generator=generator)
    expected = y.clone()
    for token, slot in enumerate(slots):
        if slot >= 0:
            deltas = [down[slot, 0] @ up[slot, 0] @ x[token] for up, down in zip(a, b, strict=True)]
            expected[token] += 0.5 * torch.cat(deltas)
    Tiles(indices).add(y, x, a, b, 0.5, widths)
    torch.testing.assert_close(y, expected)
