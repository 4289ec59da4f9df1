"""lm-eval where it is installed, without the network, and one run of the embedded data that all its tests share."""

from pathlib import Path

import pytest

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.results import ResultFolder
from tests.integrations.replay import play


@pytest.fixture(scope="session", autouse=True)
def _lm_eval() -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is an optional extra")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("ROLEEVAL_ROLEBENCH_DIR", raising=False)


@pytest.fixture(scope="session")
def tasks_folder(root: Path) -> Path:
    return root / "tasks"


@pytest.fixture(scope="session")
def embedded_run(tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    """All four embedded splits, answered by script and scored with every default metric."""
    return play(RoleBench(), tmp_path_factory.mktemp("embedded"))
