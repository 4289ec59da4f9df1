"""vLLM's CPU worker with batched LoRA products; named in `worker_cls`, imported in vLLM's own process.

vLLM's CPU operators gather a copy of the adapter's matrix for every token of a batch. Here a step with few adapters has
two products with all of their matrices side by side, in which a token keeps only its own adapter's part (Masked); with
many, its tokens are cut into tiles of one adapter each and every LoRA layer is two batched products over the tiles
(Tiles). The same sums, several times faster (docs/speed.md). Tokens without an adapter (index -1) get no delta; vLLM's
operators give them the last slot's (vLLM pull requests 48421, 49656).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from vllm.lora.punica_wrapper import punica_cpu
from vllm.v1.worker.cpu_worker import CPUWorker

_VllmWrapper = punica_cpu.PunicaWrapperCPU


# Ranks of a step's adapters in sum, up to which Masked is the faster one (measured on the zoo's base, two cores).
_MASKED_RANKS = 64


class Products(Protocol):
    """The LoRA products of one step."""

    def add(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        a_stacked: Sequence[torch.Tensor],
        b_stacked: Sequence[torch.Tensor],
        scale: float,
        slices: Sequence[int],
    ) -> None:
        """Adds every token's scale * x A^T B^T to y in place.

        Args:
            y: [tokens, sum of slices].
            x: [tokens, in].
            a_stacked: per slice [slots, 1, rank, in].
            b_stacked: per slice [slots, 1, slice, rank].
            scale: factor on all deltas.
            slices: widths of y's slices.
        """
        ...


class Masked:
    """One product for all adapters of a step: what belongs to others is zero.

    Attributes:
        active: [adapters] the slots in use.
        own: [tokens, adapters] 1 where a token has that adapter, else 0.
    """

    def __init__(self, indices: torch.Tensor, active: torch.Tensor) -> None:
        """Takes the slots of tokens, indices [tokens], -1 for none, and which slots occur, active [adapters]."""
        self.active = active
        self.own = (indices[:, None] == active).float()
        self._masks: dict[tuple[int, torch.dtype, float], torch.Tensor] = {}

    def add(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        a_stacked: Sequence[torch.Tensor],
        b_stacked: Sequence[torch.Tensor],
        scale: float,
        slices: Sequence[int],
    ) -> None:
        """See Products.add."""
        rank, left = a_stacked[0].shape[2], 0
        mask = self._mask(rank, x.dtype, scale)
        for a, b, size in zip(a_stacked, b_stacked, slices, strict=True):
            chosen = a[:, 0].index_select(0, self.active).view(mask.shape[1], -1)
            inner = torch.nn.functional.linear(x, chosen.to(x.dtype)).mul_(mask)
            outer = b[:, 0].index_select(0, self.active).transpose(1, 2).reshape(mask.shape[1], size)
            y[:, left : left + size].addmm_(inner.to(y.dtype), outer.to(y.dtype))
            left += size

    def _mask(self, rank: int, dtype: torch.dtype, scale: float) -> torch.Tensor:
        key = rank, dtype, scale
        if key not in self._masks:
            self._masks[key] = (self.own.repeat_interleave(rank, 1) * scale).to(dtype)
        return self._masks[key]


class Tiles:
    """The tokens of one step, cut into tiles of `width` tokens that share an adapter.

    Attributes:
        adapters: [tiles] the slot of each tile's adapter.
        source: [tiles * width] which token fills a place; places that are left over repeat token 0.
        place: [tokens] where a token is; 0 for tokens without an adapter.
        weight: [tokens, 1] in float32: 1, or 0 for tokens without an adapter; None where every token has one.
    """

    def __init__(self, indices: torch.Tensor) -> None:
        """Cuts tokens into tiles; indices [tokens] are their adapters' slots, -1 for none."""
        order = torch.argsort(indices, stable=True)
        order = order[int((indices < 0).sum()) :]
        slots, counts = torch.unique_consecutive(indices[order], return_counts=True)
        # About one tile per adapter: small ones waste products, large ones places.
        self.width = min(max(1 << (len(order) // len(slots)).bit_length(), 8), 64)
        tiles = (counts + self.width - 1) // self.width
        self.adapters = slots.repeat_interleave(tiles)
        # A token's place: its group's first tile, then its number in the group.
        first_place = (tiles.cumsum(0) - tiles) * self.width
        first_token = counts.cumsum(0) - counts
        places = (first_place - first_token).repeat_interleave(counts) + torch.arange(len(order))
        self.source = torch.zeros(len(self.adapters) * self.width, dtype=torch.long)
        self.source[places] = order
        self.place = torch.zeros(len(indices), dtype=torch.long)
        self.place[order] = places
        # None where every token has an adapter.
        self.weight = None if len(order) == len(indices) else (indices >= 0).float()[:, None]

    def add(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        a_stacked: Sequence[torch.Tensor],
        b_stacked: Sequence[torch.Tensor],
        scale: float,
        slices: Sequence[int],
    ) -> None:
        """See Products.add."""
        count = len(self.adapters)
        tiled = x.index_select(0, self.source).view(count, self.width, -1)
        a = torch.cat([a[:, 0].index_select(0, self.adapters) for a in a_stacked], dim=1)
        inner = torch.bmm(tiled, a.to(x.dtype).transpose(1, 2))
        left = rank = 0
        for b, size in zip(b_stacked, slices, strict=True):
            chosen = b[:, 0].index_select(0, self.adapters).to(x.dtype)
            part = inner[..., rank : rank + chosen.shape[-1]]
            delta = torch.bmm(part, chosen.transpose(1, 2)).view(-1, size).index_select(0, self.place)
            if self.weight is None:
                y[:, left : left + size].add_(delta.to(y.dtype), alpha=scale)
            else:
                y[:, left : left + size].addcmul_(delta.to(y.dtype), (self.weight * scale).to(y.dtype))
            left, rank = left + size, rank + chosen.shape[-1]


def products(indices: torch.Tensor, rank: int) -> Products | None:
    """What fits a step best: indices [tokens] are the slots of its tokens' adapters of this rank; None without any."""
    active = torch.unique(indices)
    active = active[active >= 0]
    if not len(active):
        return None
    return Masked(indices, active) if len(active) * rank <= _MASKED_RANKS else Tiles(indices)


class FastLora(_VllmWrapper):  # type: ignore[misc, valid-type]
    """vLLM's wrapper around LoRA operators, with our products for linear layers."""

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
            self._products[rank] = products(self.token_lora_indices, rank)
        chosen, tokens = self._products[rank], len(self.token_lora_indices)
        if chosen is not None:
            flat_y, flat_x = y.view(-1, y.shape[-1])[:tokens], x.view(-1, x.shape[-1])[:tokens]
            chosen.add(flat_y, flat_x, lora_a_stacked, lora_b_stacked, scale, output_slices)


class FastLoraWorker(CPUWorker):  # type: ignore[misc]
    """The CPU worker; making it puts the wrapper above into this process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        punica_cpu.PunicaWrapperCPU = FastLora
        super().__init__(*arguments, **options)
