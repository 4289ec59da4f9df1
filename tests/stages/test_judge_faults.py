"""A judge behind an endpoint that fails in every way: what was answered is kept, what was not is named and filled."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from endpoint import RESET, Endpoint, Fault, reply
from judged import configured, winner

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.engines import ModelSource
from roleeval.engines.openai import OpenAIOptions
from roleeval.judging import PairwiseJudge
from roleeval.results import read_judgements
from roleeval.stages.run import RunOutcome, run
from roleeval.stages.runtime import Runtime

GOOD = reply(winner("A", "tie", why="It sounds like the role."))
# No reply at all: the engine tries again, then gives up.
SILENT = {
    "429": Fault(429, b'{"error": {"message": "slow down"}}', {"retry-after": "0"}),
    "500": Fault(500, b"{}"),
    "reset": RESET,
    "time-out": Fault(hang_s=60.0),
    "half-written": Fault(body=json.dumps(GOOD).encode()[:90]),
    "no choices": Fault(body=json.dumps(GOOD | {"choices": []}).encode()),
}
# A reply without a verdict.
UNUSABLE: dict[str, dict[str, Any]] = {
    "refusal": reply("", "content_filter"),
    "wrong schema": reply(json.dumps({"style": "A", "knowledge": "B"})),
    "half a verdict": reply(winner("A", "B")[:30]),
    "prose": reply("Both are lovely."),
}


class FaultyJudge(Endpoint):
    """Fails a share of its calls at random; remembers which seeds got which answer last."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.random = share, random.Random(7)
        self.last: dict[int, str] = {}

    def choose(self, body: Mapping[str, Any]) -> Fault | dict[str, Any]:
        kind = self.random.choice([*SILENT, *UNUSABLE]) if self.random.random() < self.share else "good"
        self.last[body["seed"]] = kind
        return SILENT.get(kind) or UNUSABLE.get(kind) or GOOD


async def judged(folder: Path, runtime: Runtime, server: FaultyJudge, *, attempts: int) -> RunOutcome:
    """Judges 252 samples in both orders against the references."""
    engine = OpenAIOptions((server.url,), max_retries=1, timeout_s=3.0, backoff_base_s=0.001)
    judge = PairwiseJudge(
        engine=engine, source=ModelSource("judge"), against=("references",), attempts=attempts, max_in_flight=64
    )
    config = configured(folder, judge, limit=63, fail_on_error=1.0)
    return await run(replace(config, benchmark=RoleBench()), runtime)


def test_a_run_of_500_judgements_loses_none_reports_the_failed_and_fills_only_those(tmp_path: Path) -> None:
    async def go() -> None:
        async with FaultyJudge(share=0.3) as server:
            first = await judged(tmp_path, runtime, server, attempts=1)
            rows = {row.attempts[0].seed: row for row in read_judgements(first.folder.judgements)}
            assert len(rows) == 504 == len(server.last)
            good = {seed for seed, kind in server.last.items() if kind == "good"}
            assert {seed for seed, row in rows.items() if row.status == "ok"} == good
            silent = {seed for seed, kind in server.last.items() if kind in SILENT}
            assert {seed for seed, row in rows.items() if not row.answered} == silent
            assert 300 < len(good) < 504 and silent and len(good) + len(silent) < 504
            assert all(row.reason and row.verdict is None for seed, row in rows.items() if seed not in good)
            assert_reported(first, rows)

            server.share, server.last = 0.0, {}
            second = await judged(tmp_path, runtime, server, attempts=2)
            healed = list(read_judgements(second.folder.judgements))
            assert all(row.status == "ok" for row in healed) and len(healed) == 504
            assert len(server.last) == 504 - len(good)
            assert {row.item: row.verdict for row in rows.values() if row.verdict}.items() <= {
                row.item: row.verdict for row in healed
            }.items()
            asked = len(server.bodies)
            assert (await judged(tmp_path, runtime, server, attempts=2)).skipped and len(server.bodies) == asked
            for engine, _ in runtime._engines.values():
                await engine.close()

    runtime = Runtime()
    try:
        runtime.execute(go)
    finally:
        runtime.close()


def assert_reported(outcome: RunOutcome, rows: dict[int, Any]) -> None:
    """Scores, summary and manifest count the pairs and the calls that have no verdict."""
    failed = {row.sample_id for row in rows.values() if row.verdict is None}
    scores = pd.read_parquet(outcome.folder.scores)
    wins = scores[scores.metric.str.endswith("/overall/win")]
    assert set(wins[wins["value"].isna()]["sample"]) == failed
    assert set(wins[wins["status"] == "judge_failed"]["sample"]) == failed
    summary, manifest = outcome.folder.summary(), outcome.folder.manifest()
    assert summary is not None and manifest is not None
    entries = next(groups for name, groups in summary["metrics"].items() if name.endswith("/overall/win"))
    splits = [entry for entry in entries.values() if "mean_of" not in entry]
    assert sum(entry["missing"] for entry in splits) == len(failed)
    assert all(entry["bounds"][0] < entry["mean"] < entry["bounds"][1] for entry in splits)
    (record,) = manifest.judge_records.values()
    assert record.statuses["judge_failed"] == sum(row.verdict is None for row in rows.values())
    assert record.unanswered == sum(not row.answered for row in rows.values())
