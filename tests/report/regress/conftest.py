"""A baseline and current results to compare."""

from pathlib import Path

import gate_runs
import pytest


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result folder of the baseline."""
    return gate_runs.write(tmp_path_factory.mktemp("before"))
