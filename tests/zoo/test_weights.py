"""The committed weights: what hashes.json says, what engines accept, and answers that are in role."""

import json
import re

import pytest

from roleeval.engines import ModelSource, check_adapter, load_adapter
from roleeval.models import IndependentLora
from roleeval.models.hycora import check_base, open_checkpoint, read_manifest
from roleeval.resources import ZOO_WEIGHTS, zoo_path
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo.build import HASHES, RECIPES, file_hashes

# Two test rows per role, and words that only this role says.
VOICES = {
    "Sherlock Holmes": r"my dear fellow|Watson|elementary|observe|Baker Street",
    "Elizabeth Bennet": r"assure you|upon my word|Longbourn|Jane|Darcy",
    "Long John Silver": r"matey|powers|lay to that|shiver my timbers|lad\b",
    "Don Quixote": r"O noble friend|good sir|Rocinante|Sancho|Dulcinea|knight",
    "Ebenezer Scrooge": r"\bsir\b|Bah|Humbug|Marley|Cratchit|penny",
    "Mad Hatter": r"my dear\b|tea|Dormouse|March Hare",
    "林黛玉": r"潇湘馆|宝玉|紫鹃|落泪|罢了|偏|外祖母|哭",
    "猪八戒": r"俺|老猪|师父|猴哥|嘿嘿|馒头",
    "诸葛亮": r"亮|主公|隆中|羽扇",
    "王熙凤": r"哎哟|好妹妹|老祖宗|银子|平儿",
}


def test_the_weights_are_those_of_the_recorded_build() -> None:
    record = json.loads((ZOO_WEIGHTS / HASHES).read_text())
    assert set(record) == set(RECIPES)
    for name in RECIPES:
        assert record[name]["files"] == file_hashes(zoo_path(name))


def test_the_weights_are_small_and_name_no_machine() -> None:
    assert sum(file.stat().st_size for file in ZOO_WEIGHTS.rglob("*") if file.is_file()) < 15_000_000
    configs = sorted(ZOO_WEIGHTS.rglob("adapter_config.json"))
    assert len(configs) == 15
    for file in configs:
        assert json.loads(file.read_text())["base_model_name_or_path"] == "zoo:base"
    for file in ZOO_WEIGHTS.rglob("*.json"):
        assert not re.search(r'"/(home|work|tmp|root)', file.read_text("utf-8"))


def test_the_base_takes_the_longest_question_about_a_real_scene_and_sees_all_of_its_own() -> None:
    """8953 tokens and a reply (docs/judging.md); in training no text had more than 640."""
    config = json.loads((zoo_path("base") / "config.json").read_text())
    assert config["max_position_embeddings"] >= 8953 + 2048
    assert config["use_sliding_window"] and config["sliding_window"] >= 640
    assert set(config["layer_types"]) == {"sliding_attention"}


def test_every_adapter_fits_the_base_and_every_role_has_one() -> None:
    base = ModelSource(str(zoo_path("base")))
    roles = {persona.role for persona in load_corpus(tasks_folder()).personas}
    independent = IndependentLora(name="i", source=base, adapters_dir="zoo:independent_lora")
    assert {adapter.name for adapter in independent.adapters()} == roles
    for adapter in (
        *map(load_adapter, map(zoo_path, ("shared_lora", "her", "rar", "stagehand", "user"))),
        *independent.adapters(),
    ):
        check_adapter(adapter, base, max_rank=8)
    network = open_checkpoint(zoo_path("hycora"))
    assert check_base(network, zoo_path("base"))
    assert set(read_manifest(zoo_path("hycora/roles.json"), roles=network.shape.roles)) == roles


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, list[str]]]:
    """Greedy answers to a few test questions, by model ("base", "shared_lora") and role."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    corpus = load_corpus(tasks_folder())
    tokenizer = AutoTokenizer.from_pretrained(zoo_path("base"), padding_side="left")
    base = AutoModelForCausalLM.from_pretrained(zoo_path("base"), dtype=torch.float32)
    asked = _questions(corpus)
    base_answers = _generate(base, tokenizer, asked)
    tuned = PeftModel.from_pretrained(base, zoo_path("shared_lora"))
    return {"base": base_answers, "shared_lora": _generate(tuned, tokenizer, asked)}


def _questions(corpus: Corpus) -> list[tuple[str, str, str]]:
    embedded = tasks_folder() / "embedded"
    rows = [json.loads(x) for f in sorted(embedded.glob("rolebench-*/**/test.jsonl")) for x in f.open(encoding="utf-8")]
    asked = []
    for persona in corpus.personas:
        own = [row["question"] for row in rows if row["role"] == persona.role]
        asked += [(persona.role, corpus.system_prompt(persona), question) for question in own[:: len(own) // 4]]
    return asked


def _generate(model, tokenizer, asked) -> dict[str, list[str]]:  # type: ignore[no-untyped-def]
    chats = [[{"role": "system", "content": s}, {"role": "user", "content": q}] for _, s, q in asked]
    prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    output = model.generate(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=80, do_sample=False
    )
    answers: dict[str, list[str]] = {}
    for (role, _, _), ids in zip(asked, output[:, inputs["input_ids"].shape[1] :], strict=True):
        text = tokenizer.decode(ids, skip_special_tokens=True)
        ended = tokenizer.eos_token_id in ids
        answers.setdefault(role, []).append(text if ended else f"[unfinished] {text}")
    return answers


def _share_in_voice(answers: dict[str, list[str]]) -> float:
    hits = [bool(re.search(VOICES[role], text, re.IGNORECASE)) for role, texts in answers.items() for text in texts]
    return sum(hits) / len(hits)


def test_answers_with_the_adapter_are_in_role_and_the_bases_are_not(answers) -> None:  # type: ignore[no-untyped-def]
    assert _share_in_voice(answers["shared_lora"]) >= 0.7
    assert _share_in_voice(answers["base"]) <= 0.3


def test_answers_end_by_themselves_and_keep_to_their_language(answers) -> None:  # type: ignore[no-untyped-def]
    texts = [(role, text) for role, many in answers["shared_lora"].items() for text in many]
    assert sum(text.startswith("[unfinished]") for _, text in texts) <= 1
    chinese = [(bool(re.search("[一-鿿]", role)), bool(re.search("[一-鿿]", text))) for role, text in texts]
    assert sum(want == got for want, got in chinese) / len(chinese) >= 0.95
