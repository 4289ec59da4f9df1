"""The recipe in docs/scale.md, run as it is written: two nodes, which are networks of their own on this machine."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, STUB

SUPPORT = ROOT / "tests" / "support"
# A network, processes and mounts of its own: `ray stop`, with which `ray symmetric-run` ends, ends all it can see.
OWN = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
# The second node joins while the first one's workers answer one call after the other.
SLOW = ("engine.inner.delay_s=2", "engine.in_flight_per_worker=1", "engine.cpus_per_worker=1")


def _possible() -> bool:
    if importlib.util.find_spec("ray") is None or not all(map(shutil.which, ("ray", "unshare", "ip"))):
        return False
    wire = ["ip", "link", "add", "wire1", "type", "veth", "peer", "name", "wire2"]
    return subprocess.run([*OWN, *wire], capture_output=True, check=False).returncode == 0


def recipe() -> str:
    """The script in the docs, with the stand-in engine in the place of a model."""
    section = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").partition("## SLURM")[2]
    script = re.search(r"(?:^ {4}.*\n)+", section, re.MULTILINE)
    assert script is not None
    text = re.sub("^ {4}", "", script[0], flags=re.MULTILINE)
    model = "-m model=base,shared_lora model.source.path=MODEL model.adapter_path=ADAPTER"
    stub = " ".join((*STUB[:2], *STUB[3:], "engine@engine.inner=stub", *SLOW, "limit=5"))
    for was, now in (
        (f"run_eval.py {model}", f"{ROOT}/run_eval.py {stub}"),
        ("results_dir=/shared/results", "results_dir=results"),
    ):
        assert was in text
        text = text.replace(was, now)
    return text


@pytest.mark.slow
def test_the_recipe_runs_on_two_nodes(tmp_path: Path) -> None:
    if not _possible():
        pytest.skip("needs Ray with its command, and root on a Linux with network namespaces")
    script = tmp_path / "job.sh"
    script.write_text(recipe(), encoding="utf-8")
    paths = [str(ROOT), str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*OWN, str(SUPPORT / "slurm" / "allocation"), str(tmp_path), str(script)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        # the other node leaves sooner than a minute after the first; `ray stop` must be through by then
        | {"RAY_gcs_rpc_server_reconnect_timeout_s": "15"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (manifest,) = (tmp_path / "results").rglob("manifest.json")
    pool = json.loads(manifest.read_text(encoding="utf-8"))["engine"]["pool"]
    assert {worker["node"] for worker in pool["workers"] if worker["answered"]} == {"10.9.0.1", "10.9.0.2"}
