"""How likely a text is: the numbers must be the model's own, whoever computes them, and the store must keep them."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import (
    CompletionStore,
    Engine,
    LoraNeed,
    ModelSource,
    StoredEngine,
    likelihood_key,
    load_adapter,
    request_key,
)
from roleeval.engines.hf import HfOptions
from roleeval.engines.openai import OpenAIOptions
from roleeval.errors import EngineError
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Message, Request, Sampling

TEXTS = ("I am the captain of this ship.", " Holmes", "你是谁？", "x", "The wizard looked at the ring. " * 4)


def requests(*adapters: AdapterRef | None) -> list[LikelihoodRequest]:
    """Chats, raw prompts and token ids of different lengths, for every adapter."""
    made = []
    for adapter in adapters:
        for number, text in enumerate(TEXTS):
            chat = (Message("system", "You are Holmes. " * number), Message("user", "Who are you?"))
            made.append(LikelihoodRequest(text, messages=chat, adapter=adapter))
            made.append(LikelihoodRequest(text, prompt="Who are you?" * (number + 1), adapter=adapter))
        made.append(LikelihoodRequest((40, 41, 42), prompt_tokens=(7,), adapter=adapter))
    return made


async def scored(engine: Engine, asked: Sequence[LikelihoodRequest]) -> list[Likelihood]:
    await engine.start()
    try:
        return list(await asyncio.gather(*(engine.likelihood(request) for request in asked)))
    finally:
        await engine.close()


def by_hf(model: Path, asked: Sequence[LikelihoodRequest], **options: Any) -> list[Likelihood]:
    engine = HfOptions(dtype="float32", **options).build(ModelSource(str(model)), LoraNeed())
    return asyncio.run(scored(engine, asked))


def reference(model: Any, folder: Path, request: LikelihoodRequest) -> tuple[float, int, bool]:
    """The same from plain transformers: one row, all logits."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if request.prompt_tokens is not None:
        before, after = list(request.prompt_tokens), list(request.continuation)
    else:
        if request.messages is not None:
            chat = [{"role": m.role, "content": m.content} for m in request.messages]
            prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        else:
            prompt = request.prompt
        before = tokenizer.encode(prompt)
        after = tokenizer.encode(prompt + request.continuation)[len(before) :]
    with torch.no_grad():
        scores = model(torch.tensor([[*before, *after]])).logits[0].log_softmax(-1)
    picked = [float(scores[len(before) + i - 1, token]) for i, token in enumerate(after)]
    greedy = all(int(scores[len(before) + i - 1].argmax()) == token for i, token in enumerate(after))
    return math.fsum(picked), len(after), greedy


def test_the_numbers_are_those_of_plain_transformers_and_peft(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def plain() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32").eval()

    asked = requests(None, load_adapter(tiny_adapters[0]))
    got = by_hf(tiny_model, asked, batch_size=4)
    models = [plain(), PeftModel.from_pretrained(plain(), tiny_adapters[0]).eval()]
    for number, (request, likelihood) in enumerate(zip(asked, got, strict=True)):
        logprob, tokens, greedy = reference(models[number // (len(asked) // 2)], tiny_model, request)
        assert likelihood.logprob == pytest.approx(logprob, abs=1e-3)
        assert (likelihood.tokens, likelihood.greedy) == (tokens, greedy)
    with_adapter = [a.logprob - b.logprob for a, b in zip(got[: len(got) // 2], got[len(got) // 2 :], strict=True)]
    assert min(map(abs, with_adapter)) > 1e-2


def test_what_greedy_decoding_writes_is_greedy_and_anything_else_is_not(tiny_model: Path) -> None:
    chat = (Message("user", "Who are you?"),)

    async def main() -> tuple[Completion, list[Likelihood]]:
        engine = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed())
        await engine.start()
        written = await engine.generate(Request(chat, Sampling(max_tokens=4), seed=0))
        asked = [LikelihoodRequest(text, messages=chat) for text in (written.text, written.text[::-1] + "?")]
        return written, await scored(engine, asked)

    written, (own, other) = asyncio.run(main())
    assert own.greedy and own.tokens == written.output_tokens and not other.greedy
    assert own.logprob / own.tokens > other.logprob / other.tokens


def test_a_number_does_not_depend_on_its_batch(tiny_model: Path) -> None:
    alone, together = (by_hf(tiny_model, requests(None), batch_size=size) for size in (1, 16))
    assert [a.logprob for a in alone] == pytest.approx([t.logprob for t in together], abs=1e-4)
    assert [replace(a, logprob=0.0) for a in alone] == [replace(t, logprob=0.0) for t in together]


def test_little_memory_for_logits_changes_nothing(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = by_hf(tiny_model, requests(None), batch_size=16)
    monkeypatch.setattr("roleeval.engines.hf._likelihood._MOST_LOGITS", 1)
    assert [s.logprob for s in by_hf(tiny_model, requests(None), batch_size=16)] == pytest.approx(
        [w.logprob for w in whole], abs=1e-4
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (LikelihoodRequest("a"), "exactly one of messages, prompt and prompt_tokens"),
        (LikelihoodRequest("a", prompt="b", prompt_tokens=(1,)), "exactly one"),
        (LikelihoodRequest("a", prompt_tokens=(1,)), "token ids for both"),
        (LikelihoodRequest((1,), prompt="a"), "token ids for both"),
        (LikelihoodRequest("", prompt="a"), "must not be empty"),
        (LikelihoodRequest("a", prompt=""), "prompt is empty"),
        (LikelihoodRequest("word " * 600, prompt="a"), "raise engine.max_model_len"),
    ],
)
def test_what_cannot_be_scored_says_why(tiny_model: Path, request_: LikelihoodRequest, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        by_hf(tiny_model, [request_])


def test_an_endpoint_says_that_it_cannot() -> None:
    engine = OpenAIOptions(("http://127.0.0.1:1/v1",)).build(ModelSource("m"), LoraNeed())
    assert not engine.likelihoods
    with pytest.raises(EngineError, match=r"engine=openai cannot score texts.*engine=vllm or engine=hf"):
        asyncio.run(engine.likelihood(LikelihoodRequest("a", prompt="b")))


def test_a_likelihood_is_kept_and_never_taken_for_a_text(tiny_model: Path, tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    asked = LikelihoodRequest("b", prompt="a")

    async def main() -> list[Likelihood]:
        engine = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed())
        stored = StoredEngine(engine, store)
        first = [await stored.likelihood(asked), await stored.likelihood(asked)]
        await engine.close()
        assert (stored.usage.requests, stored.usage.stored, stored.usage.failed) == (2, 1, 0)
        return first

    first, second = asyncio.run(main())
    assert second == replace(first, stored=True)
    fingerprint = HfOptions(dtype="float32").build(ModelSource(str(tiny_model)), LoraNeed()).fingerprint
    assert store.get(request_key(fingerprint, Request(None, Sampling(), 0, prompt="ab")), Completion) is None
    assert store.count() == 1


def test_each_part_of_a_likelihood_request_names_it() -> None:
    base = LikelihoodRequest("b", messages=(Message("user", "a"),), adapter=AdapterRef("x", "p", "f1", 8))
    others = [
        replace(base, continuation="c"),
        replace(base, continuation=(1,)),
        replace(base, messages=(Message("system", "a"),)),
        replace(base, messages=None, prompt="a"),
        replace(base, messages=None, prompt_tokens=(1,)),
        replace(base, messages=None, prompt="a", prompt_special_tokens=True),
        replace(base, adapter=None),
        replace(base, adapter=AdapterRef("x", "p", "f2", 8)),
    ]
    keys = [likelihood_key("e", request) for request in (base, *others)] + [likelihood_key("other", base)]
    assert len(set(keys)) == len(keys)
    assert likelihood_key("e", replace(base, priority=3)) == keys[0]


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_and_hf_agree_with_and_without_an_adapter(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    from roleeval.engines.vllm import VllmOptions

    refs = [load_adapter(path) for path in tiny_adapters]
    asked = requests(None, *refs)
    engine = VllmOptions(dtype="float32", max_model_len=512).build(ModelSource(str(tiny_model)), LoraNeed(3, 8))
    # asked twice at once: the second time every prompt's blocks are in the prefix cache
    got = asyncio.run(scored(engine, [*asked, *asked]))
    expected = by_hf(tiny_model, asked)
    for row, wanted in zip(got, [*expected, *expected], strict=True):
        assert row.logprob == pytest.approx(wanted.logprob, abs=1e-3)
        assert (row.tokens, row.greedy, row.prompt_tokens) == (wanted.tokens, wanted.greedy, wanted.prompt_tokens)
