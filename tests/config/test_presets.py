"""Presets: an experiment that composes to other decoding than its paper's gives numbers that reproduce nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from roleeval.config import parse_config, seed_runs
from roleeval.resources import fetched_models

ROOT = Path(__file__).parents[2]
HYCORA = ["model.source.path=base", "model.checkpoint=c", "model.roles=r"]
PATHS = {
    "rolebench_en_hycora": HYCORA,
    "rolebench_zh_hycora": HYCORA,
    "rolebench_en_hycora_lora": ["model.source.path=base", "model.adapter_path=a"],
    "rolebench_zh_hycora_lora": ["model.source.path=base", "model.adapter_path=a"],
    "rar": ["model.source.path=base", "model.adapter_path=a"],
    "her": ["model.source.path=base"],
    "coser_paper": ["model.source.path=base"],
    "coser_her": ["model.source.path=base"],
}


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


def composed(*overrides: str) -> dict[str, Any]:
    node: Any = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    return dict(node)


def experiment(name: str) -> dict[str, Any]:
    return composed(f"experiment={name}", *PATHS[name])


def test_every_experiment_is_checked_here_and_is_a_run() -> None:
    assert {p.stem for p in (ROOT / "conf" / "experiment").glob("*.yaml")} == {
        *PATHS,
        *("zoo_scenes", "zoo_sessions", "real_scenes", "real_sessions"),
    }
    for name in PATHS:
        parse_config(experiment(name))
    sessions = parse_config(composed("experiment=zoo_sessions"))
    assert sessions.judge is not None and sessions.benchmark.runs == 1  # both sides are greedy


@pytest.mark.parametrize("name", ["real_scenes", "real_sessions"])
def test_the_presets_of_the_fetched_model_play_and_judge_with_it_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (fetched_models() / "smollm2-135m").mkdir(parents=True)  # as if it had been fetched
    run = parse_config(composed(f"experiment={name}"))
    assert Path(run.model.source.path).name.endswith("smollm2-135m")
    assert run.model.sampling.max_tokens == 64 and run.judge is not None and run.judge.source is None


@pytest.mark.parametrize("name", sorted(PATHS))
def test_an_experiment_says_what_it_reproduces_and_leaves_the_paths_to_the_user(name: str) -> None:
    text = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n# ") and "\n# Source: " in text
    assert OmegaConf.is_missing(compose("config", [f"experiment={name}"]).model.source, "path")


def test_hycoras_english_set_up() -> None:
    run = parse_config(experiment("rolebench_en_hycora"))
    sampling = run.model.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (0.7, 0.9, 40, 512)
    assert (run.model.prompt_format, run.model.system_prompt) == ("llama", "none")
    assert (run.options.seed, run.benchmark.splits) == (42, ("eng_general", "eng_specific"))


def test_hycoras_chinese_set_up() -> None:
    run = parse_config(experiment("rolebench_zh_hycora"))
    sampling = run.model.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (0.95, 0.7, 50, 100)
    assert (run.model.prompt_format, run.options.seed) == ("qwen2", 42)
    assert run.benchmark.splits == ("zh_general", "zh_specific")


@pytest.mark.parametrize(("language", "prompts"), [("en", "llama_lora"), ("zh", "qwen2_lora")])
def test_hycoras_baselines_differ_from_its_networks_in_model_and_prompt_alone(language: str, prompts: str) -> None:
    network = parse_config(experiment(f"rolebench_{language}_hycora"))
    baseline = parse_config(experiment(f"rolebench_{language}_hycora_lora"))
    assert (baseline.model.family, baseline.model.prompt_format) == ("shared_lora", prompts)
    assert baseline.model.system_prompt == "persona"
    assert baseline.model.sampling == network.model.sampling
    assert (baseline.options.seed, baseline.benchmark.splits) == (network.options.seed, network.benchmark.splits)


def test_rars_set_up() -> None:
    run = parse_config(experiment("rar"))
    sampling, engine = run.model.sampling, run.engine
    assert (run.model.family, sampling.temperature, sampling.top_p, sampling.max_tokens) == ("rar", 0.6, 0.95, 4096)
    assert sampling.stop == ("<|eot_id|>", "<|reserved_special_token")
    assert (engine.dtype, engine.max_model_len, engine.max_num_seqs, engine.max_lora_rank) == (
        "bfloat16",
        8000,
        100,
        128,
    )
    assert [one.options.seed for one in seed_runs(run)] == [1, 2, 3]


def test_hers_set_up() -> None:
    run = parse_config(experiment("her"))
    sampling = run.model.sampling
    assert (run.model.family, sampling.temperature, sampling.top_p, sampling.max_tokens) == ("her", 0.7, 0.9, 1024)
    assert (run.model.prefill, sampling.stop) == ("<system_thinking>", ("<|im_end|>",))
    assert len(seed_runs(run)) == 3


def test_cosers_set_up() -> None:
    run = parse_config(experiment("coser_paper"))
    rules, sampling = run.benchmark.protocol, run.model.sampling
    assert (sampling.temperature, sampling.max_tokens, run.benchmark.continue_from) == (0.0, 512, 0)
    assert (rules.name, rules.rounds, rules.end_from, rules.word_limit) == ("paper", 20, 5, 60)
    assert (run.judge.name, run.judge.cap, run.judge.thoughts) == ("gca_paper", None, "hidden")
    asked = [run.benchmark.environment.model, run.benchmark.next_speaker.model]
    assert [model.name for model in asked] == ["gpt-4o", "CoSER-70B"]
    assert all(model.sampling == sampling for model in asked)
    assert (run.judge.source.path, run.judge.sampling.max_tokens, run.judge.sampling.temperature) == ("gpt-4o", 8196, 0)
    assert set(run.metrics) == {"overlap", "scene", "next_speaker", "cut_off"}


def test_hers_set_up_on_coser() -> None:
    run = parse_config(experiment("coser_her"))
    sampling, helper = run.model.sampling, run.benchmark.environment.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.7, 1.0, 4096)
    assert (run.model.prefill, run.model.history) == ("", "full")  # as its own evaluation sends it
    assert (helper.temperature, helper.max_tokens) == (0.7, 4096)
    assert (run.benchmark.protocol.name, run.judge.name, run.judge.thoughts) == ("her", "gca_her", "shown")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("paper", ("thought", "name", True, True, 60, "groups", 20, 512, 0.0, 64)),
        ("feb25", ("motivation", "name", True, True, 60, "cases", 20, 512, 0.0, 64)),
        ("head", ("motivation", "reasoned", False, True, 60, "cases", 20, 512, 0.0, None)),
        ("her", ("motivation", "reasoned", False, False, 200, "cases", 10, 4096, 0.7, None)),
    ],
)
def test_every_protocol_of_coser(name: str, expected: tuple[Any, ...]) -> None:
    rules = parse_config(composed("benchmark=coser", f"benchmark/protocol={name}")).benchmark.protocol
    assert rules.name == name and rules.motivation_keys[0] == expected[0]
    assert (
        rules.next_speaker_reply,
        rules.force_name,
        rules.merge_neighbours,
        rules.word_limit,
        rules.average,
        rules.rounds,
        rules.sampling.max_tokens,
        rules.sampling.temperature,
        rules.next_speaker_tokens,
    ) == expected[1:]


def test_metrics_follow_the_benchmark_and_can_be_chosen() -> None:
    assert set(composed("benchmark=coser")["metrics"]) == {"overlap", "scene", "next_speaker", "cut_off"}
    assert composed()["metrics"] == composed("metrics=default")["metrics"] == composed("benchmark=lm_eval")["metrics"]
    assert set(composed("benchmark=coser", "metrics=default")["metrics"]) == set(composed()["metrics"])


def test_an_experiment_can_be_overridden() -> None:
    run = parse_config(
        composed("experiment=rar", *PATHS["rar"], "seeds=null", "seed=7", "model.sampling.max_tokens=64")
    )
    assert (run.options.seed, run.options.seeds, run.model.sampling.max_tokens) == (7, None, 64)
    assert run.model.sampling.temperature == 0.6


@pytest.mark.filterwarnings("ignore:.*ConfigStore schema:UserWarning")
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("basic", "BasicLauncher"),
        ("joblib", "JoblibLauncher"),
        ("submitit_local", "LocalLauncher"),
        ("submitit_slurm", "SlurmLauncher"),
    ],
)
def test_every_launcher_composes_without_its_plugin(name: str, target: str) -> None:
    config = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True)
    assert config.hydra.launcher._target_.endswith(f".{target}")
