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
OPENAI = {"_target_": "roleeval.engines.openai.OpenAIOptions", "base_urls": ["http://127.0.0.1:8000/v1"]}
VLLM = {"_target_": "roleeval.engines.vllm.VllmOptions"}
JUDGE = {"_target_": "roleeval.judging.RubricJudge"}
COSER = {"_target_": "roleeval.benchmarks.coser.Coser"}


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
        ({"run_name": ".."}, ["run_name", "'..'"]),
        ({"run_name": "."}, ["run_name", "'.'"]),
        ({"run_name": ".hidden"}, ["run_name", "'.hidden'"]),
        ({"run_name": "a/b"}, ["run_name", "a/b"]),
        ({"run_name": ""}, ["run_name"]),
        ({"run_name": "x" * 300}, ["run_name", "too long"]),
        ({"model__name": ".."}, ["model.name", "'..'"]),
        ({"model__name": "a\\b"}, ["model.name"]),
        ({"model__name": "a\nb"}, ["model.name", "control"]),
        ({"model__name": "a\x00b"}, ["model.name", "control"]),
        ({"model__name": " "}, ["model.name"]),
        ({"model__name": "零" * 100}, ["model.name", "too long"]),
        ({"limit": True}, ["limit", "not true or false"]),
        ({"limit": -1}, ["limit", "-1"]),
        ({"limit": 2.5}, ["limit", "2.5"]),
        ({"limit": [1]}, ["limit"]),
        ({"limit": float("nan")}, ["limit"]),
        ({"seed": True}, ["seed", "not true or false"]),
        ({"seeds": [True, 2]}, ["seeds", "not true or false"]),
        ({"fail_on_error": float("nan")}, ["fail_on_error", "nan"]),
        ({"fail_on_error": "inf"}, ["fail_on_error", "inf"]),
        ({"model__sampling": {"temperature": -1}}, ["model.sampling.temperature", "-1", "0 or more"]),
        ({"model__sampling": {"temperature": float("nan")}}, ["model.sampling.temperature", "nan"]),
        ({"model__sampling": {"temperature": "inf"}}, ["model.sampling.temperature", "inf"]),
        ({"model__sampling": {"top_p": 2}}, ["model.sampling.top_p", "2", "to 1"]),
        ({"model__sampling": {"top_p": 0}}, ["model.sampling.top_p", "above 0"]),
        ({"model__sampling": {"top_k": -1}}, ["model.sampling.top_k", "-1"]),
        ({"model__sampling": {"repetition_penalty": 0}}, ["model.sampling.repetition_penalty"]),
        ({"model__sampling": {"max_tokens": 0}}, ["model.sampling.max_tokens", "1 or more"]),
        ({"model__sampling": {"stop": [""]}}, ["model.sampling.stop", "empty string"]),
        ({"engine__delay_s": float("inf")}, ["engine.delay_s", "inf"]),
        ({"engine": OPENAI | {"timeout_s": float("nan")}}, ["engine.timeout_s", "nan"]),
        ({"engine": OPENAI | {"timeout_s": "inf"}}, ["engine.timeout_s", "inf"]),
        ({"engine": OPENAI | {"timeout_s": -1}}, ["engine.timeout_s", "-1"]),
        ({"engine": OPENAI | {"backoff_base_s": -1}}, ["engine.backoff_base_s", "-1"]),
        ({"engine": OPENAI | {"base_urls": ["http://host:99999/v1"]}}, ["engine.base_urls", "65535"]),
        ({"engine": OPENAI | {"base_urls": ["http://host:http/v1"]}}, ["engine.base_urls", "port"]),
        ({"engine": OPENAI | {"base_urls": ["http://host:0/v1"]}}, ["engine.base_urls", "port"]),
        ({"engine": OPENAI | {"base_urls": ["http://[::1/v1"]}}, ["engine.base_urls"]),
        ({"engine": OPENAI | {"base_urls": ["http://a b/v1"]}}, ["engine.base_urls", "white space"]),
        ({"engine": OPENAI | {"extra_body": {"x": float("nan")}}}, ["engine.extra_body.x", "nan"]),
        ({"engine": VLLM | {"gpu_memory_utilization": 1.5}}, ["engine.gpu_memory_utilization", "1.5"]),
        ({"engine": VLLM | {"max_model_len": 0}}, ["engine.max_model_len", "0"]),
        ({"judge": JUDGE | {"attempts": 0}}, ["judge.attempts", "0"]),
        ({"judge": JUDGE | {"retry_temperature": -1}}, ["judge.retry_temperature", "-1"]),
        ({"judge": JUDGE | {"sampling": {"top_p": 2}}}, ["judge.sampling.top_p", "2"]),
        ({"judge": JUDGE | {"engine": OPENAI | {"timeout_s": 0}}}, ["judge.engine.timeout_s", "0"]),
        ({"judge": JUDGE | {"prices": {"m": {"input": -1, "output": 1}}}}, ["judge.prices", "input", "-1"]),
        ({"benchmark": COSER | {"protocol": {"sampling": {"temperature": -1}}}}, ["benchmark.protocol.sampling.temp"]),
        ({"benchmark": COSER | {"protocol": {"rounds": 0}}}, ["benchmark.protocol.rounds", "0"]),
        (
            {"benchmark": COSER | {"environment": "zoo"}},
            ["benchmark.environment: 'zoo' is invalid", "environment.KEY="],
        ),
        ({"limit": 10**400}, ["limit: 1000", "1 or more"]),
        ({"model__sampling": {"max_tokens": 10**30}}, ["model.sampling.max_tokens", "1 or more"]),
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
