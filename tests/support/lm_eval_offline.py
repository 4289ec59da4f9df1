"""Fixtures for tests that use lm-eval: skipped where it is not installed, and without the network."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def lm_eval_installed() -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is an optional extra")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("ROLEEVAL_ROLEBENCH_DIR", raising=False)
