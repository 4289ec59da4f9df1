"""A build is reproducible bit for bit, and says clearly what it cannot do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from roleeval.errors import ConfigError
from roleeval.resources import zoo_path
from roleeval.zoo._models import LoraSize, ModelSize
from roleeval.zoo._train import Schedule
from roleeval.zoo.build import RECIPES, Plan, build, file_hashes

SHORT = Schedule(epochs=1, lr=1e-3, pack_tokens=128, question_noise=0.1, answer_noise=0.05, max_steps=3)
TINY = Plan(
    size=ModelSize(vocab=512, hidden=32, layers=1, heads=2, kv_heads=1, intermediate=48),
    base=replace(SHORT, optimizer="muon"),
    lora=LoraSize(rank=2, alpha=4, dropout=0.1),
    lora_of_one_role=LoraSize(rank=2, alpha=4, dropout=0.1),
    shared_lora=SHORT,
    independent_lora=replace(SHORT, max_steps=1),
    hycora=SHORT,
    her=SHORT,
    her_sessions=SHORT,
    rar=SHORT,
    stagehand=SHORT,
    user_sessions=SHORT,
)


def _quiet(_: str) -> None: ...


def test_two_builds_are_equal_bit_for_bit(tmp_path: Path) -> None:
    first = build(tmp_path / "a", plan=TINY, say=_quiet)
    second = build(tmp_path / "b", plan=TINY, say=_quiet)
    assert first == second
    assert set(first) == set(RECIPES)
    for name in first:
        assert first[name]["steps"] == {"independent_lora": 10, "her": 6, "stagehand": 6}.get(name, 3)
        assert first[name]["files"] == file_hashes(tmp_path / "a" / name) == file_hashes(tmp_path / "b" / name)
    other = build(tmp_path / "c", only=["base"], seed=1, plan=TINY, say=_quiet)
    assert other["base"]["files"]["model.safetensors"] != first["base"]["files"]["model.safetensors"]


def test_one_model_can_be_rebuilt_alone(tmp_path: Path) -> None:
    whole = build(tmp_path, only=["base", "shared_lora"], plan=TINY, say=_quiet)
    again = build(tmp_path, only=["shared_lora"], plan=TINY, say=_quiet)
    assert again == whole == json.loads((tmp_path / "hashes.json").read_text())
    slower = replace(TINY, shared_lora=replace(TINY.shared_lora, lr=5e-4))
    changed = build(tmp_path, only=["shared_lora"], plan=slower, say=_quiet)
    assert changed["base"] == whole["base"]
    assert changed["shared_lora"] != whole["shared_lora"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "hashes.json", "shared_lora"]


def test_an_adapter_without_its_base_or_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is trained on 'base'"):
        build(tmp_path, only=["shared_lora"], plan=TINY, say=_quiet)
    known = "base, shared_lora, independent_lora, hycora, her, rar, stagehand"
    with pytest.raises(ConfigError, match=f"no model 'gpt'; known: {known}"):
        build(tmp_path, only=["gpt"], plan=TINY, say=_quiet)
    with pytest.raises(ConfigError, match="zoo:gpt: no such model in the zoo"):
        zoo_path("gpt")
