"""Every token of a mixed batch gets its own adapter's delta, and tokens without an adapter get none."""

import pytest

pytest.importorskip("torch", reason="no torch is installed")

import torch

from roleeval.engines.vllm.cpu.products import Masked, Packs, Tiles, products

SLOTS: tuple[list[int], ...] = ([2], [0, 2, -1, 0, 0], [1] * 40 + [-1] + [0] * 17, [3, 1] * 700)


@pytest.mark.parametrize("kind", ("masked", "tiles"))
@pytest.mark.parametrize("slots", SLOTS)
def test_deltas_are_those_of_the_tokens_one_by_one(slots: list[int], kind: str) -> None:
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
    active = torch.tensor(sorted({slot for slot in slots if slot >= 0}))
    (Masked(indices, active, Packs()) if kind == "masked" else Tiles(indices)).add(y, x, a, b, 0.5, widths)
    torch.testing.assert_close(y, expected)


def test_few_adapters_are_masked_and_many_are_tiled() -> None:
    assert products(torch.tensor([-1, -1]), 8, Packs()) is None
    assert isinstance(products(torch.tensor([0, 1, -1]), 8, Packs()), Masked)
    assert isinstance(products(torch.arange(9), 8, Packs()), Tiles)


def test_an_adapter_that_is_loaded_into_a_used_slot_is_seen() -> None:
    indices, packs = torch.tensor([1, 1]), Packs()
    a, b = torch.ones(2, 1, 2, 3), torch.ones(2, 1, 4, 2)

    def deltas() -> torch.Tensor:
        y = torch.zeros(2, 4)
        Masked(indices, torch.tensor([1]), packs).add(y, torch.ones(2, 3), (a,), (b,), 1.0, (4,))
        return y

    assert deltas().unique().tolist() == [6.0]
    with torch.inference_mode():  # as vLLM writes
        a[1, 0].copy_(torch.full((2, 3), 2.0))
    assert deltas().unique().tolist() == [12.0]
