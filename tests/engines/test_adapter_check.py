"""An adapter is served as PEFT serves it, or refused by name and file before an engine loads."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import LoraNeed, ModelSource, check_adapter, load_adapter
from roleeval.engines.hf import HfOptions
from roleeval.errors import AdapterError
from roleeval.types import AdapterRef, LikelihoodRequest, Message

Edit = Callable[[Path], None]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
SPOKEN = (Message("user", "Who are you?"),)
TEXT = "I am the captain of this ship."


def write(base: Path, folder: Path, *, edit: Edit | None = None, seed: int = 0, **options: Any) -> Path:
    """A PEFT adapter with trained-looking weights, as PEFT saves it, then edited."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]} | options
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype="float32"), LoraConfig(**options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_A" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    if edit is not None:
        edit(folder)
    return folder


def configured(**changes: Any) -> Edit:
    def edit(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text()) | changes
        kept = {key: value for key, value in config.items() if value is not ...}
        (folder / CONFIG).write_text(json.dumps(kept))

    return edit


def tensors(change: Callable[[str, Any], tuple[str, Any] | None], *, pickled: bool = False) -> Edit:
    def edit(folder: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        found = [change(name, tensor.clone()) for name, tensor in load_file(folder / WEIGHTS).items()]
        kept = {pair[0]: pair[1].contiguous() for pair in found if pair is not None}
        if pickled:
            (folder / WEIGHTS).unlink()
            torch.save(kept, folder / "adapter_model.bin")
        else:
            save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    return edit


def renamed(old: str, new: str, *, pickled: bool = False) -> Edit:
    return tensors(lambda name, tensor: (name.replace(old, new, 1), tensor), pickled=pickled)


def valued(change: Callable[[Any], Any], part: str) -> Edit:
    return tensors(lambda name, tensor: (name, change(tensor) if part in name else tensor))


def without(part: str) -> Edit:
    return tensors(lambda name, tensor: None if part in name else (name, tensor))


def as_they_are(name: str, tensor: Any) -> tuple[str, Any]:
    return name, tensor


# name -> (how it is saved, what is done to it)
SERVED: dict[str, tuple[dict[str, Any], Edit | None]] = {
    "plain": ({}, None),
    "bin": ({}, tensors(as_they_are, pickled=True)),
    "rslora": ({"use_rslora": True}, None),
    "all_linear": ({"target_modules": "all-linear"}, None),
    "output_layer": ({"target_modules": ["q_proj", "lm_head"]}, None),
    "embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, None),
    "rank_pattern": ({"rank_pattern": {"q_proj": 2, "v_proj": 16}}, None),
    "alpha_pattern": ({"alpha_pattern": {"layers.0.self_attn.q_proj": 64}}, None),
    "layers_to_transform": ({"layers_to_transform": [1]}, None),
    "one_layer_of_a_pattern": ({"layers_to_transform": 0, "layers_pattern": "layers"}, None),
    "excluded": ({"exclude_modules": ["layers.0.self_attn.q_proj"]}, None),
    "regular_expression": ({"target_modules": r".*layers\.1\.self_attn\.(q|v)_proj"}, None),
    "also_names_what_is_not_there": ({}, configured(target_modules=["q_proj", "v_proj", "down_proj", "c_attn"])),
    "gaussian": ({"init_lora_weights": "gaussian"}, None),
    "another_bases_name": ({"r": 5}, configured(base_model_name_or_path="somebody/model")),
    "unknown_option": ({}, configured(of_the_future={"a": 1})),
    "alpha_that_is_no_whole_number": ({}, configured(lora_alpha=8.5)),
    "trained_half": ({}, valued(lambda tensor: tensor * 0, "layers.0")),
    "bfloat16": ({}, valued(lambda tensor: tensor.bfloat16(), "lora")),
}
# name -> (how it is saved, what is done to it, words of the refusal, with the file first)
REFUSED: dict[str, tuple[dict[str, Any], Edit | None, str]] = {
    "dora": ({"use_dora": True}, None, f"{CONFIG}: use_dora is set"),
    "lora_bias": ({"lora_bias": True}, None, f"{CONFIG}: lora_bias is set"),
    "biases": ({"bias": "lora_only"}, None, f"{CONFIG}: bias='lora_only'"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, None, f"{CONFIG}: modules_to_save is set"),
    "pissa": ({"init_lora_weights": "pissa"}, None, f"{CONFIG}: init_lora_weights='pissa' changes the base"),
    "olora": ({}, configured(init_lora_weights="olora"), f"{CONFIG}: init_lora_weights='olora' changes the base"),
    "activated": ({"alora_invocation_tokens": [3, 4]}, None, f"{CONFIG}: alora_invocation_tokens is set"),
    "new_tokens": ({"trainable_token_indices": [5, 6]}, None, f"{CONFIG}: trainable_token_indices is set"),
    "qalora": ({}, configured(use_qalora=True), f"{CONFIG}: use_qalora is set: QA-LoRA"),
    "replicated": ({}, configured(layer_replication=[[0, 2], [1, 2]]), f"{CONFIG}: layer_replication is set"),
    "biases_in_the_file_alone": (
        {"bias": "lora_only"},
        configured(bias="none"),
        "base_layer.bias: trained bias",
    ),
    "dora_in_the_file_alone": ({"use_dora": True}, configured(use_dora=False), "DoRA adapter"),
    "tokens_in_the_file_alone": (
        {"trainable_token_indices": [5]},
        configured(trainable_token_indices=None),
        "would not be served",
    ),
    "empty_file": ({}, without(""), f"{WEIGHTS}: contains no tensors"),
    "zero3": ({}, valued(lambda tensor: tensor[:0, 0], ""), f"{WEIGHTS}: .* is empty .*ZeRO-3"),
    "no_prefix": ({}, renamed("base_model.model.", ""), f"{WEIGHTS}: .* does not begin with 'base_model.model.'"),
    "no_prefix_bin": (
        {},
        renamed("base_model.model.", "", pickled=True),
        r"adapter_model\.bin: .* does not begin with",
    ),
    "prefix_twice": (
        {},
        renamed("base_model.model.", "base_model.model.base_model.model."),
        "'base_model.model.' is there twice",
    ),
    "language_model_bin": (
        {},
        renamed("base_model.model.model.", "base_model.model.model.language_model.", pickled=True),
        r"adapter_model\.bin: .* take 'language_model\.' out",
    ),
    "compiled": ({}, renamed("model.model.", "model._orig_mod.model."), r"take '_orig_mod\.' out of the names"),
    "compiled_outside": ({}, renamed("base_model.", "_orig_mod.base_model."), r"take '_orig_mod\.' out of the names"),
    "state_dict": ({}, renamed(".weight", ".default.weight"), "the adapter's own name 'default'"),
    "larger_r": ({}, configured(r=8), f"has rank 4 in lora_A and 4 in lora_B, {CONFIG} says 8"),
    "smaller_r": ({}, configured(r=2), f"has rank 4 in lora_A and 4 in lora_B, {CONFIG} says 2"),
    "rank_pattern_lost": ({"rank_pattern": {"q_proj": 2}}, configured(rank_pattern={}), f"{CONFIG} says 4"),
    "narrower_targets": ({}, configured(target_modules=["q_proj"]), "target_modules in .* does not name"),
    "wider_targets": (
        {},
        configured(target_modules=["q_proj", "v_proj", "down_proj", "up_proj"]),
        "for 2 of 8 modules",
    ),
    "fewer_layers": ({}, configured(layers_to_transform=[0]), "layers.1.* does not name"),
    "half_missing": ({}, without("layers.1"), "no tensors for 3 of 6 modules"),
    "no_b": ({}, without("layers.1.mlp.down_proj.lora_B"), "a lora_A without a lora_B"),
    "nan": ({}, valued(lambda tensor: tensor * float("nan"), "layers.1.mlp.down_proj.lora_B"), "not a number"),
    "infinite_half": ({}, valued(lambda t: (t * 1e30).bfloat16() / 0, "q_proj.lora_A"), "infinite or not a number"),
    "no_alpha": ({}, configured(lora_alpha=...), f"{CONFIG}: lora_alpha is None"),
    "no_rank": ({}, configured(r=...), f"{CONFIG}: r is None"),
    "rank_that_is_no_whole_number": ({}, configured(r=4.0), f"{CONFIG}: r is 4.0"),
    "no_targets": ({}, configured(target_modules=None), f"{CONFIG}: target_modules is None"),
    "bad_pattern": ({}, configured(target_modules="*q_proj"), f"{CONFIG}: .* is not a valid pattern for module names"),
    "ia3": ({}, configured(peft_type="IA3"), f"{CONFIG}: peft_type is 'IA3'"),
    "trained_embedding": (
        {"target_modules": ["q_proj", "embed_tokens"]},
        valued(lambda tensor: tensor + 1, "base_layer"),
        "embed_tokens.base_layer.weight is a trained embedding",
    ),
    "byte_order_mark": (
        {},
        lambda folder: (folder / CONFIG).write_bytes(b"\xef\xbb\xbf" + (folder / CONFIG).read_bytes()) and None,
        f"{CONFIG}: begins with a byte order mark",
    ),
    "no_json": ({}, lambda folder: (folder / CONFIG).write_bytes(b"\xff\xfe{}") and None, f"{CONFIG}: not valid JSON"),
    "cut_off": (
        {},
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100]) and None,
        f"{WEIGHTS}: cut off",
    ),
    "no_tensors_bin": (
        {},
        lambda folder: (folder / WEIGHTS).rename(folder / "adapter_model.bin") and None,
        r"adapter_model\.bin: torch does not read it",
    ),
}


def plain_peft(base: Path, folder: Path | None) -> float:
    """Log-probability of TEXT behind SPOKEN by transformers and PEFT alone, on a base that nobody used before."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    if folder is not None:
        model = PeftModel.from_pretrained(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    chat = [{"role": "user", "content": SPOKEN[0].content}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = [*prompt, *tokenizer(TEXT, add_special_tokens=False).input_ids]
    with torch.inference_mode():
        scores = model.eval()(torch.tensor([whole])).logits[0].log_softmax(-1)
    return float(sum(scores[at - 1, whole[at]] for at in range(len(prompt), len(whole))))


def served(base: Path, refs: list[AdapterRef | None]) -> tuple[list[float], dict[str, Any]]:
    """What one hf engine that holds all of them says, and its description."""

    async def main() -> tuple[list[float], dict[str, Any]]:
        engine = HfOptions(dtype="float32").build(ModelSource(str(base)), LoraNeed())
        await engine.start()
        try:
            asked = [LikelihoodRequest(TEXT, messages=SPOKEN, adapter=ref) for ref in refs]
            return [(await engine.likelihood(request)).logprob for request in asked], dict(engine.describe())
        finally:
            await engine.close()

    return asyncio.run(main())


def test_what_is_served_is_served_as_by_plain_peft(tiny_model: Path, tmp_path: Path) -> None:
    folders = {name: write(tiny_model, tmp_path / name, edit=edit, **how) for name, (how, edit) in SERVED.items()}
    refs = {name: load_adapter(folder) for name, folder in folders.items()}
    got, facts = served(tiny_model, [None, *refs.values(), None])
    assert got[0] == got[-1] == pytest.approx(plain_peft(tiny_model, None), abs=1e-3)
    assert dict(zip(refs, got[1:], strict=False)) == pytest.approx(
        {name: plain_peft(tiny_model, folder) for name, folder in folders.items()}, abs=1e-3
    )
    assert facts["adapter_effects"]["without_effect"] == []
    assert set(facts["adapter_effects"]["change"]) == set(SERVED)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_be_applied_whole_is_refused_with_its_file(tiny_model: Path, tmp_path: Path, name: str) -> None:
    how, edit, words = REFUSED[name]
    write(tiny_model, tmp_path / name, edit=edit, **how)
    with pytest.raises(AdapterError, match=words) as caught:
        check_adapter(load_adapter(tmp_path / name), ModelSource(str(tiny_model)), max_rank=64)
    assert str(tmp_path / name) in str(caught.value)


def test_an_adapter_without_effect_is_reported(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    zero = load_adapter(write(tiny_model, tmp_path / "zero", edit=valued(lambda tensor: tensor * 0, "lora_B")))
    tiny = load_adapter(write(tiny_model, tmp_path / "tiny", edit=valued(lambda tensor: tensor * 1e-3, "lora_B")))
    with caplog.at_level(logging.WARNING):
        (base, same, other), facts = served(tiny_model, [None, zero, tiny])
    assert same == base != other
    assert facts["adapter_effects"]["without_effect"] == ["zero"]
    assert facts["adapter_effects"]["change"]["zero"] == 0 < facts["adapter_effects"]["change"]["tiny"]
    assert "zero) has no effect" in caplog.text and "tiny" not in caplog.text


@pytest.mark.parametrize("first", [True, False])
def test_an_adapter_that_changes_the_base_itself_is_refused_and_the_base_loaded_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """PiSSA takes the base's largest directions out of its weights. Such a kind may be new to the check by files."""
    monkeypatch.setattr("roleeval.engines._adapter_check._PLAIN_INITS", ("pissa",))
    good = load_adapter(write(tiny_model, tmp_path / "good"))
    bad = load_adapter(write(tiny_model, tmp_path / "bad", init_lora_weights="pissa"))

    async def main() -> list[float]:
        engine = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed())
        await engine.start()

        async def ask(ref: AdapterRef | None) -> float:
            return (await engine.likelihood(LikelihoodRequest(TEXT, messages=SPOKEN, adapter=ref))).logprob

        try:
            before = [] if first else [await ask(None), await ask(good)]
            with pytest.raises(AdapterError, match="bad: loading it changed the base model itself"):
                await ask(bad)
            return [*before, await ask(None), await ask(good)]
        finally:
            await engine.close()

    right = served(tiny_model, [None, good])[0]
    assert asyncio.run(main()) == (right if first else right * 2)


def test_an_adapter_is_checked_against_a_model_whose_files_name_its_modules_otherwise(tmp_path: Path) -> None:
    """GPT-2's files leave out "transformer.", and its layers hold their weights the other way round."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).base_model.save_pretrained(tmp_path / "base")
    base = tmp_path / "base"
    how = {"target_modules": ["c_attn"], "fan_in_fan_out": True}
    folder = write(base, tmp_path / "adapter", **how)
    assert check_adapter(load_adapter(folder), ModelSource(str(base)), max_rank=8).modules == 2
    configured(r=2)(folder)
    with pytest.raises(AdapterError, match="says 2"):
        check_adapter(load_adapter(folder), ModelSource(str(base)), max_rank=8)
