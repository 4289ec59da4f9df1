"""Parameter counts: a table that is wrong here tells the wrong story about what a family costs."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import ModelSource
from roleeval.models import AdapterParameters, Api, Base, HyCora, IndependentLora, SharedLora, base_parameters
from tests.models.conftest import Files


def tensors(file: Path, **shapes: list[int]) -> None:
    """A safetensors file with a header and no data: nothing but the header may be read."""
    header = json.dumps(
        {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<Q", len(header)) + header.encode())


def adapter(folder: Path, rank: int) -> Path:
    tensors(folder / "adapter_model.safetensors", a=[rank, 10], b=[20, rank])
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    return folder


def named(**options: Any) -> dict[str, Any]:
    return {"name": "m", "source": ModelSource("base"), **options}


def test_a_shared_adapter_costs_nothing_per_role(tmp_path: Path) -> None:
    shared = SharedLora(**named(adapter_path=str(adapter(tmp_path / "one", 4))))
    assert shared.adapter_parameters() == AdapterParameters(120, 0)


@pytest.mark.parametrize(("ranks", "per_role"), [((4, 4), 120), ((4, 2), None)])
def test_independent_adapters_add_one_adapter_per_role(tmp_path: Path, ranks: tuple[int, int], per_role: int) -> None:
    for number, rank in enumerate(ranks):
        adapter(tmp_path / f"role{number}", rank)
    many = IndependentLora(**named(adapters_dir=str(tmp_path)))
    assert many.adapter_parameters() == AdapterParameters(sum(30 * rank for rank in ranks), per_role)


def test_hycora_adds_one_role_embedding_per_role(files: Files) -> None:
    model = HyCora(
        **named(source=ModelSource(str(files.base)), checkpoint=str(files.checkpoint), roles=str(files.roles))
    )
    stored = base_parameters(ModelSource(str(files.checkpoint)))
    assert stored is not None
    counted = model.adapter_parameters()
    assert counted.per_added_role == files.toy.role_dim
    assert counted.total == stored


def test_what_is_not_known_is_not_zero(tmp_path: Path) -> None:
    assert Base(**named()).adapter_parameters() == AdapterParameters(0, 0)
    assert Api(**named()).adapter_parameters() == AdapterParameters(None, None)
    assert SharedLora(**named(adapter_path="x", served=True)).adapter_parameters().total is None
    assert base_parameters(ModelSource("org/on-the-hub")) is None
    tensors(tmp_path / "model.safetensors", w=[3, 5])
    (tmp_path / "config.json").write_text('{"quantization_config": {"bits": 4}}')
    assert base_parameters(ModelSource(str(tmp_path))) is None


def test_weights_that_lie_there_twice_are_counted_once(tmp_path: Path) -> None:
    tensors(tmp_path / "model-1.safetensors", **{"model.w": [3, 5]})
    tensors(tmp_path / "model-2.safetensors", **{"model.v": [7]})
    tensors(tmp_path / "consolidated.safetensors", w=[3, 5], v=[7])
    index = {"weight_map": {"model.w": "model-1.safetensors", "model.v": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert base_parameters(ModelSource(str(tmp_path))) == 22
