"""Judging through the real vLLM: a sweep ends with win rates and ratings, and the judge has a card."""

from pathlib import Path

import pytest

from roleeval.report import collect
from roleeval.report.judge_card import judge_cards
from tests.e2e.conftest import Start

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
SWEEP = (
    *("-m", "model=zoo_base,zoo_shared_lora", "benchmark=rolebench", "judge=pairwise", "judge.controls=1"),
    *("judge.sampling.max_tokens=700", "limit=2", "results_dir=r", "progress=log"),
)


def test_a_sweep_with_a_pairwise_judge_ends_with_win_rates_ratings_and_a_card(tmp_path: Path, start: Start) -> None:
    process = start(*SWEEP)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output[-3000:]
    assert "ratings by judge/rolebench_pairwise@" in output and "Bradley-Terry" in output
    runs = collect([tmp_path / "r"]).runs
    assert {run.model for run in runs} == {"zoo_base", "zoo_shared_lora"}
    for run in runs:
        (wins,) = [groups for name, groups in run.entries.items() if name.endswith("/overall/win")]
        for group, entry in wins.items():
            assert entry.bounds is not None and entry.n + entry.missing >= 2, group
    (card,) = judge_cards([tmp_path / "r"])
    assert card.questions > 0 and card.coverage.mean is not None and card.coverage.mean > 0.5
    assert set(card.same_family.values()) == {"the same base model"}
    assert card.flip is not None and card.first_slot is not None and card.first_slot.n > 0
    assert card.controls is not None and card.controls["answers"] == 1 and len(card.controls["faults"]) == 6
