"""What a user of run_eval.py meets: exit codes, one-sentence errors, sweeps, skipping, no credential on disk."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from roleeval.resources import zoo_path
from tests.e2e.conftest import STUB, Start

RUN = (*STUB, "progress=quiet", "limit=6", "results_dir=r")
PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher.joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
}
CANARY = "sk-canary-0123456789abcdef"


def finish(start: Start, *arguments: str, **environment: str) -> tuple[int, str]:
    process = start(*arguments, **environment)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["benchmark.splitz=[zh_general]"], ["benchmark.splitz", "splits", "on_error"]),
        (["benchmark.splits=[zh]"], ["benchmark.splits", "zh_general"]),
        (["limt=3"], ["limt", "limit"]),
        (["limit=few"], ["limit", "few"]),
        (["model=zoo_bas"], ["zoo_bas", "zoo_base"]),
        (["engine.delay_s=x"], ["engine.delay_s"]),
        (["stages=[genrate]"], ["stages", "generate", "score"]),
        (["benchmark.data_dir=nowhere"], ["benchmark.data_dir", "nowhere"]),
        (["+frobnicate=1"], ["frobnicate", "unknown key"]),
        (["experiment=zoo_scenes", "judge=null"], ["judge=null", "stages=[generate,score]"]),
    ],
)
def test_a_wrong_command_line_ends_at_once_with_key_and_allowed_values(
    start: Start, arguments: list[str], words: list[str]
) -> None:
    code, output = finish(start, *RUN, *arguments)
    assert code != 0
    assert "Traceback" not in output
    for word in words:
        assert word in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["engine=openai"], ["engine.base_urls", "not set"]),
        (["engine=openai", "engine.base_urls=[http://127.0.0.1:9/v1]"], ["model.served=true", "engine=vllm"]),
        (["engine=vllm", "model.served=true"], ["served elsewhere", "engine=openai"]),
        (["engine=hf", "model.served=true"], ["served elsewhere", "engine=openai"]),
        (["engine=vllm", "model.source.path=zoo:bas"], ["zoo:bas", "shared_lora"]),
        (["engine=vllm", "model.adapter_path=nowhere"], ["nowhere", "adapter_config.json"]),
    ],
)
def test_an_impossible_combination_ends_before_anything_is_loaded(
    start: Start, arguments: list[str], words: list[str]
) -> None:
    code, output = finish(start, "progress=quiet", "results_dir=r", "model=zoo_shared_lora", *arguments)
    assert code == 1 and "Traceback" not in output
    for word in words:
        assert word in output


def test_a_literal_key_is_refused_and_reaches_no_file(tmp_path: Path, start: Start) -> None:
    for extra in ([f"+engine.api_key={CANARY}"], ["-m", f"+engine.api_key={CANARY}", "seed=1,2"]):
        code, output = finish(start, *RUN, *extra)
        assert code == 2 and "environment variable" in output and "canary" not in output
    leaked = [p for p in tmp_path.rglob("*") if p.is_file() and b"canary" in p.read_bytes()]
    assert leaked == []


def test_a_key_in_the_environment_reaches_no_file(tmp_path: Path, start: Start) -> None:
    code, output = finish(start, *RUN, OPENAI_API_KEY=CANARY, HF_TOKEN=CANARY)
    assert code == 0 and "canary" not in output
    assert [p for p in tmp_path.rglob("*") if p.is_file() and b"canary" in p.read_bytes()] == []


def test_the_same_command_again_is_skipped(start: Start) -> None:
    run = [argument for argument in RUN if argument != "progress=quiet"] + ["progress=log"]
    assert finish(start, *run)[0] == 0
    code, output = finish(start, *run)
    assert code == 0 and "skipped" in output


def test_a_failing_job_of_a_sweep_logs_its_cause_and_the_others_go_on(tmp_path: Path, start: Start) -> None:
    code, output = finish(
        start, "-m", *RUN, "seed=1,2", "engine.fail=What,NONE", "log_file=log.txt", "fail_on_error=0.1"
    )
    assert code == 1
    assert "2 of 4 jobs failed" in output and "the stub refuses 'What'" in output
    assert len(list((tmp_path / "r").rglob("manifest.json"))) == 2
    assert "the stub refuses 'What'" in (tmp_path / "log.txt").read_text()


def test_commands_in_one_run_after_the_other_and_fail_as_one(tmp_path: Path, start: Start) -> None:
    failing = ["-m", *RUN, "seed=1,2", "engine.fail=What", "fail_on_error=0.1"]
    code, output = finish(start, *failing, "--then", *RUN, "seed=3")
    assert code == 1
    assert "2 of 3 jobs failed" in output
    (manifest,) = (json.loads(file.read_text()) for file in (tmp_path / "r").rglob("manifest.json"))
    assert manifest["identity"]["seed"] == 3


def test_a_bad_adapter_ends_its_own_job_before_anything_is_loaded_and_no_other(tmp_path: Path, start: Start) -> None:
    good = zoo_path("shared_lora")
    edits = {"narrow": {"target_modules": ["q_proj"]}, "huge": {"r": 4096}, "bare": {"lora_alpha": None}}
    for name, edit in edits.items():
        folder = shutil.copytree(good, tmp_path / name)
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(config | edit))
    (tmp_path / "bare" / "adapter_config.json").write_bytes(b"\xff")
    common = ("engine=hf", "progress=quiet", "results_dir=r", "limit=1", "model.sampling.max_tokens=2")
    sweep = ("-m", "model=zoo_shared_lora", f"model.adapter_path=narrow,huge,bare,{good}", *common)
    code, output = finish(start, *sweep, "--then", "model=zoo_base", *common)
    assert code == 1 and "Traceback" not in output
    assert "3 of 5 jobs failed" in output
    assert f"{tmp_path / 'narrow'}/adapter_model.safetensors: tensor" in output
    assert "huge/adapter_model.safetensors: model.layers.0" in output and "says 4096" in output
    assert "bare/adapter_config.json: not valid JSON" in output
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "r").rglob("manifest.json")]
    assert sorted(manifest["model"]["family"] for manifest in manifests) == ["base", "shared_lora"]
    (effects,) = {json.dumps(manifest["engine"]["adapter_effects"]) for manifest in manifests}
    assert json.loads(effects)["without_effect"] == []
    assert list(json.loads(effects)["change"]) == ["shared_lora"]


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (["limt=3"], ["limt", "limit"]),
        (["model=zoo_bas"], ["zoo_bas", "zoo_base"]),
        ([f"+engine.api_key={CANARY}"], ["environment variable"]),
    ],
)
def test_a_wrong_later_command_ends_all_before_anything_runs(
    tmp_path: Path, start: Start, later: list[str], words: list[str]
) -> None:
    code, output = finish(start, *RUN, "--then", *RUN, *later)
    assert code == 2 and "Traceback" not in output and "canary" not in output
    for word in words:
        assert word in output
    assert not (tmp_path / "r").exists()


def test_several_seeds_are_one_command_and_a_folder_each(tmp_path: Path, start: Start) -> None:
    run = [*RUN, "seeds=[1,2,3]", "model.sampling.temperature=1"]
    code, output = finish(start, *run)
    assert code == 0 and "greedy" not in output
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "r").rglob("manifest.json")]
    assert sorted(manifest["identity"]["seed"] for manifest in manifests) == [1, 2, 3]
    assert {manifest["model"]["parameters"]["adapters"]["total"] for manifest in manifests} == {0}
    facts = next(line.split() for line in output.splitlines() if line.startswith("base  base"))
    assert facts[4] == "3" and "params per role seeds" in output  # one row for the three of them
    code, output = finish(start, *[a for a in run if a != "progress=quiet"], "progress=log")
    assert code == 0 and output.count("skipped") == 3


def test_one_failing_seed_does_not_stop_the_others(tmp_path: Path, start: Start) -> None:
    (tmp_path / "r" / "rolebench").mkdir(parents=True)
    assert finish(start, *RUN, "seeds=[1,2]")[0] == 0
    for file in sorted((tmp_path / "r").rglob("manifest.json"))[:1]:
        file.write_text("{")
    code, output = finish(start, *RUN, "seeds=[1,2]")
    assert code == 1 and "1 of 2 jobs failed" in output and "(seed 1)" in output


def test_several_seeds_of_a_greedy_run_are_warned_of(start: Start) -> None:
    code, output = finish(start, *RUN, "seeds=[1,2]")
    assert code == 0 and "greedy" in output


def test_a_launcher_without_its_plugin_names_the_extra(start: Start) -> None:
    if importlib.util.find_spec("hydra_plugins"):
        pytest.skip("the launcher plugins are installed here")
    code, output = finish(start, "-m", *RUN, "hydra/launcher=joblib", "seed=1,2")
    assert code == 2 and "roleeval[launchers]" in output and "Traceback" not in output


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_processes_of_their_own_report_to_the_command(tmp_path: Path, start: Start, launcher: str) -> None:
    pytest.importorskip(PLUGINS[launcher], reason="needs the extra `launchers`")
    code, output = finish(start, "-m", *RUN, "limit=0,6", f"hydra/launcher={launcher}")
    assert code == 1
    assert "1 of 2 jobs failed" in output and "limit: 0 is invalid" in output
    assert "answer_words" in output and len(list((tmp_path / "r").rglob("manifest.json"))) == 1


def test_a_lost_write_is_a_failure(tmp_path: Path, start: Start) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "rolebench").write_text("a file where a folder must be")
    code, output = finish(start, *RUN)
    assert code == 1 and "could not be written" in output and "Traceback" not in output


def test_a_store_that_is_damaged_is_a_failure(tmp_path: Path, start: Start) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"garbage" * 1000)
    code, output = finish(start, *RUN, "store=bad.sqlite")
    assert code == 1 and "not a usable store" in output


def test_the_manifest_says_where_the_numbers_come_from(tmp_path: Path, start: Start) -> None:
    assert finish(start, *RUN)[0] == 0
    (file,) = (tmp_path / "r").rglob("manifest.json")
    manifest = json.loads(file.read_text())
    assert manifest["benchmark"]["data"] == "embedded"
    assert len(manifest["benchmark"]["data_hash"]) == 64
    assert manifest["provenance"]["packages"]["rouge-score"]
    assert manifest["model"]["sampling"]["temperature"] == 0.0
    assert str(tmp_path) not in file.read_text()


def test_help_imports_nothing_heavy(start: Start) -> None:
    code, output = finish(start, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert code == 0
    loaded = {line.rsplit("|", 1)[-1].strip() for line in output.splitlines() if line.startswith("import time:")}
    assert not loaded & {"torch", "vllm", "pandas", "nltk", "numpy", "transformers", "pyarrow", "openai"}


def test_every_run_of_a_sweep_is_compared_with_every_other(tmp_path: Path, start: Start) -> None:
    code, output = finish(start, "-m", *RUN, "model=zoo_base,zoo_shared_lora", "judge=pairwise")
    assert code == 0, output
    columns = []
    for file in tmp_path.glob("r/rolebench/*/*/summary.json"):
        columns.append({name for name in json.loads(file.read_text())["metrics"] if name.startswith("judge/")})
    assert len(columns) == 2 and columns[0] == columns[1] and any(name.endswith("/overall/win") for name in columns[0])


def test_judging_alone_needs_a_judge(start: Start) -> None:
    code, output = finish(start, *RUN, "stages=[judge]")
    assert code == 1 and "judge=NAME" in output
