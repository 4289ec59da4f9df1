"""lm-eval's tasks as a benchmark: stock lm-eval's numbers, in an ordinary result folder, for every family."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from roleeval_stubs import StubOptions

from roleeval.benchmarks.lm_eval.benchmark import LmEval
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.engines.hf import HfOptions
from roleeval.errors import ConfigError
from roleeval.models import Base, IndependentLora, SharedLora
from roleeval.report import collect, write_report
from roleeval.report.leaderboard import build_site
from roleeval.results import ResultFolder, read_transcripts, summary_infos
from roleeval.results.manifest import SampleCounts
from roleeval.stages.plan import plan
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Sampling, Transcript
from tests.engines.conftest import make_adapters, make_model

LOCAL = Path(__file__).parents[2] / "support" / "lm_eval_local"
ALL = ("local_choose", "local_write", "local_surprise")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def adapters(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_adapters(model_folder, tmp_path_factory.mktemp("adapters"), count=2)


def base(folder: Path, **options: Any) -> Base:
    return Base(name="tiny", source=ModelSource(str(folder)), sampling=Sampling(max_tokens=8), **options)


def shared(folder: Path, adapter: Path) -> SharedLora:
    return SharedLora(
        name="shared", source=ModelSource(str(folder)), sampling=Sampling(max_tokens=8), adapter_path=str(adapter)
    )


def make(
    results: Path, model: Any, *, engine: Any = None, stages: Any = ("generate", "score"), **task: Any
) -> RunConfig:
    limit = task.pop("limit", None)
    task = {"tasks": ALL, "include_path": str(LOCAL)} | task
    return RunConfig(
        benchmark=LmEval(**task),
        model=model,
        engine=engine or HfOptions(dtype="float32", device="cpu"),
        metrics={},
        options=RunOptions(results_dir=str(results), progress="quiet", limit=limit, stages=stages),
    )


def execute(config: RunConfig) -> RunOutcome:
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()


def test_a_plan_counts_what_the_tasks_ask(model_folder: Path, tmp_path: Path) -> None:
    config, runtime = make(tmp_path, base(model_folder), engine=StubOptions(), tasks=("local_choose",)), Runtime()
    chooses = replace(config, engine=HfOptions(dtype="float32", device="cpu"))
    try:
        ((found,), (again,)) = (
            runtime.execute(lambda: plan([chooses], runtime)).runs[0].models,
            (runtime.execute(lambda: run(chooses, runtime)),),
        )
        manifest = again.folder.manifest()
        assert manifest is not None
        assert found.calls.low == found.calls.most == runtime.store(config.options).count()
        assert found.new_tokens.most == 0 and found.prompt_tokens.most > 0
    finally:
        runtime.close()


def test_a_probe_asks_some_documents_and_times_texts_that_are_only_scored(model_folder: Path, tmp_path: Path) -> None:
    config, runtime = make(tmp_path, base(model_folder), tasks=("local_choose",)), Runtime()
    try:
        found = runtime.execute(lambda: plan([config], runtime, probes=True))
        (model,) = found.runs[0].models
        assert 0 < runtime.store(config.options).count() <= model.calls.expected
        assert "tokens read a second" in found.pace and found.seconds is not None and found.seconds.expected > 0
    finally:
        runtime.close()


def played(folder: ResultFolder) -> dict[str, Transcript]:
    return {sample.id: transcript for sample, transcript in read_transcripts(folder.transcripts)}


def stock(folder: Path, *, chat: bool) -> Any:
    """The same tasks by lm-eval's own hf model."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=4)
    manager = TaskManager(include_path=str(LOCAL), include_defaults=False)
    return simple_evaluate(lm, tasks=list(ALL), task_manager=manager, apply_chat_template=chat, bootstrap_iters=0)


@pytest.fixture(scope="module")
def chat_run(model_folder: Path, adapters: list[Path], tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    return execute(make(tmp_path_factory.mktemp("chat"), shared(model_folder, adapters[0]))).folder


def merged(base_folder: Path, adapter: Path, to: Path) -> Path:
    """A model with its adapter in its weights: lm-eval's own peft= may resize the embeddings."""
    import shutil

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    shutil.copytree(base_folder, to)
    plain = AutoModelForCausalLM.from_pretrained(base_folder, dtype="float32")
    PeftModel.from_pretrained(plain, adapter).merge_and_unload().save_pretrained(to)
    return to


@pytest.mark.parametrize("chat", [True, False])
def test_every_number_is_stock_lm_evals(
    chat: bool, model_folder: Path, adapters: list[Path], chat_run: ResultFolder, tmp_path: Path
) -> None:
    if chat:
        folder, theirs = chat_run, stock(merged(model_folder, adapters[0], tmp_path / "merged"), chat=True)
    else:
        folder = execute(make(tmp_path, base(model_folder), apply_chat_template=False)).folder
        theirs = stock(model_folder, chat=False)
    summary, manifest = folder.summary(), folder.manifest()
    assert summary is not None and manifest is not None
    compared = set()
    for task, numbers in theirs["results"].items():
        for key, value in numbers.items():
            metric, comma, way = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            entry = summary["metrics"][metric][task if way == "none" else f"{task}/{way}"]
            assert entry["mean"] == pytest.approx(value, rel=1e-4), key
            assert manifest.benchmark.more["lm_eval_results"][task][key] == pytest.approx(value, rel=1e-4)
            compared.add((metric, way))
    assert compared == {
        ("acc", "none"),
        ("acc_norm", "none"),
        ("exact_match", "strict"),
        ("exact_match", "first_word"),
        ("word_perplexity", "none"),
        ("bits_per_byte", "none"),
    }
    found = played(folder)
    for sample in theirs["samples"]["local_choose"]:
        turns = found[f"local_choose/{sample['doc_id']:05d}"].turns
        assert [t.logprob for t in turns] == pytest.approx([r[0][0] for r in sample["resps"]], abs=1e-3)
        assert [t.greedy for t in turns] == [r[0][1] for r in sample["resps"]]
        assert [(t.prompt, t.raw) for t in turns] == [tuple(arguments) for arguments in sample["arguments"]]
    texts = {s["doc_id"]: s["resps"][0][0] for s in theirs["samples"]["local_write"]}
    assert {int(k[-5:]): t.answer for k, t in found.items() if k.startswith("local_write")} == texts


def test_the_folder_is_an_ordinary_one(chat_run: ResultFolder) -> None:
    manifest, summary = chat_run.manifest(), chat_run.summary()
    assert manifest is not None and summary is not None
    assert manifest.samples == SampleCounts(planned=24, statuses={"ok": 24})
    assert manifest.benchmark.splits == dict.fromkeys(ALL, 8)
    scores = pd.read_parquet(chat_run.scores)
    rows = scores[(scores.metric == "acc") & (scores.group == "local_choose")]
    assert len(rows) == 8 and set(rows["value"]) <= {0.0, 1.0} and rows["sample"].is_unique
    entry = summary["metrics"]["acc"]["local_choose"]
    assert entry["mean"] == rows["value"].mean() and entry["n"] == 8 and entry["ci_low"] is not None
    whole = summary["metrics"]["word_perplexity"]["local_surprise"]
    assert whole["n"] == 1 and whole["ci_low"] is None  # one number over all documents
    (shown,) = collect([chat_run.path]).runs
    assert shown.benchmark == "lm_eval" and shown.entries["acc"]["local_choose"].n == 8


def test_a_run_that_is_done_is_skipped_and_an_unscored_one_is_scored_from_the_store(
    model_folder: Path, tmp_path: Path
) -> None:
    config = make(tmp_path, base(model_folder), limit=2, stages=("generate",))
    first = execute(config)
    assert first.folder.summary() is None
    scoring = replace(config, options=replace(config.options, stages=("generate", "score")))
    second, third = execute(scoring), execute(scoring)
    assert (second.skipped, third.skipped) == (False, True) and first.folder == third.folder
    manifest = second.folder.manifest()
    assert manifest is not None and manifest.session["generated"] == 0
    assert set(played(second.folder)) == {f"{task}/{number:05d}" for task in ALL for number in (0, 1)}
    with pytest.raises(ConfigError, match="scores while it generates"):
        execute(replace(config, options=replace(config.options, stages=("score",))))


def test_a_role_brings_its_adapter_and_its_system_prompt(
    model_folder: Path, adapters: list[Path], tmp_path: Path
) -> None:
    model = IndependentLora(
        name="independent",
        source=ModelSource(str(model_folder)),
        sampling=Sampling(max_tokens=8),
        adapters_map={"Holmes": str(adapters[0]), "Wukong": str(adapters[1])},
    )
    config = make(tmp_path, model, tasks=("local_choose",), role="Holmes", description="A detective.", limit=2)
    (first, *_) = played(execute(config).folder).values()
    prompt = first.turns[0].prompt or ""
    assert {turn.adapter for turn in first.turns} == {"Holmes"}
    assert "You are Holmes" in prompt and "A detective." in prompt and "\n\nAnswer the question.<|im_end|>" in prompt
    assert prompt.count("<|im_start|>system") == 1
    plain = make(tmp_path, model, tasks=("local_choose",), role="Holmes", apply_chat_template=False, limit=2)
    (first, *_) = played(execute(plain).folder).values()
    assert "Holmes" in (first.turns[0].prompt or "") and "<|im_start|>" not in (first.turns[0].prompt or "")
    with pytest.raises(ConfigError, match=r"benchmark\.role: not set, but independent_lora has adapters for single"):
        execute(make(tmp_path, model, tasks=("local_choose",)))
    with pytest.raises(ConfigError, match=r"benchmark\.role: role 'Nobody' has no adapter"):
        execute(make(tmp_path, model, tasks=("local_choose",), role="Nobody"))


def test_what_cannot_be_asked_is_said_before_anything_is_loaded(model_folder: Path, tmp_path: Path) -> None:
    from roleeval.engines.openai import OpenAIOptions

    api = Base(name="api", source=ModelSource("served"))
    endpoint = OpenAIOptions(("http://127.0.0.1:1/v1",))
    with pytest.raises(ConfigError, match=r"benchmark\.tasks: local_choose asks for likelihoods.*engine=vllm"):
        execute(make(tmp_path, api, engine=endpoint, tasks=("local_choose",)))
    with pytest.raises(ConfigError, match=r"no task 'local_chose' \(similar: .*local_choose"):
        execute(make(tmp_path, base(model_folder), tasks=("local_chose",)))
    with pytest.raises(ConfigError, match=r"benchmark\.tasks: empty"):
        LmEval(tasks=())
    with pytest.raises(ConfigError, match=r"benchmark\.description"):
        LmEval(tasks=("a",), description="b")


def test_a_document_that_does_not_fit_is_missing_and_never_counted_as_wrong(model_folder: Path, tmp_path: Path) -> None:
    """lm-eval itself would go on with whatever stands in for the answer."""
    short = HfOptions(dtype="float32", device="cpu", max_model_len=22)
    config = make(tmp_path, base(model_folder), engine=short, tasks=("local_choose",), apply_chat_template=False)
    folder = execute(replace(config, options=replace(config.options, fail_on_error=0.0))).folder
    manifest, summary = folder.manifest(), folder.summary()
    assert manifest is not None and summary is not None
    failed = manifest.outgrown_samples
    entry = summary["metrics"]["acc"]["local_choose"]
    assert 0 < failed < 8 and (entry["n"], entry["missing"]) == (8 - failed, failed)
    scores = pd.read_parquet(folder.scores)
    assert scores[scores.status == "context_overflow"]["value"].isna().all()


class Says:
    """A stand-in model that answers with given texts, one after the other, and keeps what it was asked."""

    likelihoods = False
    fingerprint = "says"

    def __init__(self, *texts: str) -> None:
        self.texts, self.asked = list(texts), []

    async def generate(self, request: Any) -> Any:
        from roleeval.types import Completion

        self.asked.append(request)
        text = self.texts.pop(0)
        stops = [text.find(s) for s in request.sampling.stop if s in text]
        return Completion(text[: min(stops, default=len(text))], "stop", 1, 1)


def ask(engine: Says, context: str, options: dict[str, Any], **model: Any) -> str:
    import asyncio
    from types import SimpleNamespace

    from roleeval.benchmarks import Actor
    from roleeval.benchmarks.lm_eval.model import PersonaLM, PlayedRole
    from roleeval.types import Persona

    actor = Actor(Base(name="b", source=ModelSource("m"), **model), engine, 1)  # type: ignore[arg-type]
    lm = PersonaLM(actor, PlayedRole(Persona("", "", "en"), ""), asyncio.run, in_flight=2)
    request = SimpleNamespace(args=(context, options), task_name="t", doc_id=0, idx=0)
    (text,) = lm.generate_until([request])
    (turn,) = lm.turns["t", 0]
    assert turn.raw and turn.visible == text
    return text


def test_reasoning_is_removed_and_no_stop_string_ends_it() -> None:
    thinking = "<think>One.\n\nTwo.</think>\n\nThe answer is 4.\n\nBecause."
    engine = Says(thinking, thinking)
    assert ask(engine, "2+2?", {"until": ["\n\n"]}) == "The answer is 4."
    assert [request.sampling.stop for request in engine.asked] == [("\n\n",), ()]
    opened = Says("One.\n\nTwo.</think>\n\nThe answer is 4.\n\nBecause.")
    assert ask(opened, "2+2?\n<think>\n", {"until": ["\n\n"]}) == "The answer is 4."
    assert ask(Says("<think>never ends"), "2+2?", {"until": []}) == ""


def test_a_text_without_reasoning_stays_as_it_is() -> None:
    assert ask(Says("    return x\n"), "def f(x):\n", {"until": "\ndef"}) == "    return x\n"


def test_generation_arguments_are_lm_evals() -> None:
    engine = Says("a", "b", "c")
    ask(engine, "x", {})
    ask(engine, "x", {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "max_new_tokens": 5, "until": "Q:"})
    ask(engine, "x", {"do_sample": False, "temperature": 0.8, "max_gen_toks": 7})
    assert [request.sampling for request in engine.asked] == [
        Sampling(),
        Sampling(temperature=0.8, top_p=0.9, max_tokens=5, stop=("Q:",)),
        Sampling(max_tokens=7),
    ]


def test_the_yaml_is_the_class(root: Path) -> None:
    import yaml

    from roleeval.config import build_target

    node = yaml.safe_load((root / "conf/benchmark/lm_eval.yaml").read_text()) | {"tasks": ["local_write"]}
    assert build_target(node, "benchmark") == LmEval(tasks=("local_write",))


def test_the_run_stops_cleanly_while_lm_eval_waits(tmp_path: Path) -> None:
    """Ctrl-C must not leave a thread behind that waits for ever."""
    import asyncio

    class Slow(Says):
        async def generate(self, request: Any) -> Any:
            self.asked.append(request)
            await asyncio.sleep(3600)

    async def main() -> None:
        from roleeval.benchmarks import Actor

        engine = Slow()
        actor = Actor(Base(name="b", source=ModelSource("m")), engine, 1)  # type: ignore[arg-type]
        benchmark = LmEval(tasks=("local_write",), include_path=str(LOCAL), apply_chat_template=False)

        async def consume() -> None:
            async for _ in benchmark.evaluate(actor, limit=None, in_flight=4):
                raise AssertionError

        task = asyncio.create_task(consume())
        while len(engine.asked) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # returns only when the thread has ended


def test_numbers_that_are_none_are_missing() -> None:
    from roleeval.benchmarks.lm_eval.benchmark import _score

    assert _score("m", "none", math.nan, "ok").value is None
    assert _score("m", "none", math.inf, "ok").status == "no_answer"
    assert _score("m", "strict", 1, "ok").group == "strict"
    assert json.dumps(_score("m", "none", math.inf, "ok").detail) == '{"lm_eval": "inf"}'


def test_stub_engines_serve_generation_tasks_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="local_choose"):
        execute(make(tmp_path, base(Path("stub")), engine=StubOptions(), tasks=("local_choose",)))


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_gives_the_folder_that_hf_gives(
    model_folder: Path, adapters: list[Path], chat_run: ResultFolder, tmp_path: Path
) -> None:
    from roleeval.engines.vllm import VllmOptions

    folder = execute(make(tmp_path, shared(model_folder, adapters[0]), engine=VllmOptions(dtype="float32"))).folder
    ours, theirs = played(folder), played(chat_run)
    assert ours.keys() == theirs.keys()
    for name, transcript in ours.items():
        for turn, wanted in zip(transcript.turns, theirs[name].turns, strict=True):
            assert (turn.raw, turn.visible, turn.greedy) == (wanted.raw, wanted.visible, wanted.greedy)
            if wanted.logprob is not None:
                assert turn.logprob == pytest.approx(wanted.logprob, abs=1e-3)
    assert pd.read_parquet(folder.scores)["value"].tolist() == pytest.approx(
        pd.read_parquet(chat_run.scores)["value"].tolist(), rel=1e-4
    )


def test_its_metrics_have_lm_evals_directions_and_values_of_a_whole_task_count_as_such(
    chat_run: ResultFolder, tmp_path: Path
) -> None:
    infos = summary_infos(chat_run.summary())
    assert {name: (info.higher_is_better, info.per) for name, info in infos.items()} == {
        "acc": (True, "sample"),
        "acc_norm": (True, "sample"),
        "exact_match": (True, "sample"),
        "cut_off_rate": (False, "sample"),
        "word_perplexity": (False, "cluster"),
        "bits_per_byte": (False, "cluster"),
    }
    text = write_report([chat_run.path], tmp_path)[0].read_text(encoding="utf-8")
    assert "≠" not in text and "not per answer: bits per byte, word perplexity" in text


def test_the_site_shows_its_documents_and_answers(chat_run: ResultFolder, tmp_path: Path) -> None:
    site = build_site([chat_run.path], tmp_path / "site")
    assert (site.runs, site.not_shown) == (1, ())
    texts = "".join(file.read_text(encoding="utf-8") for file in (tmp_path / "site" / "data" / "r0").glob("t*.js"))
    samples = [sample for sample, _ in read_transcripts(chat_run.transcripts)]
    assert samples and all(f'{{\\"id\\":\\"{sample.id}\\"' in texts for sample in samples)


def test_a_base_model_is_told_of_plain_text_before_it_is_loaded(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model_folder, bare, ignore=shutil.ignore_patterns("chat_template*"))
    config = json.loads((bare / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config))
    monkeypatch.setattr("roleeval.engines.hf.engine.HfEngine.start", None)  # cannot be called
    with pytest.raises(
        ConfigError, match=r"has no chat template: .*plain text set benchmark\.apply_chat_template=false"
    ):
        execute(make(tmp_path / "r", base(bare), tasks=("local_choose",)))
