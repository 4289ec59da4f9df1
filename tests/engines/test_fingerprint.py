"""Fingerprints stand for contents: a changed byte changes them, a moved folder does not."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roleeval.engines import ModelSource, adapter_fingerprint, model_fingerprint
from roleeval.engines.fingerprint import pinned
from roleeval.errors import EngineError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_moved_model_is_the_same_model(tiny_model: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_model, tmp_path / "moved")
    assert model_fingerprint(ModelSource(str(tiny_model))) == model_fingerprint(ModelSource(str(moved)))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_a_changed_byte_is_another_model(tiny_model: Path, tmp_path: Path, name: str) -> None:
    changed = shutil.copytree(tiny_model, tmp_path / "changed")
    (changed / name).write_bytes((changed / name).read_bytes() + b" ")
    assert model_fingerprint(ModelSource(str(tiny_model))) != model_fingerprint(ModelSource(str(changed)))


def test_another_chat_template_is_another_model(tiny_model: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    plain, templated = ModelSource(str(tiny_model)), ModelSource(str(tiny_model), chat_template=str(template))
    assert model_fingerprint(plain) != model_fingerprint(templated)


def test_weights_replaced_under_the_same_path_are_seen(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "m")
    before = model_fingerprint(ModelSource(str(folder)))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert model_fingerprint(ModelSource(str(folder))) != before


def test_an_adapter_is_its_weights_and_options_and_not_its_history(tiny_adapters: list[Path], tmp_path: Path) -> None:
    assert len({adapter_fingerprint(path) for path in tiny_adapters}) == len(tiny_adapters)
    copy = shutil.copytree(tiny_adapters[0], tmp_path / "copy")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "elsewhere"}))
    assert adapter_fingerprint(copy) == adapter_fingerprint(tiny_adapters[0])
    (copy / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] + 1}))
    assert adapter_fingerprint(copy) != adapter_fingerprint(tiny_adapters[0])


def test_a_hub_branch_is_pinned_to_the_commit_it_means_now(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def model_info(_: object, name: str, **options: Any) -> SimpleNamespace:
        asked.update(options, name=name)
        return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    assert pinned(ModelSource("org/model")).revision == COMMIT
    assert (asked["name"], asked["revision"]) == ("org/model", "main")


def test_a_pinned_commit_and_a_folder_ask_nobody(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", None)
    for source in (ModelSource("org/model", revision=COMMIT), ModelSource(str(tiny_model))):
        assert pinned(source) == source


def test_offline_the_cached_branch_counts_and_an_unknown_model_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", offline)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    ref = tmp_path / "models--org--model" / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text(COMMIT)
    assert pinned(ModelSource("org/model")).revision == COMMIT
    with pytest.raises(EngineError, match="org/unknown: not a folder"):
        pinned(ModelSource("org/unknown"))
