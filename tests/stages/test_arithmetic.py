"""Verdicts of several repeats are one number: in the judge's scores, in ratings, in win rates, and on its card."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import Script, scripted, shown_answers
from judged import configured, entry, execute, winner

from roleeval.engines import ModelSource
from roleeval.judging import PairwiseJudge, VoiceJudge
from roleeval.report.found.collect import collect
from roleeval.report.found.seeds import with_rows
from roleeval.report.judge_card import judge_cards
from roleeval.report.tables.ratings import rated
from roleeval.results.verdicts import judge_columns, pairs
from roleeval.stages.run import RunOutcome
from roleeval.stats import win_rate
from roleeval.types import Request, Sampling

WARM = Sampling(temperature=1.0, max_tokens=64)
# What three repeats say of alpha's answer: shown first, and shown second.
FIRST, SECOND = ("A", "A", "B"), ("B", "tie", "B")


def repeating(first: Sequence[str], second: Sequence[str]) -> Script:
    """A judge that says one thing after the other; "-" is no verdict."""
    asked: Counter[str] = Counter()

    def reply(request: Request) -> str:
        one, _ = shown_answers(request).values()
        number = asked[str(request.messages)]
        asked[str(request.messages)] += 1
        said = (first if one.startswith("Alpha") else second)[number]
        return said if said == "-" else winner(said, said)

    return reply


def compared(folder: Path, script: Script, **options: Any) -> list[RunOutcome]:
    """Runs "alpha" and "beta" of 20 samples, each judged against the other."""
    engine = scripted(f"repeats {folder.name}", script)
    judge = PairwiseJudge(
        engine=engine, source=ModelSource("judge"), samples_per_item=3, sampling=WARM, attempts=1, **options
    )
    runs = []
    for name in ("alpha", "beta", "alpha"):
        said = f"{name.title()} says so."
        model = scripted(f"says {name}", lambda request, said=said: said)  # type: ignore[misc]
        runs.append(execute(configured(folder, judge, model=name, engine=model)))
    return runs[1:]


@pytest.mark.parametrize(("aggregate", "value", "flips"), [("median", 1.0, 0.0), ("mean", 0.5 + 2 / 9, 2 / 9)])
def test_six_verdicts_over_three_repeats_are_one_number_everywhere(
    tmp_path: Path, aggregate: Any, value: float, flips: float
) -> None:
    beta, alpha = compared(tmp_path, repeating(FIRST, SECOND), aggregate=aggregate)
    assert entry(alpha, "/overall/win")["mean"] == pytest.approx(value)
    assert entry(beta, "/overall/win")["mean"] == pytest.approx(1 - value)
    assert entry(alpha, "/flip")["mean"] == entry(beta, "/flip")["mean"] == pytest.approx(flips)
    (column,) = judge_columns([alpha.folder, beta.folder])
    outcomes = pairs(column).outcomes()
    assert len(outcomes) == 40 and {outcome.winner for outcome in outcomes} == {"a"}
    assert win_rate(outcomes, "alpha").mean == pytest.approx(value)
    found, trouble = rated(with_rows(collect([tmp_path])), None)
    assert not trouble and [each.criterion for each in found] == ["overall", "knowledge", "style"]
    for each in found:
        assert each.wins["alpha"].mean == pytest.approx(value) and each.flip.mean == pytest.approx(flips)
        assert each.places["alpha"].mean == pytest.approx(2 - value)
    assert entry(alpha, "/first_slot")["mean"] == pytest.approx(5 / 12)
    (card,) = judge_cards([tmp_path])
    assert {label.partition("/")[0]: win.mean for label, (win, _) in card.wins.items()} == {
        "alpha": pytest.approx(value),
        "beta": pytest.approx(1 - value),
    }
    assert card.flip is not None and card.flip.mean == pytest.approx(flips)
    assert card.first_slot is not None and card.first_slot.mean == pytest.approx(5 / 12)


def test_an_order_that_lost_a_repeat_is_settled_by_the_others(tmp_path: Path) -> None:
    beta, alpha = compared(tmp_path, repeating(("A", "-", "A"), ("-", "tie", "B")), aggregate="mean")
    assert entry(alpha, "/overall/win")["mean"] == pytest.approx(0.75) and entry(alpha, "/overall/win")["missing"] == 0
    (column,) = judge_columns([alpha.folder, beta.folder])
    assert win_rate(pairs(column).outcomes(), "alpha").mean == pytest.approx(0.75)


def test_an_order_without_any_verdict_leaves_no_outcome(tmp_path: Path) -> None:
    beta, alpha = compared(tmp_path, repeating(("A", "A", "A"), ("-", "-", "-")))
    assert entry(alpha, "/overall/win")["missing"] == 10
    (column,) = judge_columns([alpha.folder, beta.folder])
    assert pairs(column).outcomes() == []


def test_only_judges_that_repeat_have_the_rule_in_their_columns_name() -> None:
    for kind in (PairwiseJudge, VoiceJudge):
        assert "arithmetic" not in kind().identity()
        assert kind(samples_per_item=2, sampling=WARM).identity()["arithmetic"] == "settled"
