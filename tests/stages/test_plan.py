"""A plan says what a run will ask: its numbers are those of the run, or bounds that hold."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roleeval_stubs import StubOptions

from roleeval.benchmarks import Helper
from roleeval.benchmarks.coser import Coser
from roleeval.benchmarks.minimax import Minimax
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import BudgetOptions, ModelSource, Price
from roleeval.engines.chat import load_tokenizer, prompt_token_ids
from roleeval.engines.openai import OpenAIOptions
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError
from roleeval.judging import PairwiseJudge, VoiceJudge
from roleeval.metrics import AnswerLength
from roleeval.models import Api, Base
from roleeval.resources import zoo_path
from roleeval.stages.plan import Plan, RunPlan, plan
from roleeval.stages.plan_file import keep
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Request, Sampling

ZOO = ModelSource(str(zoo_path("base")))


def make(folder: Path, **changes: Any) -> RunConfig:
    options = {key: changes.pop(key) for key in ("limit", "seed", "prices", "budget", "stages") if key in changes}
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general", "zh_specific")),
        model=Base(name="zoo", source=ZOO, sampling=Sampling(max_tokens=64)),
        engine=StubOptions(),
        metrics={"length": AnswerLength()},
        options=RunOptions(results_dir=str(folder), progress="quiet", **{"limit": 6, **options}),
    )
    return replace(config, **changes)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    found = Runtime()
    yield found
    found.close()


def planned(runtime: Runtime, *configs: RunConfig, **options: Any) -> Plan:
    return runtime.execute(lambda: plan(configs, runtime, **options))


def execute(runtime: Runtime, config: RunConfig) -> RunOutcome:
    return runtime.execute(lambda: run(config, runtime))


def who(found: RunPlan) -> list[str]:
    return [model.who for model in found.models]


def test_single_answers_are_planned_exactly_and_nothing_is_loaded_or_stored(tmp_path: Path, runtime: Runtime) -> None:
    config = make(tmp_path)
    (found,) = planned(runtime, config).runs
    (model,) = found.models
    tokenizer = load_tokenizer(ZOO)
    benchmark = config.benchmark
    sent = [
        Request(config.model.messages(opening.system, opening.history), Sampling(), 0)
        for sample in benchmark.samples(limit=6)
        for opening in benchmark.openings(sample, None)  # type: ignore[attr-defined]
    ]
    exact = sum(len(prompt_token_ids(tokenizer, request, prompts=Prompts(ZOO))) for request in sent)
    assert (model.calls.low, model.calls.expected, model.calls.most) == (12, 12, 12)
    assert model.prompt_tokens.low == model.prompt_tokens.most == exact
    assert 12 <= model.new_tokens.low < model.new_tokens.expected < model.new_tokens.most == 12 * 64
    assert model.basis == "the benchmark's own texts" and not list(tmp_path.iterdir())


def test_stored_answers_are_deducted_and_tell_how_long_the_others_will_be(tmp_path: Path, runtime: Runtime) -> None:
    execute(runtime, make(tmp_path, budget=BudgetOptions(calls=5)))
    (rest,) = planned(runtime, make(tmp_path)).runs
    (model,) = rest.models
    assert (model.calls.low, model.calls.most, model.stored[0]) == (7, 7, 5)
    assert model.basis.startswith("earlier results (zoo/seed1-")
    assert model.new_tokens.low == model.new_tokens.expected == 7 * 8  # as the stub counts them, whatever it wrote
    execute(runtime, make(tmp_path))
    (nothing,) = planned(runtime, make(tmp_path)).runs
    assert nothing.models[0].calls.most == 0 and nothing.models[0].basis == "finished already"


def test_a_run_that_is_only_to_be_judged_has_its_judges_calls_alone(tmp_path: Path, runtime: Runtime) -> None:
    judge = VoiceJudge(source=ZOO, sampling=Sampling(max_tokens=16))
    later = make(tmp_path, judge=judge, stages=("judge",))
    with pytest.raises(ConfigError, match=r"stages=\[judge\]: no finished run of zoo.*generate first"):
        planned(runtime, later)
    execute(runtime, make(tmp_path))
    model, judged = planned(runtime, later).runs[0].models
    assert model.calls.most == 0 and judged.calls.expected > 0


def test_seeds_and_sweeps_are_planned_together_with_each_pair_judged_once(tmp_path: Path, runtime: Runtime) -> None:
    judge = PairwiseJudge(source=ZOO, controls=0)
    three = [
        make(
            tmp_path,
            model=Base(name=name, source=ZOO, sampling=Sampling(max_tokens=tokens)),
            engine=StubOptions(script="scripted:of_its_length"),
            judge=judge,
        )
        for name, tokens in (("a", 8), ("b", 16), ("c", 32))
    ]
    found = planned(runtime, *three)
    asked = [model.calls.expected for each in found.runs for model in each.models if model.who.startswith("judge")]
    pairs = 12 * 2 * 3  # samples, orders, pairs of runs
    assert sum(asked) == pairs
    for each in three:
        execute(runtime, each)
    for each in three:
        execute(runtime, replace(each, options=replace(each.options, stages=("judge",))))
    store = runtime.store(three[0].options)
    most = sum(model.calls.most for each in found.runs for model in each.models)
    assert 3 * 12 + pairs <= store.count() <= most


def test_repeats_and_controls_of_a_judge_are_counted(tmp_path: Path, runtime: Runtime) -> None:
    judge = VoiceJudge(source=ZOO, sampling=Sampling(temperature=0.5, max_tokens=16), samples_per_item=2, attempts=3)
    (plain,) = planned(runtime, make(tmp_path, judge=judge)).runs
    (more,) = planned(runtime, make(tmp_path, judge=replace(judge, controls=2))).runs
    own = next(model for model in plain.models if model.who == "judge zoo_voice")
    assert own.calls.most == 3 * own.calls.expected and own.new_tokens.most == 16 * own.calls.most
    single = planned(runtime, make(tmp_path, judge=replace(judge, samples_per_item=1))).runs[0].models[1]
    assert own.calls.expected == 2 * single.calls.expected
    assert "judge zoo_voice, controls" in who(more)


@pytest.mark.parametrize("benchmark", [Coser(), Minimax(messages=6, runs=1, may_overflow=True)])
def test_conversations_lie_within_their_range(tmp_path: Path, runtime: Runtime, benchmark: Any) -> None:
    config = make(tmp_path, benchmark=benchmark, limit=2)
    (found,) = planned(runtime, config).runs
    manifest = execute(runtime, config).folder.manifest()
    assert manifest is not None
    calls = sum(model.calls.low for model in found.models), sum(model.calls.most for model in found.models)
    assert calls[0] <= runtime.store(config.options).count() <= calls[1]
    assert calls[1] <= benchmark.longest * found.conversations
    (again,) = planned(runtime, replace(config, options=replace(config.options, seed=2))).runs
    expected = sum(model.calls.expected for model in again.models)
    assert expected == pytest.approx(runtime.store(config.options).count(), rel=0.1)


def test_each_pair_of_models_without_results_is_judged_once_in_both_orders(tmp_path: Path, runtime: Runtime) -> None:
    """Their replies are made up of the same texts, and nobody compares equal answers."""
    judge = PairwiseJudge(source=ZOO, engine=StubOptions(), sampling=Sampling(max_tokens=64))
    models = [Base(name=name, source=ZOO, sampling=Sampling(max_tokens=64)) for name in ("one", "two", "three")]
    runs = planned(runtime, *(make(tmp_path, model=model, judge=judge) for model in models)).runs
    calls = [model.calls.expected for each in runs for model in each.models if model.who.startswith("judge")]
    assert sum(calls) == 12 * 3 * 2  # samples, pairs, orders
    assert runs[0].models[0].calls.expected == 12


def test_some_conversations_stand_for_all(tmp_path: Path, runtime: Runtime) -> None:
    user = Helper(sampling=Sampling(temperature=0.7, max_tokens=64))
    config = make(tmp_path, benchmark=Minimax(messages=4, runs=3, may_overflow=True, user=user), limit=None)
    (some,), (all_of_them,) = (planned(runtime, config, episodes=n).runs for n in (4, None))
    assert some.rehearsed == 4 < some.conversations == all_of_them.rehearsed
    calls = [sum(model.calls.expected for model in each.models) for each in (some, all_of_them)]
    tokens = [sum(model.prompt_tokens.expected for model in each.models) for each in (some, all_of_them)]
    assert calls[0] == calls[1] and tokens[0] == pytest.approx(tokens[1], rel=0.25)


def test_a_pilots_answers_are_deducted_once_and_not_for_the_conversations_that_stand_for_others(
    tmp_path: Path, runtime: Runtime
) -> None:
    user = Helper(sampling=Sampling(temperature=0.7, max_tokens=64))
    config = make(tmp_path, benchmark=Minimax(messages=4, runs=3, may_overflow=True, user=user), limit=None)
    execute(runtime, replace(config, options=replace(config.options, limit=1)))
    pilot = runtime.store(config.options).count()
    (found,) = planned(runtime, config, episodes=8).runs
    assert sum(model.stored[0] for model in found.models) == pytest.approx(pilot)
    assert sum(model.calls.expected for model in found.models) == pytest.approx(4 * found.conversations - pilot)


def test_the_manifest_has_the_plan_beside_what_became_of_it(tmp_path: Path, runtime: Runtime) -> None:
    from dataclasses import asdict

    config = make(tmp_path, judge=VoiceJudge(source=ZOO, sampling=Sampling(max_tokens=16)))
    (found,) = planned(runtime, config).runs
    keep(config, asdict(found))
    manifest = execute(runtime, config).folder.manifest()
    assert manifest is not None
    compared = manifest.session["plan"]
    assert compared["calls"] == {"planned": {"low": 12, "expected": 12, "most": 12}, "actual": 12}
    assert compared["new_tokens"]["actual"] == manifest.tokens["output"]
    (record,) = manifest.judge_records.values()
    assert record.session["plan"]["calls"]["actual"] == record.questions * 3  # the stub's replies are unusable
    other = execute(runtime, make(tmp_path, seed=3)).folder.manifest()
    assert other is not None and "plan" not in other.session


def test_an_endpoint_is_counted_by_characters_and_priced_where_there_is_a_price(
    tmp_path: Path, runtime: Runtime
) -> None:
    served = OpenAIOptions(base_urls=("http://127.0.0.1:9/v1",))
    api = Api(name="x", source=ModelSource("x-large"), sampling=Sampling(max_tokens=64))
    config = make(tmp_path, engine=served, model=api)
    found = planned(runtime, config)
    (model,) = found.runs[0].models
    assert "by characters" in model.counted and model.calls.most == 12
    local = planned(runtime, make(tmp_path)).runs[0].models[0].prompt_tokens.expected
    assert 0 < model.prompt_tokens.low < model.prompt_tokens.expected < model.prompt_tokens.most and local
    assert found.usd is None and found.unpriced == ("x-large",)
    priced = planned(runtime, make(tmp_path, engine=served, model=api, prices={"x-large": Price(1.0, 2.0)}))
    tokens = priced.runs[0].models[0]
    assert priced.usd is not None and not priced.unpriced
    assert priced.usd.expected == pytest.approx((tokens.prompt_tokens.expected + 2 * tokens.new_tokens.expected) / 1e6)
    assert found.seconds is None and found.memory == ()


def test_what_engines_hold_comes_from_headers(tmp_path: Path, runtime: Runtime) -> None:
    (held,) = planned(runtime, make(tmp_path)).memory
    files = sum(file.stat().st_size for file in Path(ZOO.path).glob("*.safetensors"))
    assert held.weights is not None and held.weights.expected == files
    assert held.kv is not None and 0 < held.kv.low <= held.kv.expected <= held.kv.most


def test_time_comes_from_a_named_pace_or_a_probe_whose_answers_are_kept(tmp_path: Path, runtime: Runtime) -> None:
    named = planned(runtime, make(tmp_path), tokens_per_second=100.0)
    assert named.seconds is not None
    assert named.seconds.most == pytest.approx(12 * 64 / 100) and "as given" in named.pace
    assert planned(runtime, make(tmp_path)).seconds is None
    probed = planned(runtime, make(tmp_path), probes=True)
    assert probed.seconds is not None and probed.seconds.expected > 0 and "answers are kept" in probed.pace
    assert runtime.store(make(tmp_path).options).count() == 12


def test_a_budget_that_ends_the_command_early_is_said(tmp_path: Path, runtime: Runtime) -> None:
    def notes(**limits: Any) -> tuple[str, ...]:
        more = {"budget": BudgetOptions(**limits), "prices": {ZOO.path: Price(1, 1)}}
        configs = [make(tmp_path, seed=seed, **more) for seed in (1, 2)]
        return planned(runtime, *configs).notes

    (said,) = notes(calls=20)
    assert "budget.calls=20 will end the command before it is done: 24 are expected" in said
    assert notes(calls=24) == () and "budget.usd=0.005 may end" in notes(usd=0.005)[0]


def test_half_the_budget_widens_the_interval(tmp_path: Path, runtime: Runtime) -> None:
    unknown = planned(runtime, make(tmp_path)).runs[0].exactness
    assert "no earlier scores" in unknown.basis and unknown.whole.samples == 12 and unknown.half.samples == 6
    execute(runtime, make(tmp_path))
    known = planned(runtime, make(tmp_path, limit=12)).runs[0].exactness
    assert known.basis.startswith("scores of zoo/")
    assert known.whole.half_width is not None and known.half.half_width is not None
    assert known.whole.half_width <= known.half.half_width


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": Base(name="m", source=ModelSource("no/such-model"))},
            "source.path=no/such-model: no tokenizer",
        ),
        ({"benchmark": RoleBench(data_dir="/no/such/folder")}, "/no/such/folder"),
    ],
)
def test_what_cannot_be_planned_is_named(
    tmp_path: Path, runtime: Runtime, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(Exception, match="no") as raised:
        planned(runtime, make(tmp_path, **changes))
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_plan_of_chosen_clusters_is_of_their_samples(tmp_path: Path, runtime: Runtime) -> None:
    whole = make(tmp_path)
    clusters = [sample.cluster for sample in whole.benchmark.samples(limit=6)]
    some = replace(whole, options=replace(whole.options, clusters=(clusters[0],)))
    (found,) = planned(runtime, some).runs
    assert found.conversations == clusters.count(clusters[0]) < len(clusters)
    assert found.key != planned(runtime, whole).runs[0].key
