"""Imported official sessions are judged like any run: official scores stay, and ours stand beside them."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from roleeval.config import parse_config
from roleeval.integrations.minimax.calibration.scores import read_scores
from roleeval.integrations.minimax.importer import import_minimax
from roleeval.results import ResultFolder
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from roleeval.types import Request
from tests.support.minimax_tables import MODELS, write_tables

SOURCE = {"path": "stub"}


def say(request: Request) -> str:
    """A judge: one error in the second message that it is asked about."""
    assert request.json_schema is not None
    schema = json.loads(request.json_schema)["properties"]["errors"]["items"]["properties"]
    number = schema["round"]["minimum"]
    quote = f"Message {number}."
    error = {"round": number, "dimension": "logic", "subtype": "forgotten", "severity": 3, "quote": quote}
    return json.dumps({"errors": [error]})


def judge(model: str, results: Path) -> None:
    config: dict[str, Any] = {
        "benchmark": {"_target_": "roleeval.benchmarks.minimax.Minimax"},
        "model": {"_target_": "roleeval.models.Base", "name": model, "source": SOURCE, "sampling": {}},
        "engine": {"_target_": "roleeval_stubs.StubOptions", "script": "minimax_judge_script:say"},
        "metrics": {},
        "judge": {"_target_": "roleeval.benchmarks.minimax.MinimaxErrors", "samples_per_item": 1},
        "results_dir": str(results),
        "run_name": "official_en",
        "stages": ["judge"],
        "progress": "quiet",
    }
    runtime = Runtime()
    try:
        runtime.execute(lambda: run(parse_config(config), runtime))
    finally:
        runtime.close()


def test_official_sessions_are_judged_again_and_read_for_a_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("minimax_judge_script")
    module.say = say  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "minimax_judge_script", module)
    tables = write_tables(tmp_path, seeds=1, languages=["en"]) / "data" / "en"
    files = (tables / "dialogues.jsonl", tables / "evaluations.jsonl")
    results = tmp_path / "results"
    done = import_minimax(*files, out=results / "minimax", seeds=tables / "seeds.jsonl")
    before = pd.read_parquet(ResultFolder(done.folders[0]).scores)
    for model in MODELS:
        judge(model, results)
    rows = pd.read_parquet(ResultFolder(done.folders[0]).scores)
    official = rows[rows["metric"].astype(str).str.startswith("minimax_official/")].reset_index(drop=True)
    pd.testing.assert_frame_equal(official.astype(str), before.reset_index(drop=True).astype(str))
    (scores,), column = read_scores([results])
    assert column.startswith("judge/minimax_errors@") and scores.ours is not None
    assert scores.ours[0, 0, 0].tolist() == [100, 90, 100, 100, 100, 100]  # an error in every chunk of ten messages
    assert [(scores.asked[model].planned, scores.asked[model].missing) for model in MODELS] == [(3 * 5, 0)] * 2
