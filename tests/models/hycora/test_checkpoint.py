"""A checkpoint that is not whole, or not the one it is taken for, is refused by a sentence that names what is wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from network import Network, Toy, write

from roleeval.errors import AdapterError
from roleeval.models.hycora import (
    HyCoraShape,
    ModuleShape,
    check_base,
    count_parameters,
    is_hycora,
    lora_pairs,
    open_checkpoint,
    read_manifest,
    write_adapter,
)
from tests.models.conftest import Files

CHATGLM = [
    ("self_attention.query_key_value", 32, 48),
    ("self_attention.dense", 32, 32),
    ("mlp.dense_h_to_4h", 32, 96),
    ("mlp.dense_4h_to_h", 48, 32),
]
SHARED = "model.layers.0.self_attn.q_proj"
Tensors = dict[str, torch.Tensor]


def test_sizes_come_from_the_tensors(files: Files) -> None:
    opened = open_checkpoint(files.checkpoint)
    assert opened.shape == HyCoraShape(
        3, 8, 6, 24, 2, 4, 2, tuple(ModuleShape(i, o, 5) for _, i, o in files.toy.module_shapes())
    )
    assert opened.alpha == 32 and opened.layout.name == "llama or qwen2"
    assert len(files.network.tensors()) == 7 * 2 + 52  # the specification's count
    assert is_hycora(files.checkpoint) and not is_hycora(files.base)


def test_all_layouts_of_the_file_give_the_same_adapter(tmp_path: Path) -> None:
    network = Network(Toy())
    aliased = dict(network.tensors())
    for name, tensor in network.tensors().items():  # a pickle holds shared tensors under every layer's name
        if ".layers.0." in name and "lora_B" not in name and "emb" not in name:
            aliased[name.replace("layers.0", "layers.1", 1)] = tensor
        if "roles_emb" in name:
            aliased[name.replace("self_attn.q_proj", "mlp.up_proj")] = tensor
    config = network.config()
    write(tmp_path / "safetensors", network.tensors(), config)
    write(tmp_path / "bin", aliased, config, pickled=True)
    write(tmp_path / "prefix", network.tensors(shared="hyper_network"), config)
    write(tmp_path / "module", network.tensors("module.model.layers"), config)
    expected = list(lora_pairs(open_checkpoint(tmp_path / "safetensors"), 2))
    for name in ("bin", "prefix", "module"):
        found = lora_pairs(open_checkpoint(tmp_path / name), 2)
        for one, other in zip(expected, found, strict=True):
            assert one.a.equal(other.a) and one.b.equal(other.b)


def test_a_pickle_that_holds_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    network = Network(Toy())
    write(tmp_path / "c", {**network.tensors(), "x": Bomb()}, network.config(), pickled=True)  # type: ignore[dict-item]
    with pytest.raises(AdapterError, match=r"pytorch_model\.bin: refused"):
        open_checkpoint(tmp_path / "c")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name",
    [
        f"{SHARED}.roles_emb.weight",
        f"{SHARED}.layers_emb.weight",
        f"{SHARED}.hypernet_encoder.fc_input.bias",
        f"{SHARED}.hypernet_encoder.layers.0.fc2.weight",
        f"{SHARED}.hypernet_encoder.layers.1.norm.bias",
        f"{SHARED}.hypernet_encoder.norm_output.weight",
        "model.layers.0.mlp.down_proj.down_linear.up.weight",
        "model.layers.1.mlp.gate_proj.lora_B",
    ],
)
def test_a_missing_tensor_is_named(files: Files, tmp_path: Path, name: str) -> None:
    tensors = files.network.tensors()
    del tensors[name]
    write(tmp_path / "broken", tensors, files.network.config())
    end = ".".join(name.split(".")[-3:])
    with pytest.raises(AdapterError, match=rf"tensor .*{end.removeprefix('q_proj.')} is missing"):
        open_checkpoint(tmp_path / "broken")


def test_both_norms_missing_although_the_config_has_them(files: Files, tmp_path: Path) -> None:
    tensors = {name: t for name, t in files.network.tensors().items() if "norm_input" not in name}
    write(tmp_path / "broken", tensors, files.network.config())
    with pytest.raises(AdapterError, match=r"tensor hypernet_encoder\.norm_input\.weight is missing"):
        open_checkpoint(tmp_path / "broken")
    write(tmp_path / "other", files.network.tensors(), {**files.network.config(), "layernorm_output": False})
    with pytest.raises(AdapterError, match="layernorm_output is false"):
        open_checkpoint(tmp_path / "other")


BREAK: dict[str, tuple[Callable[[Tensors, dict[str, Any]], Any], str]] = {
    "alpha": (lambda t, c: c.pop("alpha"), "alpha is None"),
    "negative alpha": (lambda t, c: c.update(alpha=-1), "alpha is -1"),
    "roles in config": (lambda t, c: c.update(roles_num=4), "roles_num is 4 but the tensors have 3"),
    "rank in config": (lambda t, c: c.update(rank_dim=8), "rank_dim is 8"),
    "module ids": (
        lambda t, c: t.update({f"{SHARED}.layers_emb.weight": torch.zeros(13, 6)}),
        r"layers_emb\.weight has shape \[13, 6\]",
    ),
    "head": (
        lambda t, c: t.update({f"{SHARED}.down_linear.up.weight": torch.zeros(30, 5)}),
        r"up\.bias has shape \[128\]; expected \[30\]",
    ),
    "rank of one B": (
        lambda t, c: t.update({"model.layers.1.mlp.up_proj.lora_B": torch.zeros(8, 48)}),
        r"layers\.1\.mlp\.up_proj\.lora_B has shape \[8, 48\]; expected \[4, 48\]",
    ),
    "two of one": (
        lambda t, c: t.update({"model.layers.1.mlp.up_proj.roles_emb.weight": torch.zeros(3, 8)}),
        "are both roles_emb.weight and differ",
    ),
    "architecture": (
        lambda t, c: t.update({"model.layers.0.attn.c_attn.lora_B": torch.zeros(4, 8)}),
        r"unknown architecture: it adapts attn\.c_attn",
    ),
    "full model": (
        lambda t, c: t.update({"model.embed_tokens.weight": torch.zeros(4, 8)}),
        "not a HyCoRA checkpoint",
    ),
}


@pytest.mark.parametrize("name", BREAK)
def test_what_does_not_fit_together_is_named(files: Files, tmp_path: Path, name: str) -> None:
    tensors, config = files.network.tensors(), files.network.config()
    change, message = BREAK[name]
    change(tensors, config)
    write(tmp_path / "broken", tensors, config)
    with pytest.raises(AdapterError, match=message):
        open_checkpoint(tmp_path / "broken")


def test_absent_and_unreadable_files_are_named(files: Files, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no such folder"):
        open_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match=r"no model\.safetensors or pytorch_model\.bin"):
        open_checkpoint(tmp_path / "empty")
    for name in ("model.safetensors", "pytorch_model.bin"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"\x10\0\0\0 not a model")
        with pytest.raises(AdapterError, match=name):
            open_checkpoint(folder)
    (files.checkpoint / "config.json").unlink()
    with pytest.raises(AdapterError, match=r"no config\.json"):
        open_checkpoint(files.checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intermediate": 64}, r"layers\.0\.mlp\.up_proj\.weight is \[64, 32\] .* for \[48, 32\]"),
        ({"kv_heads": 2}, r"layers\.0\.self_attn\.k_proj\.weight is \[16, 32\] .* for \[32, 32\]"),
        ({"layers": 1}, r"the base has no model\.layers\.1\.self_attn\.q_proj\.weight"),
        ({"layers": 3}, r"the base has a module model\.layers\.2\.self_attn\.q_proj, the checkpoint only 2 layers"),
    ],
)
def test_another_base_is_refused(files: Files, tmp_path: Path, change: dict[str, int], message: str) -> None:
    Toy(**change).base().save_pretrained(tmp_path / "base")  # type: ignore[operator, arg-type]
    with pytest.raises(AdapterError, match=message):
        check_base(open_checkpoint(files.checkpoint), tmp_path / "base")
    assert check_base(open_checkpoint(files.checkpoint), files.base)
    assert not check_base(open_checkpoint(files.checkpoint), tmp_path / "hub/id")


def test_chatglm2(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    toy = Toy(head=4, layers=3)
    network = Network(toy, modules=CHATGLM)
    prefix = "transformer.encoder.layers"
    write(tmp_path / "c", network.tensors(prefix), network.config())
    opened = open_checkpoint(tmp_path / "c")
    assert opened.layout.name == "chatglm2" and opened.shape.layers == 3
    write_adapter(opened, 1, tmp_path / "out")
    written = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert len(written) == 2 * 4 * 3
    for kind, (module, inputs, outputs) in enumerate(CHATGLM):
        a = written[f"base_model.model.{prefix}.2.{module}.lora_A.weight"]
        assert written[f"base_model.model.{prefix}.2.{module}.lora_B.weight"].shape == (outputs, 4)
        assert a.shape == (4, inputs)
        torch.testing.assert_close(a, network.matrix_a(1, kind, 2).T)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a", "b"]', "2 roles and the checkpoint's role embedding has 3"),
        ('["a", "b", "a"]', "role 'a' is listed twice, as id 0 and 2"),
        ('{"a": "x", "b": {"a": 1}, "a": "y"}', "role 'a' is listed twice, as id 0 and 2"),
        ('["a", "b", 3]', "it must be a JSON list"),
        ('"abc"', "it must be a JSON list"),
        ("[", "cannot be read as JSON"),
        ('["a", "", "b"]', "it must be a JSON list"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "roles.json"
    file.write_text(content)
    with pytest.raises(AdapterError, match=message) as caught:
        read_manifest(file, roles=3)
    assert str(file) in str(caught.value)


def test_a_manifest_is_a_list_or_the_keys_of_an_object_and_never_guessed(tmp_path: Path) -> None:
    file = tmp_path / "roles_desc_zh.json"
    file.write_text('\ufeff{"孙悟空": "猴", "b": {"x": 1}, "a": ""}', encoding="utf-8")
    assert read_manifest(file, roles=3) == ("孙悟空", "b", "a")
    file.write_text('["孙悟空", "b", "a"]', encoding="utf-8")
    assert read_manifest(file, roles=3) == ("孙悟空", "b", "a")
    with pytest.raises(AdapterError, match="no such file; a HyCoRA checkpoint needs"):
        read_manifest(tmp_path / "none.json", roles=3)


def test_parameter_counts_are_the_worked_values() -> None:
    d, f = 4096, 11008
    widths = [(d, d)] * 4 + [(d, f), (f, d), (d, f)]
    llama = count_parameters(HyCoraShape(95, 256, 128, 728, 2, 8, 32, tuple(ModuleShape(*w, 32) for w in widths)))
    assert round(llama.trainable / 1e6, 1) == 24.0
    assert round(llama.adapter / 1e6, 1) == 20.0 and round(95 * llama.adapter / 1e9, 1) == 1.9
    assert llama.per_added_role == 256
    d, f, kv = 3584, 18944, 512
    widths = [(d, d), (d, kv), (d, kv), (d, d), (d, f), (f, d), (d, f)]
    qwen = count_parameters(HyCoraShape(5, 128, 128, 512, 2, 8, 28, tuple(ModuleShape(*w, 28) for w in widths)))
    assert round(qwen.trainable / 1e6, 1) == 22.3
    assert round(qwen.adapter / 1e6, 1) == 20.2 and round(5 * qwen.adapter / 1e6, 1) == 100.9


@pytest.mark.parametrize("toy", [Toy(), Toy(norm_input=False, blocks=1), Toy(norm_output=False, rank=2)])
def test_parameter_counts_are_the_tensors_sizes(toy: Toy, tmp_path: Path) -> None:
    network = Network(toy)
    counted = count_parameters(open_checkpoint(network.save(tmp_path / "c")).shape)
    tensors = {name: t for name, t in network.tensors().items() if "role_emb_layer" not in name}
    assert counted.inference == sum(tensor.numel() for tensor in tensors.values())
    d, r = toy.hidden, toy.role_dim
    assert counted.trainable == counted.inference + d * r + r + r * r + r
