"""Shared by all tests: where things are, and the paths that stand-ins are imported from."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUPPORT = Path(__file__).parent / "support"
sys.path[:0] = [str(SUPPORT), str(SUPPORT / "third_party")]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_rolebench() -> Path:
    """The real RoleBench test files, which are not part of the project."""
    shared = Path(os.environ.get("ROLEEVAL_SHARED", ROOT.parent / "shared"))
    folder = shared / "data" / "rolebench"
    if not folder.is_dir():
        pytest.skip(
            "the real RoleBench files are not at hand (set ROLEEVAL_SHARED to the folder that has data/rolebench)"
        )
    return folder


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that runs in the test's own process sets up roleeval's logs, and Hydra disables all loggers that there
    are; the next test finds them as they were."""
    logger = logging.getLogger("roleeval")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate, level = before
    logger.setLevel(level)
    for name, each in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "roleeval" and isinstance(each, logging.Logger):
            each.disabled = False
