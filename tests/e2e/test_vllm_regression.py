"""The project's own gate: the small models through the real vLLM, against the baseline in tests/gate.

A change that is meant to move these numbers writes the baseline anew (docs/regression.md):
    python run_eval.py -m model=zoo_base,zoo_shared_lora benchmark=rolebench judge=zoo_voice limit=40 results_dir=r
    roleeval regress --save tests/gate/zoo.json.gz r
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.resources import zoo_path
from roleeval.testing import assert_no_regression
from tests.e2e.conftest import ROOT, Start

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
GATE = ROOT / "tests" / "gate"
RUN = ("benchmark=rolebench", "judge=zoo_voice", "limit=40", "progress=quiet")


def test_the_small_models_pass_and_a_swapped_adapter_fails(tmp_path: Path, start: Start) -> None:
    models = ("-m", "model=zoo_base,zoo_shared_lora", "results_dir=now")
    other = zoo_path("independent_lora") / "Don Quixote"
    swapped = ("model=zoo_shared_lora", f"model.adapter_path={other}", "results_dir=swapped")
    process = start(*models, *RUN, "--then", *swapped, *RUN)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output[-3000:]
    found = assert_no_regression(tmp_path / "now", baseline=GATE / "zoo.json.gz", policy=GATE / "policy.yaml")
    assert [model.samples for model in found.models] == [160, 160]
    command = ["regress", "--baseline", GATE / "zoo.json.gz", tmp_path / "swapped", "--policy", GATE / "policy.yaml"]
    done = CliRunner().invoke(app, [*map(str, command), "--out", str(tmp_path / "gate.md")])
    assert done.exit_code == 1, done.output
    assert "In the role's voice" in (tmp_path / "gate.md").read_text()
