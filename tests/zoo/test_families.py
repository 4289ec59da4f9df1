"""The families can be built on any base: to the same bits, also when killed, and refused by name where they cannot."""

import asyncio
import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.benchmarks.rolebench.adapters_check import check_adapters
from roleeval.engines import LoraNeed, ModelSource, check_adapter
from roleeval.engines.hf import HfOptions
from roleeval.errors import ConfigError, RoleEvalError
from roleeval.models import Base, Her, HyCora, IndependentLora, Rar, SharedLora
from roleeval.resources import resource, zoo_path
from roleeval.types import LikelihoodRequest, Message
from roleeval.zoo import families as module
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import role_documents
from roleeval.zoo._estimate import Cost, Estimate
from roleeval.zoo._pack import collate, collate_separate, pack
from roleeval.zoo._real_base import base_encoder, open_base, takes_packs
from roleeval.zoo._rows import own_corpus
from roleeval.zoo._train import Trainer, answer_loss, hidden_states
from roleeval.zoo.build import file_hashes
from roleeval.zoo.families import FAMILIES, Training, build_families

ROLES = ("Ada", "A/B 船长")
SHORT = Training(rank=2, epochs=1, lr=0.05, steps=2, max_tokens=1200, threads=1)
TURN = "<|im_start|>{{ message['role'] + '\\n' + message['content'] }}<|im_end|>\n"
CHAT = "{%- for message in messages -%}" + TURN + "{%- endfor -%}"


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
            "generated": [f"{role} says {number}, and nothing more all night.", "Aye."],
            "type": "general",
        }
        for role in ROLES
        for number, what in enumerate(("Who are you", "Where do you live", "What do you like"))
    ]
    write(folder / "rolebench-eng/instruction-generalization/general/train.jsonl", rows)
    write(folder / "rolebench-eng/instruction-generalization/role_specific/test.jsonl", rows)
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


def build(base: Path, out: Path, data: Path, *names: str, **options: Any) -> list[str]:
    said: list[str] = []
    options = {"training": SHORT, **options}
    build_families(str(base), out, data=data, only=names or None, say=said.append, **options)
    return said


def refused(base: Path, out: Path, data: Path, *names: str, **options: Any) -> str:
    with pytest.raises(RoleEvalError) as error:
        build(base, out, data, *(names or ("shared_lora",)), **options)
    return str(error.value)


def altered(base: Path, folder: Path, **config: Any) -> Path:
    """The base with other values in its configuration; None removes one."""
    shutil.copytree(base, folder)
    found = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps({key: value for key, value in found.items() if value is not None}))
    return folder


def test_every_family_is_built_where_its_model_file_looks_for_it(built: tuple[Path, list[str]], base: Path) -> None:
    out, _ = built
    assert {path.name for path in out.iterdir()} == {*FAMILIES, "build.json", "hashes.json", "conf"}
    record = json.loads((out / "hashes.json").read_text())
    assert {name: record[name]["files"] for name in FAMILIES} == {name: file_hashes(out / name) for name in FAMILIES}
    config = json.loads((out / "shared_lora/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny" and config["r"] == 2 and "q_proj" in config["target_modules"]
    assert not list(out.rglob(".*"))


def test_the_estimate_names_the_steps_that_are_then_taken(built: tuple[Path, list[str]]) -> None:
    out, said = built
    record = json.loads((out / "hashes.json").read_text())
    (line,) = [line for line in said if line.startswith("estimate")]
    taken = sum(record[name]["steps"] for name in FAMILIES)
    size = sum(file.stat().st_size for file in out.rglob("*.safetensors")) / 1e6
    assert f": {taken} steps, " in line and " GB of memory, " in line
    assert size * 0.8 < float(line.split()[-4]) <= size
    assert said.index(line) < said.index("zoo: shared_lora on tiny (seed 0)")
    for name in FAMILIES:
        assert any(line.startswith(f"  {name}: {record[name]['steps']} steps, ") for line in said)


def test_every_adapter_answers_otherwise_than_its_base_and_than_the_other_roles(
    built: tuple[Path, list[str]], base: Path, data: Path
) -> None:
    """`roleeval adapters check` on the families with one for each role, and the same likelihoods for the others."""
    source, out = ModelSource(str(base)), built[0]
    kinds = {name: {"name": name, "source": source} for name in FAMILIES}
    models: list[Base] = [
        IndependentLora(**kinds["independent_lora"], adapters_dir=str(out / "independent_lora")),
        HyCora(
            **kinds["hycora"], checkpoint=str(out / "hycora"), roles=str(out / "hycora/roles.json"),
            cache_dir=str(out.parent / "cache"),
        ),
        SharedLora(**kinds["shared_lora"], adapter_path=str(out / "shared_lora")),
        SharedLora(**kinds["stagehand"], adapter_path=str(out / "stagehand")),
        Her(**kinds["her"], adapter_path=str(out / "her")),
        Rar(**kinds["rar"], adapter_path=str(out / "rar")),
    ]  # fmt: skip
    engine = HfOptions(dtype="float32").build(source, LoraNeed())

    async def check() -> None:
        for model in models[:2]:
            found = await check_adapters(model, engine, data, limit=2)
            assert {role.role for role in found.roles} == set(ROLES) and not found.tied
        asked = (Message("user", "Who are you?"),)
        alone = await engine.likelihood(LikelihoodRequest("Ada says 0.", asked))
        for model in models:
            for adapter in model.adapters():
                assert not check_adapter(adapter, source, max_rank=16).zero
                told = await engine.likelihood(LikelihoodRequest("Ada says 0.", asked, adapter=adapter))
                assert abs(told.logprob - alone.logprob) > 1e-3, adapter.path
        await engine.close()

    asyncio.run(check())


def test_the_model_files_are_those_of_a_sweep_over_all_families(built: tuple[Path, list[str]], base: Path) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from roleeval.config import parse_config

    out, said = built
    (recipe,) = [line for line in said if "run_eval.py" in line]
    names = re.search(r"model=(\S+)", recipe)[1].split(",")  # type: ignore[index]
    assert names == [f"built_{name}" for name in ("base", *FAMILIES) if name != "stagehand"]
    with initialize_config_dir(str(resource("conf")), version_base=None):
        for name in (*names, "built_stagehand"):
            place = f"hydra.searchpath=[file://{out}/conf]"
            node = OmegaConf.to_container(compose("config", [place, f"model={name}"]), resolve=True)
            model = parse_config(node).model
            assert model.source.path == str(base) and model.adapters() is not None


def test_a_killed_build_goes_on_to_the_same_bits(
    built: tuple[Path, list[str]], base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("independent_lora", "hycora", "her")
    monkeypatch.setattr(module, "estimate", lambda *_, **__: Estimate({"": Cost(0, 0.0, 0)}, 0))
    left = [0]
    step, put = Trainer.step, os.replace

    def killed_step(self: Trainer, number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        step(self, number)

    monkeypatch.setattr(Trainer, "step", killed_step)
    said: list[str] = []
    for _ in range(20):
        left[0] = 1  # one step, then the kill
        try:
            said += build(base, tmp_path / "out", data, *names, checkpoint_s=0.0)
            break
        except KeyboardInterrupt:
            assert not (tmp_path / "out" / "her").exists()
    assert said and put is os.replace
    for name in names:
        assert file_hashes(tmp_path / "out" / name) == file_hashes(built[0] / name)
    theirs, ours = (json.loads((out / "hashes.json").read_text()) for out in (built[0], tmp_path / "out"))
    assert ours == {name: theirs[name] for name in names}


def test_the_same_command_again_builds_nothing_and_other_settings_are_refused_by_name(
    built: tuple[Path, list[str]], base: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(built[0], out)
    before = file_hashes(out)
    said = build(base, out, data)
    assert [line for line in said if line.startswith("zoo:")] == [f"zoo: {name}: already built" for name in FAMILIES]
    assert {k: v for k, v in file_hashes(out).items() if "conf/" not in k} == {
        k: v for k, v in before.items() if "conf/" not in k
    }
    wrong = refused(base, out, data, training=replace(SHORT, rank=4))
    assert "built with other settings" in wrong and "rank: 2 there, 4 now" in wrong and "epochs" not in wrong
    assert "data's contents: " in refused(base, out, None)
    other = altered(base, tmp_path / "tiny", rms_norm_eps=1e-5)
    assert "base's contents: " in refused(other, out, data)
    foreign = tmp_path / "foreign"
    (foreign / "her").mkdir(parents=True)
    assert "her in it is not of such a build (build.json)" in refused(base, foreign, data)


def test_a_killed_moment_between_a_folder_and_its_record_costs_nothing(
    built: tuple[Path, list[str]], base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(built[0], out)
    record = json.loads((out / "hashes.json").read_text())
    (out / "hashes.json").write_text(json.dumps({name: record[name] for name in ("shared_lora",)}))
    monkeypatch.setattr(module, "estimate", lambda *_, **__: Estimate({"": Cost(0, 0.0, 0)}, 0))
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("trained again"))
    build(base, out, data, "independent_lora", "rar")
    assert json.loads((out / "hashes.json").read_text())["independent_lora"] == record["independent_lora"]


def test_a_base_that_cannot_be_trained_is_refused_by_name(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no such folder" in refused(tmp_path / "none", out, data)
    assert "no config.json" in refused(tmp_path, out, data)
    bare = altered(base, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    assert "no chat template; give one (--chat-template FILE" in refused(bare, out, data)
    broken = altered(base, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    assert "cannot be loaded" in refused(broken, out, data)
    thinking = altered(base, tmp_path / "thinking")
    (thinking / "chat_template.jinja").write_text(CHAT + "<|im_start|>assistant\n<think>\n")
    assert "opens <think> in every prompt" in refused(thinking, out, data)
    assert not out.exists()
    with pytest.raises(ConfigError, match="zoo:nothing: no such model"):
        build_families("zoo:nothing", out, say=quiet)
    with pytest.raises(ConfigError, match="no adapter 'base' can be built on a base; known: shared_lora"):
        build_families(str(base), out, only=["base"], say=quiet)
    assert "torch sees no GPU" in refused(base, out, data, training=replace(SHORT, device="cuda"))


def test_a_base_without_a_template_is_trained_with_a_named_one(base: Path, data: Path, tmp_path: Path) -> None:
    bare = altered(base, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    template = tmp_path / "chat.jinja"
    template.write_text(
        "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}" + CHAT
    )
    build(bare, tmp_path / "out", data, "shared_lora", chat_template=str(template))
    source = json.loads((tmp_path / "out/conf/model/built_shared_lora.yaml").read_text())["source"]
    assert source == {"path": str(bare), "chat_template": str(template), "fold_system": True}


def test_what_a_disk_or_a_limit_is_too_small_for_is_said(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_base(str(base), chat_template=None, dtype="float32", device="cpu")
    documents = role_documents(own_corpus(data, load_corpus(tasks_folder()), say=quiet), "Ada")
    whole = base_encoder(found, documents, limit=0)
    lengths = [len(document.prefix) + len(document.body) for document in whole.all(documents)]
    limit = max(lengths) - 1
    cut = base_encoder(found, documents, limit=limit)
    for document, all_of_it in zip(cut.all(documents), whole.all(documents), strict=True):
        tokens = (*document.prefix, *document.body)
        assert tokens == (*all_of_it.prefix, *all_of_it.body)[:limit]
        assert (tokens[-1] == cut.end) == (len(all_of_it.prefix) + len(all_of_it.body) <= limit)
    said = build(base, tmp_path / "cut", data, "shared_lora", training=replace(SHORT, max_tokens=limit))
    (line,) = [line for line in said if "longer than" in line]
    assert re.fullmatch(
        rf"  longer than {limit} tokens: \d+ of 12 documents; \d+ answers were cut at their ends and have no end"
        r" token, \d+ were left out because the prompt alone fills the limit",
        line,
    )
    assert "--max-tokens 20: no prompt" in refused(
        base, tmp_path / "none", data, training=replace(SHORT, max_tokens=20)
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    assert "MB are needed with room for checkpoints, 0 MB are free" in refused(base, tmp_path / "full", data)
    monkeypatch.undo()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "weights")

    monkeypatch.setattr("roleeval.zoo._adapters.save_adapter", full)
    assert "weights: could not be written (OSError" in refused(base, tmp_path / "late", data)


def test_a_window_shorter_than_the_longest_document_is_kept_in_training(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs attend to all of a document; a model with a sliding window reads long ones otherwise when it is used."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(**(json.loads((base / "config.json").read_text()) | {"sliding_window": 64, "head_dim": 8}))
    torch.manual_seed(0)
    sliding = tmp_path / "sliding"
    MistralForCausalLM(config).save_pretrained(sliding)
    for file in base.iterdir():
        if not (sliding / file.name).exists():
            shutil.copy(file, sliding)
    seen = []
    monkeypatch.setattr(module, "estimate", lambda _, ground, **__: seen.append(ground.packed) or pytest.fail())
    for folder in (base, sliding):
        with pytest.raises(pytest.fail.Exception):
            build(folder, tmp_path / "out", data, "shared_lora")
    assert seen == [True, False]


def test_a_model_that_reads_one_text_a_row_is_trained_to_the_same_losses(base: Path, data: Path) -> None:
    import torch

    found = open_base(str(base), chat_template=None, dtype="float32", device="cpu")
    corpus = own_corpus(data, load_corpus(tasks_folder()), say=quiet)
    documents = role_documents(corpus)
    encoder = base_encoder(found, documents, limit=0)
    encoded = encoder.all(documents)
    assert takes_packs(found, encoded)
    packs = pack(encoded, max_tokens=600, seed=0)
    losses = []
    for batch in (collate(packs), collate_separate(packs)):
        with torch.no_grad():
            losses.append(answer_loss(found.model, hidden_states(found.model, batch.ids, batch), batch.labels))
    torch.testing.assert_close(*losses)
    inner = found.model.model.forward

    def one_text_a_row(*, attention_mask: Any = None, **rest: Any) -> Any:
        known = attention_mask is not None and attention_mask.dim() == 2
        return inner(attention_mask=attention_mask if known else None, **rest)

    found.model.model.forward = one_text_a_row
    assert not takes_packs(found, encoded)
    head = found.model.forward

    def capped(**rest: Any) -> Any:
        output = head(**rest)
        output.logits = output.logits.tanh()
        return output

    found.model.forward = capped
    with pytest.raises(ConfigError, match="its losses cannot be reproduced"):
        takes_packs(found, encoded)
