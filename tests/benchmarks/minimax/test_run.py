"""A whole run: sessions, their judge, scores with intervals by seed, and the same bytes however many are in flight."""

import json
from pathlib import Path
from typing import Any

import pytest

from roleeval.config import parse_config
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime
from roleeval.types import Request

SOURCE = {"path": "stub"}
SAMPLING = {"temperature": 0.7, "max_tokens": 32}


def node(target: str, /, **options: Any) -> dict[str, Any]:
    return {"_target_": target, **options}


def say(request: Request) -> str:
    """The stub's script: a message that depends on the seed, or a judge's list of one error for each odd seed."""
    if request.json_schema:
        round_ = json.loads(request.json_schema)["properties"]["errors"]["items"]["properties"]["round"]["minimum"]
        error = {"round": round_, "dimension": "logic", "subtype": "forgotten", "severity": 3, "quote": "I say"}
        return json.dumps({"errors": [error] if request.seed % 2 else []})
    return f"I say number {request.seed % 997}."


def played(folder: Path, *, in_flight: int = 64, **benchmark: Any) -> RunOutcome:
    model = node("roleeval.models.Base", name="base", source=SOURCE, sampling=SAMPLING)
    config = {
        "benchmark": node("roleeval.benchmarks.minimax.Minimax", messages=24, runs=2, user={"model": model})
        | benchmark,
        "model": model,
        "engine": node("roleeval_stubs.StubOptions", script="test_minimax_script:say", delay_s=0.0005),
        "metrics": {"facts": node("roleeval.benchmarks.minimax.SessionFacts")},
        "judge": node("roleeval.benchmarks.minimax.MinimaxErrors", samples_per_item=3, messages=24),
        "results_dir": str(folder),
        "progress": "quiet",
        "limit": 2,
        "max_in_flight": in_flight,
    }
    runtime = Runtime()
    try:
        return runtime.execute(lambda: run(parse_config(config), runtime))
    finally:
        runtime.close()


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("test_minimax_script")
    module.say = say  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_minimax_script", module)


def test_sessions_are_judged_and_summed_by_seed_and_language(tmp_path: Path) -> None:
    outcome = played(tmp_path)
    summary = json.loads((outcome.folder.path / "summary.json").read_text())
    name = next(name for name in summary["metrics"] if name.endswith("/overall_sum"))
    groups = summary["metrics"][name]
    assert {"en", "zh"} <= set(groups) and groups["en"]["n"] == 4
    assert 0 < groups["en"]["mean"] < 100 and groups["en"]["ci_low"] < groups["en"]["mean"]
    assert {name.rpartition("/")[2] for name in summary["metrics"]} >= {
        "basics", "logic", "worlds_mean", "worlds_sum", "overall_mean", "chunk_1", "chunk_2", "worst_chunk",
        "first_error_round", "forgotten", "repetition", "messages",
    }  # fmt: skip
    manifest = json.loads((outcome.folder.path / "manifest.json").read_text())
    assert manifest["benchmark"]["setup"]["messages"] == "24 (published: 100)"


def test_sessions_are_the_same_bytes_one_at_a_time_and_all_at_once(tmp_path: Path) -> None:
    texts = {
        (played(tmp_path / str(n), in_flight=n).folder.path / "transcripts.jsonl").read_bytes() for n in (1, 8, 64)
    }
    assert len(texts) == 1


def test_mode_length_and_user_make_other_runs(tmp_path: Path) -> None:
    options: list[dict[str, Any]] = [{}, {"messages": 22}, {"mode": "selfplay"}, {"user_sees_card": True}]
    folders = {played(tmp_path, **each).folder.path.name for each in options}
    assert len(folders) == 4


def test_a_run_says_which_share_of_its_prompts_the_prefix_cache_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(engine: Any) -> dict[str, Any]:
        """Counts of the engine's whole life, as vLLM's: earlier runs read 1000 tokens."""
        return {"prefix_cache": {"prompt_tokens": 1000 + 12 * engine.calls, "cached_tokens": 9 * engine.calls}}

    def session(folder: Path) -> Any:
        return json.loads((played(folder).folder.path / "manifest.json").read_text())["session"]

    assert "from_prefix_cache" not in session(tmp_path / "uncounted")
    monkeypatch.setattr("roleeval_stubs.StubEngine.describe", describe)
    assert session(tmp_path / "counted")["from_prefix_cache"] == 0.75
