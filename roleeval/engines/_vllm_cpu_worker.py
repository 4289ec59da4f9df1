"""vLLM's CPU worker with batched LoRA products; named in `worker_cls`, imported in vLLM's own process.

vLLM's CPU operators gather a copy of the adapter's matrix for every token of a batch. Here the tokens of a step are cut
into tiles of one adapter each, once per step, and every LoRA layer is two batched products over the tiles: the same
sums, several times faster, whatever the number of adapters (docs/speed.md). Tokens without an adapter (index -1) get no
delta; vLLM's operators give them the last slot's (vLLM pull requests 48421, 49656).
"""

from typing import Any

import torch
from vllm.lora.punica_wrapper import punica_cpu
from vllm.v1.worker.cpu_worker import CPUWorker

_VllmWrapper = punica_cpu.PunicaWrapperCPU


class Tiles:
    """The tokens of one step, cut into tiles of `width` tokens that share an adapter.

    Attributes:
        adapters: [tiles] the slot of each tile's adapter.
        source: [tiles * width] which token fills a place; places that are left over repeat token 0.
        place: [tokens] where a token is; 0 for tokens without an adapter.
        weight: [tokens, 1] in float32: 1, or 0 for tokens without an adapter.
    """

    def __init__(self, indices: torch.Tensor) -> None:
        """Cuts tokens into tiles; indices [tokens] are their adapters' slots, -1 for none."""
        self.width = 16 if len(indices) <= 1024 else 64
        order = torch.argsort(indices, stable=True)
        order = order[int((indices < 0).sum()) :]
        slots, counts = torch.unique_consecutive(indices[order], return_counts=True)
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
        self.weight = (indices >= 0).float()[:, None]

    def add(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        a_stacked: tuple[torch.Tensor, ...],
        b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        slices: tuple[int, ...],
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
        count = len(self.adapters)
        if not count:
            return
        tiled = x[self.source].view(count, self.width, -1)
        a = torch.cat([a[:, 0].index_select(0, self.adapters) for a in a_stacked], dim=1)
        inner = torch.bmm(tiled, a.to(x.dtype).transpose(1, 2))
        weight = (self.weight * scale).to(y.dtype)
        left = rank = 0
        for b, size in zip(b_stacked, slices, strict=True):
            chosen = b[:, 0].index_select(0, self.adapters).to(x.dtype)
            part = inner[..., rank : rank + chosen.shape[-1]]
            delta = torch.bmm(part, chosen.transpose(1, 2)).view(-1, size)[self.place]
            y[:, left : left + size].addcmul_(delta.to(y.dtype), weight)
            left, rank = left + size, rank + chosen.shape[-1]


class TiledLora(_VllmWrapper):  # type: ignore[misc, valid-type]
    """vLLM's wrapper around LoRA operators, with linear layers by tiles."""

    def update_metadata(self, *arguments: Any, **options: Any) -> None:
        """Called by vLLM once per step, before the model runs."""
        super().update_metadata(*arguments, **options)
        self._tiles = Tiles(self.token_lora_indices)

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
        flat_y, flat_x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        tokens = len(self._tiles.place)
        self._tiles.add(flat_y[:tokens], flat_x[:tokens], lora_a_stacked, lora_b_stacked, scale, output_slices)


class TiledLoraWorker(CPUWorker):  # type: ignore[misc]
    """The CPU worker; making it puts the wrapper above into this process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        punica_cpu.PunicaWrapperCPU = TiledLora
        super().__init__(*arguments, **options)
