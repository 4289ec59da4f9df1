"""A second implementation of HyCoRA's network, from the specification alone, and toy models to hang it on.

It shares no code with roleeval.models.hycora: it writes checkpoints in the official layout and plays a role by changing
the linear layers' forward pass, without ever building a LoRA.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

LLAMA_TYPES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    "mlp.gate_proj",
)
ROLES = ("Sherlock Holmes", "孙悟空", "Dr. Frank/N/Furter.")


@dataclass(frozen=True)
class Toy:
    """Sizes of a toy base and of its network."""

    kind: str = "llama"
    hidden: int = 32
    intermediate: int = 48
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 8
    layers: int = 2
    rank: int = 4
    alpha: float = 32
    role_dim: int = 8
    layer_dim: int = 6
    width: int = 24
    head: int = 5
    blocks: int = 2
    norm_input: bool = True
    norm_output: bool = True
    roles: Sequence[str] = field(default=ROLES)

    def base(self) -> nn.Module:
        """A random base model in float32."""
        import transformers

        torch.manual_seed(7)
        name = {"llama": "Llama", "qwen2": "Qwen2"}[self.kind]
        extra = {"head_dim": self.head_dim} if self.kind == "llama" else {}
        config = getattr(transformers, f"{name}Config")(
            vocab_size=64,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=64,
            initializer_range=0.1,
            **extra,
        )
        model: nn.Module = getattr(transformers, f"{name}ForCausalLM")(config)
        return model.eval()

    def module_shapes(self) -> list[tuple[str, int, int]]:
        """(module, in, out) in the order of module ids."""
        d, f, q, kv = self.hidden, self.intermediate, self.heads * self.head_dim, self.kv_heads * self.head_dim
        widths = [(d, q), (d, kv), (d, kv), (q, d), (d, f), (f, d), (d, f)]
        return [(module, *pair) for module, pair in zip(LLAMA_TYPES, widths, strict=True)]


class Network:
    """The network, with random weights large enough that every role is heard."""

    def __init__(self, toy: Toy, *, seed: int = 0, modules: "list[tuple[str, int, int]] | None" = None) -> None:
        self.toy, self.modules = toy, modules or toy.module_shapes()
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape: int, std: float = 0.3) -> torch.Tensor:
            return torch.randn(*shape, generator=draw) * std

        self.roles = normal(len(toy.roles), toy.role_dim, std=1.0)
        self.ids = normal(len(self.modules) * toy.layers, toy.layer_dim, std=1.0)
        self.fc_input = (normal(toy.width, toy.role_dim + toy.layer_dim), normal(toy.width))
        self.blocks = [
            {part: (normal(toy.width, toy.width), normal(toy.width)) for part in ("fc1", "fc2")}
            | {"norm": (1 + normal(toy.width), normal(toy.width))}
            for _ in range(toy.blocks)
        ]
        self.norm_input = (1 + normal(toy.role_dim + toy.layer_dim), normal(toy.role_dim + toy.layer_dim))
        self.norm_output = (1 + normal(toy.width), normal(toy.width))
        self.heads = [
            (
                (normal(toy.head, toy.width), normal(toy.head)),
                (normal(inputs * toy.rank, toy.head), normal(inputs * toy.rank)),
            )
            for _, inputs, _ in self.modules
        ]
        self.lora_b = [[normal(toy.rank, out, std=0.02) for _ in range(toy.layers)] for _, _, out in self.modules]

    def matrix_a(self, role: int, kind: int, layer: int) -> torch.Tensor:
        """A of one module, [in, r], entry by entry as the specification defines it."""
        toy = self.toy
        x = torch.cat((self.roles[role], self.ids[kind * toy.layers + layer]))
        if toy.norm_input:
            x = _layer_norm(x, *self.norm_input)
        x = (self.fc_input[0] @ x + self.fc_input[1]).clamp(min=0)
        for block in self.blocks:
            inner = block["fc1"][0] @ _layer_norm(x, *block["norm"]) + block["fc1"][1]
            x = x + block["fc2"][0] @ inner.clamp(min=0) + block["fc2"][1]
        if toy.norm_output:
            x = _layer_norm(x, *self.norm_output)
        (down, down_bias), (up, up_bias) = self.heads[kind]
        flat = (up @ (down @ x + down_bias) + up_bias) / math.sqrt(toy.width)
        inputs = self.modules[kind][1]
        return torch.stack([flat[i * toy.rank : (i + 1) * toy.rank] for i in range(inputs)])

    def play(self, model: nn.Module, role: int) -> nn.Module:
        """Changes the model's linear layers so that they compute y = W x + alpha / r * (x A) B."""
        scale = self.toy.alpha / self.toy.rank
        for kind, (module, _, _) in enumerate(self.modules):
            for layer in range(self.toy.layers):
                linear = model.get_submodule(f"model.layers.{layer}.{module}")
                a, b = self.matrix_a(role, kind, layer), self.lora_b[kind][layer]
                linear.forward = _changed(linear, a, b, scale)  # type: ignore[method-assign]
        return model

    def tensors(self, prefix: str = "model.layers", shared: str | None = None) -> dict[str, torch.Tensor]:
        """The checkpoint's tensors under the official names; `shared` replaces the prefix of the shared ones."""
        first = shared or f"{prefix}.0.{self.modules[0][0]}"
        found = {f"{first}.roles_emb.weight": self.roles, f"{first}.layers_emb.weight": self.ids}
        encoder: dict[str, tuple[torch.Tensor, torch.Tensor]] = {"fc_input": self.fc_input}
        for number, block in enumerate(self.blocks):
            encoder |= {f"layers.{number}.{part}": pair for part, pair in block.items()}
        if self.toy.norm_input:
            encoder["norm_input"] = self.norm_input
        if self.toy.norm_output:
            encoder["norm_output"] = self.norm_output
        for part, (weight, bias) in encoder.items():
            found |= {f"{first}.hypernet_encoder.{part}.weight": weight, f"{first}.hypernet_encoder.{part}.bias": bias}
        for (module, _, _), head, matrices in zip(self.modules, self.heads, self.lora_b, strict=True):
            stem = f"{shared or f'{prefix}.0'}.{module}.down_linear"
            for part, (weight, bias) in zip(("down", "up"), head, strict=True):
                found |= {f"{stem}.{part}.weight": weight, f"{stem}.{part}.bias": bias}
            found |= {f"{prefix}.{layer}.{module}.lora_B": b for layer, b in enumerate(matrices)}
        for name, width in (("hidden", self.modules[0][1]), ("role_emb", self.toy.role_dim)):  # of training only
            found[f"{name}_to_role_emb_layer.weight"] = torch.zeros(self.toy.role_dim, width)
            found[f"{name}_to_role_emb_layer.bias"] = torch.zeros(self.toy.role_dim)
        return found

    def config(self) -> dict[str, Any]:
        """config.json as the training writes it, among the base model's own keys."""
        toy = self.toy
        return {
            "model_type": toy.kind,
            "roles_num": len(toy.roles),
            "roles_emb_dim": toy.role_dim,
            "layers_num": len(self.modules) * toy.layers,
            "layers_emb_dim": toy.layer_dim,
            "residual_blocks_num": toy.blocks,
            "hyper_hidden_dim": toy.width,
            "rank_dim": toy.rank,
            "alpha": toy.alpha,
            "layernorm_input": toy.norm_input,
            "layernorm_output": toy.norm_output,
            "dropout": 0.1,
        }

    def save(self, folder: Path) -> Path:
        """Writes the checkpoint."""
        write(folder, self.tensors(), self.config())
        return folder


def write(folder: Path, tensors: dict[str, torch.Tensor], config: dict[str, Any], *, pickled: bool = False) -> None:
    """Writes tensors and config.json as a checkpoint folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def manifest(file: Path, roles: Sequence[str] = ROLES) -> Path:
    """Writes a role manifest."""
    file.write_text(json.dumps(list(roles), ensure_ascii=False), encoding="utf-8")
    return file


def _layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean()
    return centred / torch.sqrt(centred.square().mean() + 1e-5) * weight + bias


def _changed(linear: nn.Module, a: torch.Tensor, b: torch.Tensor, scale: float) -> Any:
    weight, bias = linear.weight, linear.bias

    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x @ weight.T + scale * (x @ a @ b)
        return y if bias is None else y + bias

    return forward
