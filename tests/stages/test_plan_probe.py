"""A probe asks every local model of a run: lengths and times that nobody could foresee are then known."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.benchmarks import Helper
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.minimax import Minimax
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import BudgetOptions, LoraNeed, ModelSource
from roleeval.engines.openai import OpenAIOptions
from roleeval.engines.taken import GPUS, Taken
from roleeval.judging import VoiceJudge
from roleeval.metrics import AnswerLength
from roleeval.models import Api, Base
from roleeval.resources import zoo_path
from roleeval.results.manifest import Manifest
from roleeval.stages.plan import ModelPlan, Plan, plan
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from roleeval.types import Request, Sampling

ZOO = ModelSource(str(zoo_path("base")))
SERVED = OpenAIOptions(base_urls=("http://127.0.0.1:9/v1",))
WORDS = {48: 9, 64: 21, 96: 40, 256: 30}  # max_tokens -> words of a reply on average


def of_its_length(request: Request) -> str:
    """The script: replies that are as long as nobody's texts."""
    return " ".join(["word"] * (WORDS[request.sampling.max_tokens] + request.seed % 5 - 2))


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    found = Runtime()
    yield found
    found.close()
    assert not OneAtATime.loaded


def make(folder: Path, **changes: Any) -> RunConfig:
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="zoo", source=ZOO, sampling=Sampling(max_tokens=48)),
        engine=StubOptions(script=f"{__name__}:of_its_length", journal=str(folder / "asked")),
        metrics={"length": AnswerLength()},
        options=RunOptions(results_dir=str(folder / "r"), progress="quiet", limit=changes.pop("limit", None)),
    )
    return replace(config, **changes)


def planned(runtime: Runtime, *configs: RunConfig, probes: bool = True) -> Plan:
    return runtime.execute(lambda: plan(configs, runtime, probes=probes))


def asked(folder: Path) -> int:
    file = folder / "asked"
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


def models(found: Plan) -> dict[str, ModelPlan]:
    return {model.who: model for model in found.runs[0].models}


def test_a_probe_foresees_the_lengths_of_sessions_that_the_seeds_do_not_tell(tmp_path: Path, runtime: Runtime) -> None:
    user = Helper(sampling=Sampling(temperature=0.7, max_tokens=64))
    config = make(tmp_path, benchmark=Minimax(messages=6, runs=2, may_overflow=True, user=user))
    plain, probed = (models(planned(runtime, config, probes=probes)) for probes in (False, True))
    before = asked(tmp_path)
    runtime.execute(lambda: run(config, runtime))
    every = asked(tmp_path)
    per_model = every / 2
    assert 0 < before <= every / 4
    assert sum(model.calls.expected for model in probed.values()) == every  # the probe's own are a part of the plan
    for who, words in (("model", 9), ("user", 21)):
        assert probed[who].new_tokens.expected == pytest.approx(per_model * words, rel=0.1)
        assert plain[who].new_tokens.expected > 1.5 * per_model * words
        assert "the probe (" in probed[who].basis and "the probe (" not in plain[who].basis
        assert probed[who].seconds is not None
        assert probed[who].prompt_tokens.expected < plain[who].prompt_tokens.expected


def test_a_probe_foresees_a_judges_lengths_and_retries_and_times_it(tmp_path: Path, runtime: Runtime) -> None:
    judge = VoiceJudge(source=ZOO, sampling=Sampling(max_tokens=96), attempts=3)  # no reply fits: all of them retried
    config = make(tmp_path, judge=judge, limit=40)
    plain, probed = (models(planned(runtime, config, probes=probes))["judge zoo_voice"] for probes in (False, True))
    assert asked(tmp_path) == 40 + 3 * 16
    record = next(iter(finished(runtime, config).judge_records.values()))
    assert plain.calls.expected == record.questions and plain.seconds is None
    assert probed.calls.expected == 3 * record.questions
    assert probed.new_tokens.expected == pytest.approx(record.tokens["output"], rel=0.1)
    assert probed.basis == "16 judgements (the probe)" and probed.seconds is not None


def finished(runtime: Runtime, config: RunConfig) -> Manifest:
    manifest = runtime.execute(lambda: run(config, runtime)).folder.manifest()
    assert manifest is not None
    return manifest


def test_seeds_share_a_probe_whose_answers_the_first_of_them_finds(tmp_path: Path, runtime: Runtime) -> None:
    one, two = (replace(make(tmp_path), options=replace(make(tmp_path, limit=30).options, seed=n)) for n in (1, 2))
    first, second = (run.models[0] for run in planned(runtime, one, two).runs)
    assert asked(tmp_path) == 30 and first.basis == second.basis == "the probe (30 conversations)"
    assert (first.calls.expected, second.calls.expected) == (30, 30)
    finished(runtime, one)
    assert asked(tmp_path) == 30


def test_endpoints_are_not_asked_and_answers_to_made_up_words_are_not_kept(tmp_path: Path, runtime: Runtime) -> None:
    user = Helper(engine=SERVED, model=Api(name="u", source=ModelSource("u-large"), sampling=Sampling(max_tokens=64)))
    found = planned(runtime, make(tmp_path, benchmark=Minimax(messages=6, runs=1, may_overflow=True, user=user)))
    by_name = models(found)
    assert by_name["model"].basis.startswith("the probe") and "the probe" not in by_name["user"].basis
    assert asked(tmp_path) > 0 and runtime.store(make(tmp_path).options).count() == 0
    assert "thrown away, because other models' replies were made up" in found.pace
    (note,) = [note for note in found.notes if "user of" in note]
    assert "behind an endpoint, which costs money: it is not probed" in note
    served = Api(name="x", source=ModelSource("x-large"), sampling=Sampling(max_tokens=48))
    elsewhere = make(tmp_path / "none", model=served, engine=SERVED, limit=4)
    assert models(planned(runtime, elsewhere))["model"].elsewhere and not (tmp_path / "none").exists()
    judge = VoiceJudge(source=ModelSource("j-large"), engine=SERVED, sampling=Sampling(max_tokens=96))
    before = asked(tmp_path)
    judged = planned(runtime, make(tmp_path, judge=judge, limit=4))
    assert asked(tmp_path) == before + 4 and any("judge zoo_voice is behind an endpoint" in n for n in judged.notes)
    local_judge = VoiceJudge(source=ZOO, engine=make(tmp_path).engine, sampling=Sampling(max_tokens=96))
    under = models(planned(runtime, make(tmp_path, model=served, engine=SERVED, judge=local_judge, limit=4)))
    assert "the probe" not in under["model"].basis and under["judge zoo_voice"].basis.endswith("(the probe)")


def test_a_run_without_anything_left_to_ask_is_planned_without_loading(tmp_path: Path, runtime: Runtime) -> None:
    config = make(tmp_path, limit=6)
    finished(runtime, config)
    assert models(planned(runtime, config))["model"].calls.most == 0 and asked(tmp_path) == 6
    judge = VoiceJudge(source=ZOO, sampling=Sampling(max_tokens=96))
    again = planned(runtime, replace(config, judge=judge))
    assert models(again)["judge zoo_voice"].basis == "12 judgements (the probe)"


THOUGHTS = "<think>" + "what would he say to that " * 4


def thinks(request: Request) -> str:
    return f"{THOUGHTS}</think>Indeed so."


def is_cut_off(request: Request) -> str:
    return THOUGHTS


def says_nothing_else(request: Request) -> str:
    return "Indeed so."


def test_reasoning_counts_and_does_not_come_into_made_up_histories(tmp_path: Path, runtime: Runtime) -> None:
    user = Helper(sampling=Sampling(temperature=0.7, max_tokens=64))
    benchmark = Minimax(messages=6, runs=1, may_overflow=True, user=user)
    prompts, written = {}, {}
    for script in (says_nothing_else, thinks, is_cut_off):
        folder = tmp_path / script.__name__
        folder.mkdir()
        engine = StubOptions(script=f"{__name__}:{script.__name__}")
        found = models(planned(runtime, make(folder, benchmark=benchmark, engine=engine)))
        prompts[script] = sum(model.prompt_tokens.expected for model in found.values())
        written[script] = found["model"].new_tokens.expected / found["model"].calls.expected
    assert prompts[thinks] == prompts[says_nothing_else]
    assert prompts[is_cut_off] < 1.1 * prompts[says_nothing_else]
    assert written[thinks] == len(f"{THOUGHTS}</think>Indeed so.".split()) > written[says_nothing_else]


def test_who_is_next_is_played_by_the_book_and_counted_as_long_as_the_model_says_it(
    tmp_path: Path, runtime: Runtime
) -> None:
    found = models(planned(runtime, make(tmp_path, benchmark=Coser())))
    next_speaker = found["next_speaker"]
    assert next_speaker.basis.startswith("the probe")
    assert next_speaker.new_tokens.expected == pytest.approx(30 * next_speaker.calls.expected, rel=0.1)


@dataclass(frozen=True)
class OneAtATime(StubOptions):
    """Of engines that take nearly all of the GPUs' memory."""

    name: str = ""
    loaded: ClassVar[list[str]] = []

    def build(self, source: ModelSource, lora: LoraNeed) -> StubEngine:
        return _OneAtATime(self, source, lora)


class _OneAtATime(StubEngine):
    def takes(self) -> Taken:
        return Taken(GPUS, 0.9)

    async def start(self) -> None:
        if not self.loads:
            assert not OneAtATime.loaded
            OneAtATime.loaded.append(self.options.name)
        await super().start()

    async def close(self) -> None:
        if self.loads:
            OneAtATime.loaded.remove(self.options.name)
        self.loads = 0


def test_engines_of_other_models_are_closed_before_the_next_one_is_loaded(tmp_path: Path, runtime: Runtime) -> None:
    x, y, z = (OneAtATime(name=name, script=f"{__name__}:of_its_length") for name in "xyz")
    judge = VoiceJudge(source=ZOO, engine=z, sampling=Sampling(max_tokens=96))
    one, two, three = (
        make(tmp_path, model=Base(name=name, source=ZOO, sampling=Sampling(max_tokens=n)), engine=engine)
        for name, engine, n in (("a", x, 48), ("b", y, 64), ("c", x, 256))
    )
    few = make(tmp_path, limit=3).options
    found = planned(runtime, *(replace(each, judge=judge, options=few) for each in (one, two, three)))
    assert all("the probe" in model.basis for run in found.runs for model in run.models)
    assert OneAtATime.loaded == ["z"]


def test_a_probe_that_its_budget_cuts_off_tells_how_long_replies_are(tmp_path: Path, runtime: Runtime) -> None:
    user = Helper(sampling=Sampling(temperature=0.7, max_tokens=64))
    config = make(tmp_path, benchmark=Minimax(messages=6, runs=1, may_overflow=True, user=user))
    config = replace(config, options=replace(config.options, budget=BudgetOptions(calls=10)))
    found = planned(runtime, config)
    by_name = models(found)
    assert asked(tmp_path) == 10 and any("budget.calls=10 is spent" in note for note in found.notes)
    for who, words in (("model", 9), ("user", 21)):
        assert by_name[who].new_tokens.expected == pytest.approx(by_name[who].calls.expected * words, rel=0.2)


def test_what_failed_in_a_probe_is_said_and_tells_nothing(tmp_path: Path, runtime: Runtime) -> None:
    config = make(tmp_path, engine=StubOptions(fail=" "), limit=3)
    found = planned(runtime, config)
    assert models(found)["model"].basis == "the benchmark's own texts" and found.seconds is None
    (note,) = found.notes
    assert "3 of the probe's 3 conversations failed; the first: the stub refuses" in note
