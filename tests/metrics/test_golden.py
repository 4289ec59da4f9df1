"""The numbers people compare with: RoleGPT's released answers must score what was published, to the last digit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from roleeval.metrics import Bleu, RougeGoogle, RougePltrdy
from roleeval.types import Language

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "rolebench_rouge.json").read_text("utf-8"))


@pytest.fixture
def rows(request: pytest.FixtureRequest, language: Language) -> Sequence[Any]:
    return request.getfixturevalue(f"{language}_rows")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("metric", [RougePltrdy(), RougeGoogle(), Bleu()], ids=lambda metric: type(metric).__name__)
def test_rolegpt_scores_what_was_measured_and_published(
    metric: RougePltrdy | RougeGoogle | Bleu, language: Language, rows: Sequence[Any]
) -> None:
    golden = GOLDEN[language]
    assert len(rows) == golden["rows"]
    values = [metric.values(row.answer, row.references, language) for row in rows]
    for name in values[0]:
        mean = sum(value[name] for value in values) / len(values)
        for source, number in golden[name].items():
            digits = 7 if source == "value" else len(str(number).partition(".")[2])
            assert round(mean, digits) == number, f"{name}: {mean} is not the {source} {number}"


def test_a_longer_answer_gains_recall_and_loses_f1(en_rows: Sequence[Any]) -> None:
    """Why the parity recall is never printed alone: an unrelated answer of the same role, appended, lifts it."""
    rows = en_rows[:300]
    metric = RougePltrdy()
    totals = {"plain": [0.0, 0.0], "padded": [0.0, 0.0]}
    for row, other in zip(rows, [*rows[1:], rows[0]], strict=True):
        for kind, answer in (("plain", row.answer), ("padded", f"{row.answer} {other.answer}")):
            recall, f1 = metric.values(answer, row.references, "en").values()
            totals[kind][0] += recall
            totals[kind][1] += f1
    assert totals["padded"][0] > 1.1 * totals["plain"][0]
    assert totals["padded"][1] < totals["plain"][1]
