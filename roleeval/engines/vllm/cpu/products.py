"""LoRA products of one step, batched: for few adapters one product with masks, for many tiles of one adapter each.

vLLM's CPU operators gather a copy of the adapter's matrix for every token of a batch. Here a step with few adapters has
two products with all of their matrices side by side, in which a token keeps only its own adapter's part (Masked); with
many, its tokens are cut into tiles of one adapter each and every LoRA layer is two batched products over the tiles
(Tiles). The same sums, several times faster (docs/speed.md). Tokens without an adapter (index -1) get no delta.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

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


class Packs:
    """The matrices of a step's adapters side by side, kept for as long as the same adapters are asked for.

    Packing costs as much as the products themselves, and most steps have the adapters of the step before.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[tuple[object, ...], torch.Tensor, list[torch.Tensor]]] = {}

    def of(
        self, slots: tuple[int, ...], a_stacked: Sequence[torch.Tensor], b_stacked: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Packs a layer.

        Args:
            slots: the adapters.
            a_stacked: see Products.add.
            b_stacked: see Products.add.

        Returns:
            A [in, slices * adapters * rank], slice by slice, and per slice B [adapters * rank, slice].
        """
        stacks = (*a_stacked, *b_stacked)
        # torch counts the writes to a tensor: an adapter that is loaded into a slot is seen.
        state = (slots, *(stack._version for stack in stacks)) if not any(s.is_inference() for s in stacks) else None
        kept = self._kept.get(a_stacked[0].data_ptr())
        if kept is None or state is None or kept[0] != state:
            active = torch.tensor(slots)
            a = torch.cat([stack[:, 0].index_select(0, active).flatten(0, 1) for stack in a_stacked])
            b = [stack[:, 0].index_select(0, active).transpose(1, 2).flatten(0, 1).contiguous() for stack in b_stacked]
            kept = (state or (), a.t().contiguous(), b)
            self._kept[a_stacked[0].data_ptr()] = kept
        return kept[1], kept[2]


class Masked:
    """One product for all adapters of a step: what belongs to others is zero.

    Attributes:
        slots: the adapters in use.
        own: [tokens, adapters] 1 where a token has that adapter, else 0; None where all tokens have the only one.
    """

    def __init__(self, indices: torch.Tensor, active: torch.Tensor, packs: Packs) -> None:
        """Takes the slots of tokens, indices [tokens], -1 for none, and which slots occur, active [adapters]."""
        self.slots = tuple(active.tolist())
        own = (indices[:, None] == active).float()
        self.own = None if bool(own.all()) else own
        self._packs = packs
        self._masks: dict[tuple[int, int, torch.dtype], torch.Tensor] = {}

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
        a, b = self._packs.of(self.slots, a_stacked, b_stacked)
        inner = x @ a.to(x.dtype)
        rank = a_stacked[0].shape[2]
        if self.own is not None:
            inner.mul_(self._mask(self.own, rank, len(slices), x.dtype))
        width, left = len(self.slots) * rank, 0
        for number, (outer, size) in enumerate(zip(b, slices, strict=True)):
            part = inner[:, number * width : (number + 1) * width]
            y[:, left : left + size].addmm_(part.to(y.dtype), outer.to(y.dtype), alpha=scale)
            left += size

    def _mask(self, own: torch.Tensor, rank: int, slices: int, dtype: torch.dtype) -> torch.Tensor:
        key = rank, slices, dtype
        if key not in self._masks:
            self._masks[key] = own.repeat_interleave(rank, 1).repeat(1, slices).to(dtype)
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


def products(indices: torch.Tensor, rank: int, packs: Packs) -> Products | None:
    """What fits a step best: indices [tokens] are the slots of its tokens' adapters of this rank; None without any."""
    active = torch.unique(indices)
    active = active[active >= 0]
    if not len(active):
        return None
    return Masked(indices, active, packs) if len(active) * rank <= _MASKED_RANKS else Tiles(indices)
