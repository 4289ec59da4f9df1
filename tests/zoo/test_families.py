"""The families can be built on any base: to the same bits, also when killed, and refused by name where they cannot."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import ConfigError, DataError, RoleEvalError
from roleeval.resources import zoo_path
from roleeval.zoo import families as module
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo.build import file_hashes
from roleeval.zoo.families import FAMILIES, Training, build_families

ROLES = ("Ada", "A/B 船长")
SHORT = Training(rank=2, epochs=1, lr=0.05, steps=2, max_tokens=700, threads=1)


def quiet(_: str) -> None: ...


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    whole = load_corpus(tasks_folder())
    return replace(whole, scenes=whole.scenes[:2], sessions=whole.sessions[:1])


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch, corpus: Corpus) -> None:
    monkeypatch.setattr(module, "load_corpus", lambda _: corpus)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with 2 layers of width 32, untrained, and the zoo's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(zoo_path("base"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, tie_word_embeddings=True, initializer_range=0.1,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {
            "role": role,
            "question": f"{number} {what}?",
            "generated": [f"{role} says {number}.", "Aye."],
            "type": "general",
        }
        for role in ROLES
        for number, what in enumerate(("Who are you", "Where do you live", "What do you like"))
    ]
    write(folder / "rolebench-eng/instruction-generalization/general/train.jsonl", rows)
    (folder / "profiles-eng").mkdir()
    (folder / "profiles-eng/desc.json").write_text(json.dumps({"Ada": "She counts.", "Nobody": "Is not asked."}))
    return folder


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", "utf-8")


@pytest.fixture(scope="module")
def built(base: Path, data: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out, said = tmp_path_factory.mktemp("families") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_corpus", lambda _: corpus)
        build_families(str(base), out, data=data, training=SHORT, say=said.append)
    return out, said


def test_every_family_is_built_where_its_model_file_looks_for_it(built: tuple[Path, list[str]], base: Path) -> None:
    from roleeval.engines import ModelSource, check_adapter
    from roleeval.models import HyCora, IndependentLora
    from roleeval.engines.lora import load_adapter

    out, _ = built
    assert {path.name for path in out.iterdir()} == {*FAMILIES, "build.json", "hashes.json", "conf"}
    source = ModelSource(str(base))
    independent = IndependentLora(name="x", source=source, adapters_dir=str(out / "independent_lora"))
    hycora = HyCora(
        name="x", source=source, checkpoint=str(out / "hycora"), roles=str(out / "hycora/roles.json"),
        cache_dir=str(out.parent / "cache"),
    )  # fmt: skip
    assert {adapter.name for adapter in independent.adapters()} == set(ROLES) == set(hycora.role_ids)
    whole = [load_adapter(out / name) for name in ("shared_lora", "her", "rar", "stagehand")]
    for adapter in (*independent.adapters(), *hycora.adapters(), *whole):
        assert not check_adapter(adapter, source, max_rank=16).zero
    assert json.loads((out / "shared_lora/adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
