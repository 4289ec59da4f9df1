"""Shared by all tests: where things are, and the paths that stand-ins are imported from."""

import logging
import os
import sys
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
def _logs_untouched() -> None:
    """A command that runs in a test's own process sets up roleeval's logs; no other test is to notice."""
    logger = logging.getLogger("roleeval")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)  # lm-eval raises it
    for name, each in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "roleeval" and isinstance(each, logging.Logger):
            each.disabled = False
