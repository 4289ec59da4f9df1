"""The hf engine on a tiny real model: the texts must be transformers' and PEFT's own, whatever batch they came from."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from roleeval.engines import LoraNeed, ModelSource, load_adapter
from roleeval.engines.hf import HfEngine, HfOptions
from roleeval.errors import AdapterError, ConfigError, ContextOverflowError, EngineError
from roleeval.types import AdapterRef, Completion, Message, Request, Sampling

T = TypeVar("T")
GREEDY = Sampling(max_tokens=24)
SAMPLED = Sampling(temperature=1.2, top_p=0.95, top_k=50, repetition_penalty=1.1, max_tokens=24)


def ask(number: int = 0, *, sampling: Sampling = GREEDY, adapter: AdapterRef | None = None, **fields: Any) -> Request:
    """Requests of different lengths, so that batches are padded."""
    messages = (Message("system", "You are Holmes."), Message("user", "Who are you? " * (1 + number % 5) + str(number)))
    return Request(messages, sampling, seed=fields.pop("seed", number), adapter=adapter, **fields)


def with_engine(model: Path, use: Callable[[HfEngine], Awaitable[T]], **options: Any) -> T:
    async def main() -> T:
        engine = HfOptions(dtype="float32", **options).build(ModelSource(str(model)), LoraNeed())
        await engine.start()
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def answers(model: Path, requests: Sequence[Request], **options: Any) -> list[Completion]:
    async def use(engine: HfEngine) -> list[Completion]:
        return list(await asyncio.gather(*[engine.generate(request) for request in requests]))

    return with_engine(model, use, **options)


def reference(model: Any, folder: Path, request: Request) -> tuple[str, int]:
    """What plain transformers answers to one request: text and number of tokens."""
    from transformers import AutoTokenizer

    assert request.messages is not None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": message.role, "content": message.content} for message in request.messages]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    limit = request.sampling.max_tokens
    output = model.generate(**inputs, do_sample=False, max_new_tokens=limit, pad_token_id=0, eos_token_id=2)
    new = output[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True), len(new)


def plain_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def test_greedy_texts_are_those_of_plain_transformers(tiny_model: Path) -> None:
    requests = [ask(number) for number in range(6)]
    model = plain_model(tiny_model)
    expected = [reference(model, tiny_model, request) for request in requests]
    got = answers(tiny_model, requests, batch_size=4)
    assert [(completion.text, completion.output_tokens) for completion in got] == expected
    assert len({text for text, _ in expected}) == 6


def test_each_adapters_texts_are_those_of_peft_and_the_base_stays_untouched(
    tiny_model: Path, tiny_adapters: list[Path]
) -> None:
    from peft import PeftModel

    refs = [None, *(load_adapter(path) for path in tiny_adapters)]
    requests = [ask(number, adapter=ref) for number in range(2) for ref in refs]
    got = answers(tiny_model, requests + requests, batch_size=4)  # twice: every adapter is also gone back to
    models = [plain_model(tiny_model), *(PeftModel.from_pretrained(plain_model(tiny_model), p) for p in tiny_adapters)]
    expected = [reference(model, tiny_model, ask(number))[0] for number in range(2) for model in models]
    assert [completion.text for completion in got] == expected + expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED, Sampling(repetition_penalty=1.5, max_tokens=24)])
def test_a_text_does_not_depend_on_its_batch(tiny_model: Path, sampling: Sampling) -> None:
    requests = [ask(number, sampling=sampling) for number in range(8)]
    alone = answers(tiny_model, requests, batch_size=1)
    together = answers(tiny_model, requests[::-1], batch_size=8)[::-1]
    assert together == alone


def test_a_padding_token_that_is_the_end_token_is_not_penalised(tiny_model: Path, tmp_path: Path) -> None:
    """Models without a padding token pad with the end token; penalising it makes padded rows run on."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": "<|im_end|>"}))
    sampling = Sampling(temperature=1.5, repetition_penalty=3.0, max_tokens=40)
    requests = [Request(None, sampling, seed=number, prompt="Who" + " are" * number) for number in range(16)]
    alone = answers(model, requests, batch_size=1)
    assert answers(model, requests, batch_size=16) == alone
    assert {completion.finish_reason for completion in alone} == {"stop", "length"}


def test_the_seed_decides_a_sampled_text(tiny_model: Path) -> None:
    wide = 2**32  # seeds that agree in their low 32 bits are different seeds
    requests = [ask(0, sampling=SAMPLED, seed=seed) for seed in (1, 2, 1 + wide, 1)]
    one, two, high, again = (completion.text for completion in answers(tiny_model, requests))
    assert again == one
    assert len({one, two, high}) == 3


def test_draws_follow_the_models_distribution(tiny_model: Path) -> None:
    """A wrong draw would shift every sampled result and show nowhere else."""
    import torch
    from transformers import AutoTokenizer

    prompt = "The wizard"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    with torch.no_grad():
        logits = plain_model(tiny_model)(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
    probability, best = (logits / 1.5).softmax(-1).max(-1)
    sampling = Sampling(temperature=1.5, max_tokens=1)
    requests = [Request(None, sampling, seed=seed, prompt=prompt) for seed in range(400)]
    texts = [completion.text for completion in answers(tiny_model, requests, batch_size=100)]
    share = texts.count(tokenizer.decode(best)) / len(texts)
    assert 0.05 < probability < 0.95
    assert abs(share - probability) < 4 * (probability * (1 - probability) / len(texts)) ** 0.5


def test_top_k_and_top_p_cut_the_tail(tiny_model: Path) -> None:
    one = ask(0, sampling=Sampling(temperature=2.0, top_k=1, max_tokens=24))
    narrow = ask(0, sampling=Sampling(temperature=2.0, top_p=1e-6, max_tokens=24))
    greedy, by_k, by_p = answers(tiny_model, [ask(0), one, narrow])
    assert by_k.text == by_p.text == greedy.text


def test_a_models_own_sampling_defaults_do_not_apply(tiny_model: Path, tmp_path: Path) -> None:
    """Qwen ships repetition_penalty 1.05 in generation_config.json; a request that says 1 must get 1."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    config = json.loads((model / "generation_config.json").read_text())
    config |= {"repetition_penalty": 5.0, "do_sample": True, "temperature": 3.0, "max_new_tokens": 3}
    (model / "generation_config.json").write_text(json.dumps(config))
    requests = [ask(number) for number in range(3)]
    assert [c.text for c in answers(model, requests)] == [c.text for c in answers(tiny_model, requests)]


def test_a_stop_string_ends_the_text_and_is_not_part_of_it(tiny_model: Path) -> None:
    requests = [ask(number) for number in range(3)]
    whole = answers(tiny_model, requests)
    row, run_on = next((n, completion) for n, completion in enumerate(whole) if completion.finish_reason == "length")
    stop = run_on.text[9:13]  # lies across tokens
    stopped = answers(tiny_model, [replace(r, sampling=replace(GREEDY, stop=("\t\t", stop))) for r in requests])
    assert stopped[row].text == run_on.text[: run_on.text.index(stop)]
    assert stopped[row].finish_reason == "stop"
    assert stopped[row].output_tokens < run_on.output_tokens == GREEDY.max_tokens
    others = [completion for n, completion in enumerate(stopped) if n != row]
    assert others == [completion for n, completion in enumerate(whole) if n != row]  # they run on beside it


def test_any_end_token_of_the_model_ends_a_text(tiny_model: Path, tmp_path: Path) -> None:
    """generation_config.json may list further end tokens; ignoring them yields the other speaker's turn as well."""
    from transformers import AutoTokenizer

    (whole,) = answers(tiny_model, [ask(0)])
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokens = tokenizer.encode(whole.text, add_special_tokens=False)
    assert tokenizer.decode(tokens[:5]) == whole.text[: len(tokenizer.decode(tokens[:5]))]
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    config = json.loads((model / "generation_config.json").read_text())
    (model / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [2, tokens[5]]}))
    (cut,) = answers(model, [ask(0)])
    first = tokens.index(tokens[5])
    assert (cut.text, cut.finish_reason) == (tokenizer.decode(tokens[:first]), "stop")
    assert cut.output_tokens == first + 1


def test_prefill_is_continued_and_part_of_the_text(tiny_model: Path) -> None:
    (whole,) = answers(tiny_model, [ask(1)])
    half = whole.text[: len(whole.text) // 2]
    (chat, raw) = answers(
        tiny_model,
        [
            ask(1, prefill=half),
            Request(None, GREEDY, seed=0, prompt="<|im_start|>user\nHi<|im_end|>\n", prefill="I am"),
        ],
    )
    assert chat.text.startswith(half)
    assert chat.prompt_tokens > whole.prompt_tokens
    assert raw.text.startswith("I am")


def test_a_raw_prompt_is_continued_as_it_is(tiny_model: Path) -> None:
    messages = "<|im_start|>system\nYou are Holmes.<|im_end|>\n<|im_start|>user\nWho are you? 0<|im_end|>\n"
    raw = Request(None, GREEDY, seed=0, prompt=messages + "<|im_start|>assistant\n")
    from_raw, from_chat = answers(tiny_model, [raw, ask(0)])
    assert from_raw == from_chat


def test_too_long_a_prompt_is_refused_with_its_lengths(tiny_model: Path) -> None:
    fits = ask(0, sampling=Sampling(max_tokens=10))
    (ok,) = answers(tiny_model, [fits])
    limit = ok.prompt_tokens + 10
    assert answers(tiny_model, [fits], max_model_len=limit)[0].text == ok.text
    with pytest.raises(
        ContextOverflowError,
        match=rf"prompt of {ok.prompt_tokens} tokens and 10 new tokens exceed the limit of {limit - 1} for .*;"
        r" raise engine\.max_model_len or lower max_tokens$",
    ):
        answers(tiny_model, [fits], max_model_len=limit - 1)
    with pytest.raises(EngineError, match="exceed the limit of 1024 "):
        answers(tiny_model, [ask(0, sampling=Sampling(max_tokens=1024))])


def test_too_long_a_prompt_is_known_before_the_model_is_loaded(tiny_model: Path) -> None:
    engine = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed())
    engine.require_room(ask(0))
    (told,) = answers(tiny_model, [ask(0, sampling=Sampling(max_tokens=4))])
    engine.require_room(ask(0, sampling=Sampling(max_tokens=1024 - told.prompt_tokens)))
    with pytest.raises(ContextOverflowError, match=rf"prompt of {told.prompt_tokens} tokens .* the limit of 1024 for"):
        engine.require_room(ask(0, sampling=Sampling(max_tokens=1025 - told.prompt_tokens)))


def test_a_schema_is_refused(tiny_model: Path) -> None:
    with pytest.raises(
        EngineError, match="engine=hf cannot constrain output to a schema; use engine=vllm or engine=op"
    ):
        answers(tiny_model, [ask(0, json_schema="{}")])


def test_a_failing_request_leaves_the_others_alone(tiny_model: Path, tiny_adapters: list[Path], tmp_path: Path) -> None:
    good = load_adapter(tiny_adapters[0])
    broken = tmp_path / "broken"
    shutil.copytree(tiny_adapters[1], broken)
    ref = load_adapter(broken)
    other_rank = replace(good, name="served", path="", fingerprint="x")

    async def use(engine: HfEngine) -> list[Completion | BaseException]:
        await engine.generate(ask(0, adapter=ref, sampling=Sampling(max_tokens=1)))
        weights = broken / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        again = replace(ref, fingerprint="changed since")
        requests = [ask(0), ask(0, adapter=again), ask(0, adapter=good), ask(0, adapter=other_rank)]
        requests.append(ask(0, sampling=replace(SAMPLED, temperature=-1.0)))
        return list(await asyncio.gather(*[engine.generate(r) for r in requests], return_exceptions=True))

    base, cut, fine, served, negative = with_engine(tiny_model, use)
    assert [base, fine] == answers(tiny_model, [ask(0), ask(0, adapter=good)])
    assert isinstance(cut, AdapterError)
    assert str(broken) in str(cut)
    assert isinstance(served, AdapterError)
    assert isinstance(negative, EngineError)
    assert "temperature" in str(negative)


def test_a_first_adapter_that_cannot_be_loaded_leaves_the_base_as_it_was(
    tiny_model: Path, tiny_adapters: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_adapters[1], broken)
    config = json.loads((broken / "adapter_config.json").read_text())
    good, bad = load_adapter(tiny_adapters[0]), load_adapter(broken)

    async def use(engine: HfEngine) -> list[Completion]:
        engine.check(bad)
        (broken / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["no_such_module"]}))
        with pytest.raises(AdapterError, match="PEFT could not load it"):
            await engine.generate(ask(0, adapter=bad))
        return [await engine.generate(ask(0)), await engine.generate(ask(0, adapter=good))]

    assert with_engine(tiny_model, use) == answers(tiny_model, [ask(0), ask(0, adapter=good)])


def test_an_adapter_of_another_base_is_refused_before_it_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    small = Qwen2Config(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    get_peft_model(Qwen2ForCausalLM(small), LoraConfig(r=4, target_modules=["q_proj"])).save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match="it was trained on another base"):
        answers(tiny_model, [ask(0, adapter=load_adapter(tmp_path))])


def test_small_priorities_go_first_and_no_group_waits_for_ever(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    order: list[str] = []
    lone = load_adapter(tiny_adapters[0])
    short = Sampling(max_tokens=1)

    async def use(engine: HfEngine) -> None:
        async def one(name: str, request: Request) -> None:
            await engine.generate(request)
            order.append(name)

        base = [one("base", ask(n, sampling=short)) for n in range(40)]
        rare = one("rare", ask(0, sampling=short, adapter=lone))
        urgent = one("urgent", ask(0, sampling=replace(short, max_tokens=2), priority=-1))
        await asyncio.gather(*base, rare, urgent)

    with_engine(tiny_model, use, batch_size=2)
    assert order[0] == "urgent"
    assert order.index("rare") < 20


def test_cancelled_and_waiting_requests_end_with_the_engine(tiny_model: Path, tmp_path: Path) -> None:
    endless = tmp_path / "model"
    shutil.copytree(tiny_model, endless)
    for name, end in (
        ("tokenizer_config.json", {"eos_token": "<|pad|>"}),
        ("generation_config.json", {}),
        ("config.json", {}),
    ):
        config = {**json.loads((endless / name).read_text()), **(end or {"eos_token_id": 0})}
        (endless / name).write_text(json.dumps(config))
    long = Sampling(max_tokens=960)

    async def main() -> tuple[BaseException | Completion, BaseException | Completion]:
        engine = HfOptions(dtype="float32", batch_size=1).build(ModelSource(str(endless)), LoraNeed())
        await engine.start()
        given_up = asyncio.create_task(engine.generate(ask(0, sampling=long)))
        await asyncio.sleep(0.05)
        given_up.cancel()
        after = await engine.generate(ask(1))  # the batch of the one that was given up does not hold it back
        running = asyncio.create_task(engine.generate(ask(0, sampling=long)))
        waiting = asyncio.create_task(engine.generate(ask(1)))
        await asyncio.sleep(0.05)
        await engine.close()
        await engine.close()
        assert after.text
        assert given_up.cancelled()
        with pytest.raises(EngineError, match="not started, or is closed"):
            await engine.generate(ask(0))
        first, second = await asyncio.gather(running, waiting, return_exceptions=True)
        return first, second

    for result in asyncio.run(main()):
        assert isinstance(result, EngineError)
        assert "closed" in str(result)


def test_the_loop_runs_on_while_a_batch_is_written(tiny_model: Path) -> None:
    async def use(engine: HfEngine) -> int:
        ticks = 0
        task = asyncio.create_task(engine.generate(ask(0, sampling=Sampling(max_tokens=200))))
        while not task.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert with_engine(tiny_model, use) > 5


def test_start_is_shared_by_those_who_ask_at_once(tiny_model: Path) -> None:
    async def main() -> None:
        engine = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed())
        await asyncio.gather(engine.start(), engine.start(), engine.start())
        assert (await engine.generate(ask(0))).text
        assert engine.describe()["dtype"] == "torch.float32"
        json.dumps(engine.describe())
        await engine.close()

    asyncio.run(main())


def test_a_model_that_cannot_be_loaded_is_named(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(EngineError, match=f"hf could not load {model}"):
        answers(model, [ask(0)])


def test_the_fingerprint_tells_texts_apart(tiny_model: Path, tmp_path: Path) -> None:
    source = ModelSource(str(tiny_model))

    def fingerprint(source: ModelSource = source, **options: Any) -> str:
        return HfOptions(**options).build(source, LoraNeed()).fingerprint

    other = tmp_path / "model"
    shutil.copytree(tiny_model, other)
    assert fingerprint() == fingerprint(batch_size=2, max_model_len=64) == fingerprint(ModelSource(str(other)))
    (other / "chat_template.jinja").write_text("{{ messages }}")
    prints = [fingerprint(), fingerprint(dtype="bfloat16"), fingerprint(ModelSource(str(other)))]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_model_len": 0}])
def test_impossible_options_are_refused(tiny_model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        HfOptions(**options).build(ModelSource(str(tiny_model)), LoraNeed())
