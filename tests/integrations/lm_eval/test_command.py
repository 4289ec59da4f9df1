"""`lm_eval --model roleeval`: lm-eval's own command line on our models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from replay import evaluate

from roleeval.errors import ConfigError
from tests.engines.conftest import make_model

LOCAL = Path(__file__).parents[2] / "support" / "lm_eval_local"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


def test_the_registered_model_takes_our_configuration(model_folder: Path, tmp_path: Path) -> None:
    from lm_eval.api.registry import get_model

    import roleeval.integrations.lm_eval.command  # noqa: F401  # registers it

    arguments = f"model=base,model.source.path={model_folder},engine=hf,engine.dtype=float32,results_dir={tmp_path}"
    lm = get_model("roleeval").create_from_arg_string(
        f"{arguments},role=Sherlock Holmes,description=A detective", {"batch_size": 1, "device": "cuda:0"}
    )
    found = evaluate(lm, ["local_choose", "local_write"], LOCAL, limit=2)
    prompt, _ = found["samples"]["local_write"][0]["arguments"][0]
    assert "<|im_start|>system\nYou are Sherlock Holmes" in prompt and "A detective" in prompt
    assert found["results"]["local_choose"]["acc,none"] in (0.0, 0.5, 1.0)
    assert (tmp_path / ".store" / "completions.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "nosuch"}, "nosuch"),
        ({"model.nosuch": 1}, "nosuch"),
        ({"model": "base", "model.source.path": "x", "description": "d"}, "benchmark.description"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, object], message: str) -> None:
    from roleeval.integrations.lm_eval.command import RoleEvalLM

    with pytest.raises(ConfigError, match=message):
        RoleEvalLM(**{"engine": "hf", **arguments})


@pytest.mark.parametrize("key", ["engine.api_key", "engine.api_keyy", "model.nosuch", "engine.base_ulr"])
def test_no_argument_is_repeated(key: str) -> None:
    from roleeval.integrations.lm_eval.command import RoleEvalLM

    with pytest.raises(ConfigError) as caught:
        RoleEvalLM(**{"engine": "hf", key: "hunter2canary"})
    assert key in str(caught.value)
    assert "hunter2canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.slow
def test_the_stock_command_line_runs_our_model(root: Path, model_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "roleeval.integrations.lm_eval.command", "run", "--model", "roleeval"]
    command += ["--model_args", f"model=base,model.source.path={model_folder},engine=hf,engine.dtype=float32"]
    command += ["--include_path", str(LOCAL), "--tasks", "local_choose,local_write", "--apply_chat_template"]
    command += ["--log_samples", "--output_path", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "out").rglob("results_*.json")
    assert set(json.loads(results.read_text())["results"]) == {"local_choose", "local_write"}
    assert len(list((tmp_path / "out").rglob("samples_*.jsonl"))) == 2
