"""Adapters on vLLM: they are PEFT's, whatever else is in the batch, and one that does nothing is reported."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roleeval.engines import LoraNeed, ModelSource, load_adapter
from roleeval.engines._adapter_effect import AdapterEffects
from roleeval.engines.vllm import VllmOptions
from roleeval.engines.vllm._adapters import Adapters, difference, lora_arguments, require_scoring
from roleeval.engines.vllm._outer_layers import check_outer_layers
from roleeval.errors import AdapterError, EngineDeadError, EngineError
from roleeval.resources import zoo_path
from roleeval.types import AdapterRef, Completion, LikelihoodRequest, Message, Request, Sampling
from tests.engines.test_adapter_check import SPOKEN, TEXT, plain_peft, tensors, valued, write


def test_the_difference_of_two_lists_of_likely_tokens() -> None:
    one = {1: -1.0, 2: -2.0}
    assert difference(one, one) == 0
    assert difference(one, {1: -1.5, 2: -2.0}) == 0.5
    assert difference(one, {1: -1.0, 3: -5.0}) == 3.0  # token 2 fell from -2 to -5 or below


def test_only_modules_that_adapters_are_on_are_wrapped() -> None:
    need = LoraNeed(2, 8, frozenset({"q_proj"})).union(LoraNeed(1, 4, frozenset({"v_proj"})))
    assert lora_arguments(need, rank=8, slots=None, held=None)["lora_target_modules"] == ["q_proj", "v_proj"]
    assert LoraNeed(2, 8, frozenset({"q_proj"})).union(LoraNeed(1, 4)).modules == frozenset()  # one is not known: all
    assert not LoraNeed(2, 8, frozenset({"q_proj"})).covers(LoraNeed(1, 4, frozenset({"v_proj"})))
    assert LoraNeed(2, 8).covers(LoraNeed(1, 4, frozenset({"v_proj"}))) and need.covers(LoraNeed())
    require_scoring(need, ModelSource(str(zoo_path("base"))))
    with pytest.raises(EngineError, match=r"adapter on lm_head: .*; use engine=hf"):
        require_scoring(LoraNeed(1, 8, frozenset({"lm_head"})), ModelSource("folder/base"))
    with pytest.raises(EngineError, match=r"adapter on lm_head \(or one whose modules are not known\): "):
        require_scoring(LoraNeed(1, 8), ModelSource("folder/base"))


def small_llama(folder: Path) -> Path:
    """A Llama without training; its output layer is one that vLLM serves adapters on."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(zoo_path("base"))
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    end = tokenizer.eos_token_id
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, eos_token_id=end, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.vllm
def test_an_adapter_on_the_output_layer_is_loaded_beside_requests_in_flight(tmp_path: Path) -> None:
    """Reading what it writes would end the engine: vLLM maps the rows of a wrapped output layer to requests."""
    base = small_llama(tmp_path / "llama")
    head = load_adapter(write(base, tmp_path / "head", target_modules=["q_proj", "lm_head"]))
    need = LoraNeed(1, head.rank, frozenset(head.modules))
    engine = VllmOptions(cpu_kv_cache_gib=1).build(ModelSource(str(base)), need)

    async def main() -> list[Completion]:
        await engine.start()
        try:
            chats = [(Message("user", f"Who are you, number {n}?"),) for n in range(6)]
            asked = [Request(chat, Sampling(max_tokens=24), 1, adapter=head) for chat in chats]
            asked[0] = replace(asked[0], adapter=None)
            return await asyncio.gather(*(engine.generate(request) for request in asked))
        finally:
            await engine.close()

    assert len(asyncio.run(main())) == 6
    assert engine.describe()["decode_gap"] is not None
    assert engine.describe()["decode_gap_adapter"] is None


@pytest.mark.vllm
def test_an_adapter_on_layers_that_vllm_does_not_serve_is_refused_before_the_engine_loads(
    tiny_model: Path, tmp_path: Path
) -> None:
    """vLLM refuses it when it loads the adapter, for Qwen2 and most others; for Llama it serves it."""
    head = load_adapter(write(tiny_model, tmp_path / "head", target_modules=["q_proj", "lm_head"]))
    with pytest.raises(AdapterError, match="head: it is on lm_head, which vLLM does not serve for Qwen2ForCausalLM"):
        VllmOptions().build(ModelSource(str(tiny_model)), LoraNeed(1, 4)).check(head)
    config = json.loads((tiny_model / "config.json").read_text())
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}))
    check_outer_layers(head, ModelSource(str(tmp_path / "llama")))


class Engine:
    """An AsyncLLM of constants: log-probabilities by adapter, "" for none."""

    def __init__(self, said: Mapping[str, list[float]], *, broken: bool = False) -> None:
        self.said = {name: iter(values) for name, values in said.items()}
        self.broken = broken

    async def add_lora(self, request: Any) -> bool:
        if self.broken:
            raise Exception("Call to add_lora method failed: no such module")  # as vLLM does
        return True

    async def generate(self, prompt: object, params: object, *, request_id: str, lora_request: Any) -> Any:
        value = next(self.said[lora_request.lora_name.partition("-")[0] if lora_request else ""])
        yield SimpleNamespace(outputs=[SimpleNamespace(logprobs=[{7: SimpleNamespace(logprob=value)}])])


def loaded(engine: Engine) -> AdapterEffects:
    effects = AdapterEffects()
    ref = AdapterRef("one", "folder/one", "f" * 64, 8)

    async def main() -> None:
        adapters = Adapters(engine, [1, 2, 3], "folder/base", effects, check_decoding=False)
        first, second = await asyncio.gather(*(adapters.request(ref, inert=False) for _ in range(2)))
        assert first is second

    asyncio.run(main())
    return effects


@pytest.mark.vllm  # its requests are vLLM's own
def test_what_a_probe_shows() -> None:
    fine = loaded(Engine({"": [-1.0, -1.001, -1.002], "one": [-3.0]})).describe()
    assert fine == {"change": {"one": 2.0}, "without_effect": []}
    none = loaded(Engine({"": [-1.0, -1.001, -1.0], "one": [-1.0005]})).describe()
    assert none["without_effect"] == ["one"]
    with pytest.raises(EngineError, match="without an adapter as if they had folder/one"):
        loaded(Engine({"": [-1.0, -1.001, -3.0], "one": [-3.0]}))
    with pytest.raises(AdapterError, match=r"folder/one: vllm could not load it: .* no such module"):
        loaded(Engine({"": [-1.0, -1.0]}, broken=True))


@pytest.mark.vllm
@pytest.mark.parametrize(("gap", "refused"), [(0.1, False), (2.0, True)])
def test_the_first_adapter_has_to_write_what_it_reads(
    gap: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def found(engine: Any, prompt: list[int], *, adapter: Any) -> float:
        asked.append(adapter.lora_name)
        return gap

    monkeypatch.setattr("roleeval.engines.vllm._adapters.decode_gap", found)

    async def main() -> float | None:
        engine = Engine({"": [-1.0] * 4, "one": [-3.0], "two": [-4.0]})
        adapters = Adapters(engine, [1, 2, 3], "folder/base", AdapterEffects(), check_decoding=True)
        for name in ("one", "two"):
            await adapters.request(AdapterRef(name, f"folder/{name}", name[0] * 64, 8), inert=False)
        return adapters.decode_gap

    if refused:  # by the engine: no other request would be answered any better
        with pytest.raises(EngineDeadError, match="folder/base with the adapter folder/one: decoding disagrees"):
            asyncio.run(main())
    else:
        assert asyncio.run(main()) == gap
    assert len(asked) == 1


@pytest.fixture(params=["llama tied", "llama untied", "qwen2 tied", "qwen2 untied"])
def base(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    family, _, tied = request.param.partition(" ")
    sizes = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads"
    given = AutoConfig.from_pretrained(tiny_model).to_dict()
    kept = {name: given[name] for name in f"{sizes} initializer_range eos_token_id pad_token_id".split()}
    kind, config = (LlamaForCausalLM, LlamaConfig) if family == "llama" else (Qwen2ForCausalLM, Qwen2Config)
    torch.manual_seed(0)
    options = {"max_position_embeddings": 1024, "bos_token_id": None, "tie_word_embeddings": tied == "tied"}
    kind(config(**kept, **options)).save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.vllm
def test_texts_are_scored_as_by_plain_peft_beside_each_other(base: Path, tmp_path: Path) -> None:
    """On a Llama vLLM takes prompts' log-probabilities through the LoRA of its output layer, by the wrong rows."""
    how: dict[str, dict[str, Any]] = {
        "plain": {},
        "bin": {"seed": 1, "edit": tensors(lambda name, tensor: (name, tensor), pickled=True)},
        "patterns": {"rank_pattern": {"q_proj": 2, "v_proj": 16}, "alpha_pattern": {"q_proj": 64}},
        "layer": {"layers_to_transform": [1], "use_rslora": True},
        "zero": {"edit": valued(lambda tensor: tensor * 0, "lora_B")},
    }
    folders = {name: write(base, tmp_path / name, **options) for name, options in how.items()}
    refs = {name: load_adapter(folder) for name, folder in folders.items()}
    modules = frozenset(name for ref in refs.values() for name in ref.modules)

    async def main() -> tuple[list[float], Any]:
        options = VllmOptions(dtype="float32", max_model_len=512)
        engine = options.build(ModelSource(str(base)), LoraNeed(len(refs), 16, modules))
        await engine.start()
        try:
            asked = [LikelihoodRequest(TEXT, messages=SPOKEN, adapter=ref) for ref in [None, *refs.values(), None]]
            found = await asyncio.gather(*map(engine.likelihood, asked))
            return [answer.logprob for answer in found], engine.describe()["adapter_effects"]
        finally:
            await engine.close()

    got, effects = asyncio.run(main())
    expected = [plain_peft(base, folder) for folder in (None, *folders.values(), None)]
    assert got == pytest.approx(expected, abs=2e-3)
    assert effects["without_effect"] == ["zero"]
