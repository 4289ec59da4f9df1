"""lm-eval where it is installed, without the network, and one run of the embedded data that all its tests share."""

from pathlib import Path

import pytest
from lm_eval_offline import lm_eval_installed, offline
from replay import play

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.results import ResultFolder

__all__ = ["embedded_run", "lm_eval_installed", "offline", "tasks_folder"]


@pytest.fixture(scope="session")
def tasks_folder(root: Path) -> Path:
    return root / "tasks"


@pytest.fixture(scope="session")
def embedded_run(tmp_path_factory: pytest.TempPathFactory) -> ResultFolder:
    """All four embedded splits, answered by script and scored with every default metric."""
    return play(RoleBench(), tmp_path_factory.mktemp("embedded"))
