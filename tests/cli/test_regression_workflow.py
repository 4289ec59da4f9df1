"""The example workflow: what it names is there, and its scripts are shell."""

import subprocess
from pathlib import Path

import pytest
import yaml

from roleeval.report.regress import read_baseline, read_policy

WORKFLOW = Path(".github") / "workflows" / "regression.yml"


@pytest.fixture(scope="module")
def workflow(root: Path) -> dict[object, object]:
    if not (root / WORKFLOW).is_file():
        pytest.skip("no .github in this copy of the project (the sdist has none)")
    loaded: dict[object, object] = yaml.safe_load((root / WORKFLOW).read_text(encoding="utf-8"))
    return loaded


def test_its_baseline_and_policy_are_those_of_its_run(root: Path, workflow: dict[str, dict[str, str]]) -> None:
    env = workflow["env"]
    baseline = read_baseline(root / env["BASELINE"])
    read_policy(root / env["POLICY"])
    assert [run.model for run in baseline] == env["MODELS"].split(",")
    for run in baseline:
        assert f"benchmark={run.benchmark} " in env["RUN"] and len(run.asked_samples) == 160
        assert any("judge/zoo_voice@" in metric for metric in run.infos) and not run.spoken


def test_its_scripts_are_shell(workflow: dict[str, dict[str, dict[str, list[dict[str, str]]]]]) -> None:
    scripts = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    assert len(scripts) >= 5
    for script in scripts:
        plain = script.replace("${{ steps.gate.outputs.code }}", "3")
        assert "${{" not in plain  # values reach scripts through env alone
        done = subprocess.run(["bash", "-n", "-c", plain], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
