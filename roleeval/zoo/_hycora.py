"""A HyCoRA network for training: a hyper-network makes A of every role and module, B is shared; plus the loss.

Written from the paper's formulas. `save` writes the official checkpoint layout, so that what is trained here is loaded
by the same code as anyone's checkpoint (roleeval.models.hycora).
Source: HyCoRA (arXiv 2511.08017); spec/hycora.md, sections 1, 2 and 4.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from roleeval.errors import ConfigError
from roleeval.models.hycora import LAYOUTS
from roleeval.zoo._models import HyCoraSize
from roleeval.zoo._pack import Batch
from roleeval.zoo._train import answer_loss, hidden_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LAYOUT = LAYOUTS[0]
_FIRST = _LAYOUT.modules[0]
_TEMPERATURE = 0.1


class HyperLora(nn.Module):  # type: ignore[misc]
    """A frozen base whose linear layers get, for each pack of a batch, the LoRA of the pack's role."""

    def __init__(self, base: "PreTrainedModel", roles: Sequence[str], size: HyCoraSize) -> None:
        super().__init__()
        self.size, self.role_names = size, tuple(roles)
        self.base = base.requires_grad_(False)
        self.layers = int(base.config.num_hidden_layers)
        width = size.roles_emb_dim + size.layers_emb_dim
        self.roles_emb = nn.Embedding(len(roles), size.roles_emb_dim)
        self.layers_emb = nn.Embedding(len(_LAYOUT.modules) * self.layers, size.layers_emb_dim)
        self.encoder = _Encoder(width, size)
        self.heads = nn.ModuleDict()
        self.lora_b = nn.ParameterDict()
        for module in _LAYOUT.modules:
            linear = self._linear(module, 0)
            self.heads[_key(module)] = nn.Sequential(
                nn.Linear(size.hyper_hidden_dim, size.head), nn.Linear(size.head, linear.in_features * size.rank_dim)
            )
            for layer in range(self.layers):
                self.lora_b[_key(module, layer)] = nn.Parameter(torch.zeros(size.rank_dim, linear.out_features))
        self.hidden_to_role = nn.Linear(int(base.config.hidden_size), size.roles_emb_dim)
        self.role_to_role = nn.Linear(size.roles_emb_dim, size.roles_emb_dim)
        self.drop = nn.Dropout(size.dropout)
        self._a: dict[str, torch.Tensor] = {}
        self._hooks: list[Any] = []
        self._initialise()
        for module in _LAYOUT.modules:
            for layer in range(self.layers):
                hook = self._hook(_key(module, layer))
                self._hooks.append(self._linear(module, layer).register_forward_hook(hook))

    def unload(self) -> None:
        """Leaves the base as it was."""
        for hook in self._hooks:
            hook.remove()

    def _linear(self, module: str, layer: int) -> Any:
        return self.base.get_submodule(_LAYOUT.base_module(module, layer))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if name.startswith("base."):
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "_emb." in name:
                nn.init.trunc_normal_(parameter)
            elif parameter.dim() == 2 and not name.startswith("lora_b"):
                nn.init.xavier_uniform_(parameter)
        for module in _LAYOUT.modules:
            made = self.matrices(torch.arange(len(self.role_names)), module)
            wanted = math.sqrt(2.0 / (made.shape[-2] + made.shape[-1]))  # the deviation of a Xavier LoRA A
            self.heads[_key(module)][1].weight *= wanted / made.std()

    def matrices(self, roles: torch.Tensor, module: str) -> torch.Tensor:
        """A of some roles [n] in all layers: [n, layers, in, rank]. x0 is role embedding, then module embedding."""
        ids = _LAYOUT.modules.index(module) * self.layers + torch.arange(self.layers, device=roles.device)
        role = self.roles_emb(roles)[:, None].expand(-1, self.layers, -1)
        place = self.layers_emb(ids)[None].expand(len(roles), -1, -1)
        made = self.heads[_key(module)](self.encoder(torch.cat((role, place), dim=-1)))
        return made.view(len(roles), self.layers, -1, self.size.rank_dim) / math.sqrt(self.size.hyper_hidden_dim)

    def _hook(self, key: str) -> Any:
        scale = self.size.alpha / self.size.rank_dim

        def add_delta(_: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            # In float32 whatever the base has: spec/hycora.md, section 1, Precision.
            delta = scale * torch.bmm(self.drop(inputs[0].float()), self._a[key]) @ self.lora_b[key]
            return output + delta.to(output.dtype)

        return add_delta

    def play(self, roles: torch.Tensor) -> None:
        """Makes the adapters of a batch: roles [packs]."""
        unique, index = roles.unique(return_inverse=True)
        for module in _LAYOUT.modules:
            made = self.matrices(unique, module)[index]
            for layer in range(self.layers):
                self._a[_key(module, layer)] = made[:, layer]

    def contrastive_loss(self, ends: torch.Tensor, roles: torch.Tensor) -> torch.Tensor:
        """L_HCL: responses' final hidden states [n, width] near the embeddings of their own roles [n].

        Source: spec/hycora.md, section 4.
        """
        states = functional.normalize(self.hidden_to_role(ends.float()), dim=-1)
        embeddings = functional.normalize(self.role_to_role(self.roles_emb(roles)), dim=-1)
        log_share = functional.log_softmax(states @ embeddings.T / _TEMPERATURE, dim=-1)
        same = (roles[:, None] == roles[None, :]).float()
        return -((log_share * same).sum(-1) / same.sum(-1)).mean()

    def save(self, folder: Path) -> None:
        """Writes model.safetensors, config.json and roles.json (the role manifest)."""
        from safetensors.torch import save_file

        shared = f"{_LAYOUT.layers}.0.{_FIRST}"
        tensors = {
            f"{shared}.roles_emb.weight": self.roles_emb.weight,
            f"{shared}.layers_emb.weight": self.layers_emb.weight,
            **{f"{shared}.hypernet_encoder.{name}": value for name, value in self.encoder.state_dict().items()},
            **{f"hidden_to_role_emb_layer.{k}": v for k, v in self.hidden_to_role.state_dict().items()},
            **{f"role_emb_to_role_emb_layer.{k}": v for k, v in self.role_to_role.state_dict().items()},
        }
        for module in _LAYOUT.modules:
            for end, linear in zip(("down", "up"), self.heads[_key(module)], strict=True):
                for name, value in linear.state_dict().items():
                    tensors[f"{_LAYOUT.layers}.0.{module}.down_linear.{end}.{name}"] = value
            for layer in range(self.layers):
                tensors[f"{_LAYOUT.base_module(module, layer)}.lora_B"] = self.lora_b[_key(module, layer)]
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )
        size = self.size
        config = {
            "model_type": self.base.config.model_type,
            "roles_num": len(self.role_names),
            "roles_emb_dim": size.roles_emb_dim,
            "layers_num": len(_LAYOUT.modules) * self.layers,
            "layers_emb_dim": size.layers_emb_dim,
            "residual_blocks_num": size.residual_blocks_num,
            "hyper_hidden_dim": size.hyper_hidden_dim,
            "rank_dim": size.rank_dim,
            "alpha": size.alpha,
            "layernorm_input": True,
            "layernorm_output": True,
            "dropout": size.dropout,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        names = json.dumps(list(self.role_names), indent=1, ensure_ascii=False)
        (folder / "roles.json").write_text(names + "\n", encoding="utf-8")


class _Encoder(nn.Module):  # type: ignore[misc]
    # Names of sub-modules are those of the official layout.
    def __init__(self, width: int, size: HyCoraSize) -> None:
        super().__init__()
        self.norm_input = nn.LayerNorm(width)
        self.fc_input = nn.Linear(width, size.hyper_hidden_dim)
        self.layers = nn.ModuleList(_Residual(size.hyper_hidden_dim) for _ in range(size.residual_blocks_num))
        self.norm_output = nn.LayerNorm(size.hyper_hidden_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.fc_input(self.norm_input(x)))
        for block in self.layers:
            x = block(x)
        out: torch.Tensor = self.norm_output(x)
        return out


class _Residual(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(functional.relu(self.fc1(self.norm(x))))


def hycora_loss(model: HyperLora, ids: torch.Tensor, batch: Batch, progress: float) -> torch.Tensor:
    """Cross-entropy of the answers plus lambda(t) * L_HCL, lambda rising linearly to its final value.

    Source: spec/hycora.md, section 4.
    """
    model.play(batch.roles)
    hidden = hidden_states(model.base, ids, batch)
    roles = batch.roles[:, None].expand_as(batch.ids)[batch.ends]
    contrast = model.contrastive_loss(hidden[batch.ends], roles)
    return answer_loss(model.base, hidden, batch.labels) + progress * model.size.contrast * contrast


def check_hycora(base: "PreTrainedModel", name: str) -> None:
    """Refuses a base whose modules the official checkpoint layout cannot hold.

    Raises:
        ConfigError: names the module that is missing, or has another width than in layer 0.
    """
    layers = int(base.config.num_hidden_layers)
    for module in _LAYOUT.modules:
        found = []
        for layer in range(layers):
            place = _LAYOUT.base_module(module, layer)
            try:
                linear = base.get_submodule(place)
            except AttributeError:
                raise ConfigError(
                    f"{name}: hycora cannot be built: the official layout is that of {_LAYOUT.name}, and this model has"
                    f" no {place}; name the other models with --only"
                ) from None
            found.append((linear.in_features, linear.out_features))
        if len(set(found)) > 1:
            raise ConfigError(
                f"{name}: hycora cannot be built: {module} has another width in some layers, and the official layout"
                " has one for all; name the other models with --only"
            )


def _key(module: str, layer: int | None = None) -> str:
    name = module.replace(".", "_")
    return name if layer is None else f"{name}_{layer}"
