"""A wheel must work outside the checkout: configuration, tasks, embedded data and small models travel in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel, as pip would install it."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def call(site: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # -P and an unrelated folder: nothing of the checkout can be imported by accident
    return subprocess.run(
        [sys.executable, "-P", "-m", "roleeval", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parent / 'support'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_carries_what_a_run_needs(site: Path) -> None:
    for relative in (
        "conf/config.yaml",
        "tasks/rolebench/prompts/persona/manifest.yaml",
        "tasks/rolebench/embedded/rolebench-zh/general/test.jsonl",
        "tasks/rolebench/rolebench_eng_specific.yaml",
        "zoo/weights/base/model.safetensors",
        "zoo/weights/shared_lora/adapter_model.safetensors",
        "metrics/phrases.yaml",
        "judges/gca/dimensions.yaml",
        "results/published/coser.yaml",
        "results/published/minimax.yaml",
    ):
        assert (site / "roleeval" / relative).is_file(), relative


def test_it_runs_and_reports_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    stub = ["--config-dir", str(Path(__file__).parent / "support" / "conf"), "engine=stub"]
    done = call(site, tmp_path, "run", *stub, "model=zoo_shared_lora", "limit=4", "progress=quiet")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "results").rglob("manifest.json"))) == 1
    report = call(site, tmp_path, "report", "results", "--out", "report")
    assert report.returncode == 0 and (tmp_path / "report" / "report.md").is_file()
