"""The door: a wrong configuration ends in one sentence that names the key, and no credential gets through."""

from typing import Any

import pytest

from roleeval.config import (
    RunOptions,
    as_config,
    build,
    masked,
    parse_config,
    refuse_secret_arguments,
    refuse_secrets,
    seed_runs,
)
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.models import Api

CANARY = "sk-canary0123456789abcdef"


def config(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "benchmark": {"_target_": "roleeval.benchmarks.rolebench.RoleBench"},
        "model": {"_target_": "roleeval.models.Base", "name": "m", "source": {"path": "folder"}},
        "engine": {"_target_": "roleeval_stubs.StubOptions"},
        "metrics": {"empty": {"_target_": "roleeval.metrics.EmptyRate"}},
    }
    for dotted, value in changes.items():
        node = base
        *path, last = dotted.split("__")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return base


def test_a_good_configuration_becomes_typed_objects() -> None:
    parsed = parse_config(config(model__sampling={"temperature": 0.5, "stop": ["\n"]}, seed=3))
    assert parsed.model.sampling.stop == ("\n",)
    assert parsed.options == RunOptions(seed=3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benchmark__splits": ["eng_spcific"]}, ["benchmark.splits", "eng_spcific", "eng_specific", "zh_general"]),
        ({"benchmark__spltis": []}, ["benchmark.spltis", "unknown key", "splits", "data_dir"]),
        ({"benchmark__splits": []}, ["benchmark.splits", "empty"]),
        ({"benchmark__on_error": "ignore"}, ["benchmark.on_error", "raise", "skip"]),
        ({"model__sampling": {"temprature": 1}}, ["model.sampling.temprature", "temperature"]),
        ({"model__sampling": {"temperature": "hot"}}, ["model.sampling.temperature", "hot"]),
        ({"model__source": {}}, ["model.source.path", "not set"]),
        ({"model__source": {"path": "???"}}, ["model.source.path"]),
        ({"model__name": "a/b"}, ["model.name", "a/b"]),
        ({"engine__delay_s": "slow"}, ["engine.delay_s", "slow"]),
        ({"engine___target_": "roleeval.nothing.X"}, ["engine._target_", "roleeval.nothing.X"]),
        ({"engine___target_": "roleeval.seeds.derive_seed"}, ["engine._target_", "not a dataclass"]),
        ({"metrics__x": {"_target_": "roleeval.metrics.EmptyRate", "n": 1}}, ["metrics.x.n", "unknown key"]),
        ({"limit": 0}, ["limit", "0"]),
        ({"limit": "many"}, ["limit", "many"]),
        ({"stages": ["judge_it"]}, ["stages", "judge_it", "generate", "score"]),
        ({"stages": []}, ["stages", "generate"]),
        ({"fail_on_error": 5}, ["fail_on_error", "0 to 1"]),
        ({"run_name": "../x"}, ["run_name", "../x"]),
        ({"max_in_flight": 0}, ["max_in_flight"]),
        ({"seed": 1, "seeds": [2, 3]}, ["seed=1", "seeds=[2, 3]", "both set"]),
        ({"seeds": []}, ["seeds", "empty"]),
        ({"seeds": [1, 2, 1]}, ["seeds", "duplicate"]),
        ({"seeds": ["one"]}, ["seeds", "one"]),
        ({"seeds": [1, 2], "run_name": "mine"}, ["run_name", "mine", "seeds"]),
        ({"model": None}, ["model", "missing"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(config(**changes))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "node",
    [
        {"engine": {"api_key": "anything-at-all"}},
        {"engine": {"api_key_env": CANARY}},
        {"model": {"sampling": {"stop": [f"Bearer {CANARY}"]}}},
        {"engine": {"extra": {"hf_token": "hf_abcdefghijklmnopqrstuv"}}},
    ],
)
def test_a_literal_credential_is_refused_without_repeating_it(node: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_secrets(node)
    assert "canary" not in str(caught.value) and "anything" not in str(caught.value)
    assert "environment variable" in str(caught.value)


def test_a_literal_credential_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError):
        refuse_secret_arguments(["seed=1", f"+engine.api_key={CANARY}"])


def test_the_name_of_a_variable_is_no_credential() -> None:
    refuse_secrets({"engine": {"api_key_env": "OPENAI_API_KEY", "max_tokens": 5}, "model": {"name": "task-sk-model"}})


def test_masking_keeps_everything_else() -> None:
    assert masked({"a": {"password": "x", "b": [1, CANARY]}}) == {"a": {"password": "***", "b": [1, "***"]}}


def test_numbers_are_not_cut_to_fit() -> None:
    with pytest.raises(ConfigError, match="limit"):
        build(RunOptions, {"limit": 2.5}, "")


def test_several_seeds_are_a_run_each_that_differ_in_nothing_else() -> None:
    parsed = parse_config(config(seeds=[4, 5], seed=None))
    runs = seed_runs(parsed)
    assert [run.options for run in runs] == [RunOptions(seed=4), RunOptions(seed=5)]
    assert all(run.model is parsed.model and run.benchmark is parsed.benchmark for run in runs)
    for run in runs:
        assert parse_config(as_config(run)) == run  # config.yaml repeats the run


def test_one_seed_is_one_run() -> None:
    parsed = parse_config(config(seed=None, seeds=None))
    assert seed_runs(parsed) == [parsed] and parsed.options.seed == 1
    assert as_config(parsed)["seed"] == 1


def test_a_served_name_with_a_slash_is_a_models_name() -> None:
    model = Api(name="Qwen/Qwen3-8B", source=ModelSource("Qwen/Qwen3-8B"))
    assert (model.name, model.source.path) == ("Qwen--Qwen3-8B", "Qwen/Qwen3-8B")
    with pytest.raises(ConfigError, match="without '/'"):
        Api(name="my/model", source=ModelSource("Qwen/Qwen3-8B"))
