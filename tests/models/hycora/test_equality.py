"""A role played through its exported adapter is the role that the hyper-network was trained to be."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from network import Network, Toy, manifest
from peft import PeftModel

from roleeval.models.hycora import export

TOYS = {
    "llama": Toy(rank=2),
    "llama, grouped-query attention": Toy(kv_heads=2, rank=8, head=7, hidden=40, intermediate=56),
    "llama, wide heads": Toy(heads=4, kv_heads=1, head_dim=16, rank=4, head=1, alpha=8),
    "llama, no input norm": Toy(norm_input=False, layers=3, width=17, role_dim=5),
    "qwen2, no output norm": Toy(kind="qwen2", norm_output=False, kv_heads=2, blocks=1),
    "qwen2, no norms": Toy(kind="qwen2", norm_input=False, norm_output=False, rank=8, blocks=0),
    "qwen2, all its own": Toy("qwen2", 48, 64, 6, 2, 8, 3, 8, 16, 12, 4, 40, 28, 3, roles=("a", "b", "c", "d", "e")),
}


def logits(model: torch.nn.Module) -> torch.Tensor:
    tokens = torch.arange(60).view(3, 20) % 64
    with torch.inference_mode():
        found: torch.Tensor = model(tokens).logits
    return found


@pytest.mark.parametrize("name", TOYS)
def test_every_role_has_the_logits_of_the_formula(name: str, tmp_path: Path) -> None:
    toy = TOYS[name]
    network, base = Network(toy), toy.base()
    base.save_pretrained(tmp_path / "base")  # type: ignore[operator]
    plain = logits(base)
    folders = export(
        network.save(tmp_path / "checkpoint"),
        tmp_path / "base",
        manifest(tmp_path / "roles.json", toy.roles),
        tmp_path / "out",
    )
    assert list(folders) == list(toy.roles)
    seen = [plain]
    for number, folder in enumerate(folders.values()):
        expected = logits(network.play(toy.base(), number))
        found = logits(PeftModel.from_pretrained(toy.base(), folder).eval())
        assert (found - expected).abs().max() < 1e-5
        # A comparison says nothing where the adapter does nothing, or the same for all roles.
        assert all((expected - other).abs().max() > 1e-2 for other in seen)
        seen.append(expected)


def test_module_ids_count_layers_within_a_type(tmp_path: Path) -> None:
    toy = Toy(layers=3)
    network = Network(toy)
    folder = export(
        network.save(tmp_path / "c"), _base(toy, tmp_path), manifest(tmp_path / "r.json"), tmp_path / "out"
    )[toy.roles[1]]
    from safetensors.torch import load_file

    written = load_file(folder / "adapter_model.safetensors")
    assert len(written) == 2 * 7 * 3
    for kind, (module, _, _) in enumerate(network.modules):
        for layer in range(3):
            stem = f"base_model.model.model.layers.{layer}.{module}"
            torch.testing.assert_close(written[f"{stem}.lora_A.weight"], network.matrix_a(1, kind, layer).T)
            assert written[f"{stem}.lora_B.weight"].equal(network.lora_b[kind][layer].T)
            assert written[f"{stem}.lora_A.weight"].dtype == torch.float32


def test_a_permuted_manifest_gives_other_adapters(tmp_path: Path) -> None:
    toy = Toy()
    checkpoint, base = Network(toy).save(tmp_path / "c"), _base(toy, tmp_path)
    swapped = (toy.roles[1], toy.roles[0], *toy.roles[2:])
    first = export(checkpoint, base, manifest(tmp_path / "a.json"), tmp_path / "a")
    second = export(checkpoint, base, manifest(tmp_path / "b.json", swapped), tmp_path / "b")
    content = [
        {role: (folder / "adapter_model.safetensors").read_bytes() for role, folder in folders.items()}
        for folders in (first, second)
    ]
    assert content[0][toy.roles[0]] == content[1][toy.roles[1]] != content[1][toy.roles[0]]
    assert content[0][toy.roles[2]] == content[1][toy.roles[2]]


def test_the_config_is_plain_lora(tmp_path: Path) -> None:
    toy = dataclasses.replace(Toy(), alpha=16.0)
    folders = export(
        Network(toy).save(tmp_path / "c"), _base(toy, tmp_path), manifest(tmp_path / "r.json"), tmp_path / "out"
    )
    config = json.loads((folders[toy.roles[0]] / "adapter_config.json").read_text())
    assert (config["peft_type"], config["task_type"], config["bias"]) == ("LORA", "CAUSAL_LM", "none")
    assert (config["r"], config["lora_alpha"]) == (4, 16) and isinstance(config["lora_alpha"], int)
    assert sorted(config["target_modules"]) == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "gate_proj"]
    )


def _base(toy: Toy, folder: Path) -> Path:
    toy.base().save_pretrained(folder / "base")  # type: ignore[operator]
    return folder / "base"
