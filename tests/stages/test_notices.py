"""What is unusual about a run is said before it begins: whose adapter or description is missing, and which is idle."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roleeval_stubs import StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.judging import RubricJudge
from roleeval.models import Base, IndependentLora
from roleeval.stages.notices import notices

ROLES = ("Ada", "Zo\u00eb", "Wukong")


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Three roles, of which two have a description, one of them in the other form of Unicode."""
    data = tmp_path / "data"
    folder = data / "rolebench-eng" / "instruction-generalization" / "role_specific"
    folder.mkdir(parents=True)
    rows = [{"role": role, "question": f"Who? {n}", "generated": ["I."]} for role in ROLES for n in range(2)]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (data / "profiles-eng").mkdir()
    described = {"Ada": "A girl.", unicodedata.normalize("NFD", "Zo\u00eb"): "A woman."}
    (data / "profiles-eng" / "desc.json").write_text(json.dumps(described), encoding="utf-8")
    return RunConfig(
        benchmark=RoleBench(data_dir=str(data), splits=("eng_specific",)),
        model=Base(name="m", source=ModelSource("base")),
        engine=StubOptions(),
        metrics={},
        options=RunOptions(progress="quiet"),
        judge=None,
    )


def test_roles_without_a_description_are_named_where_a_prompt_would_have_it(config: RunConfig) -> None:
    assert list(notices(config)) == ["no description for 1 of 3 roles; prompts have their names alone: 'Wukong'"]
    silent = replace(config, model=replace(config.model, system_prompt="none"))  # type: ignore[type-var]
    assert list(notices(silent)) == []


@pytest.mark.parametrize("limit", [None, 1])
def test_roles_without_an_adapter_and_adapters_without_a_role_are_named(
    config: RunConfig, tmp_path: Path, limit: int | None
) -> None:
    for role in ("Ada", unicodedata.normalize("NFD", "Zo\u00eb"), "Wu Kong", "Holmes"):
        folder = tmp_path / "adapters" / role
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "x": role}))
        (folder / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    many: Any = IndependentLora(name="m", source=ModelSource("base"), adapters_dir=str(tmp_path / "adapters"))
    said = list(notices(replace(config, model=many, options=replace(config.options, limit=limit))))
    if limit is None:
        assert said[0] == "no adapter for 1 of 3 roles; their samples count as unsupported_role: 'Wukong'"
    (idle,) = [each for each in said if "data does not have" in each]
    assert idle.startswith("2 of 4 adapters") and "'Holmes'" in idle and "'Wu Kong'" in idle


def test_a_judge_that_is_the_model_under_test_is_named(config: RunConfig) -> None:
    def said(**options: Any) -> list[str]:
        return [each for each in notices(replace(config, judge=RubricJudge(**options))) if "judge" in each]

    assert said() == said(source=ModelSource("base"))
    assert said() == ["judge rubric is the model under test, and models prefer their own answers; set judge.source"]
    assert not said(source=ModelSource("another"))
