"""What metrics are stands in the folder; folders of before that get it from one table, and are read as ever."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from judge_stubs import scripted, shown_answers
from judged import configured, execute, winner
from older import age, without_hashes

from roleeval.benchmarks.coser import CoserOverlap, GcaJudge, NextSpeaker, SceneFacts
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.judging import HerRm, Judge, PairwiseJudge, RankingJudge, RubricJudge, VoiceJudge
from roleeval.metrics import Bleu, MetricInfo, default_metrics
from roleeval.report import collect, write_report
from roleeval.report.judge_card import judge_cards
from roleeval.results import ResultFolder, summary_infos
from roleeval.results.infos import infos_for, older_info
from roleeval.results.judge_columns import judge_infos
from roleeval.types import Request

JUDGES: list[Judge] = [RubricJudge(), VoiceJudge(), PairwiseJudge(), HerRm(), RankingJudge(), GcaJudge()]


def of_today() -> Iterator[MetricInfo]:
    """Every metric that today's classes declare, under the names that folders have."""
    for metric in (*default_metrics(), Bleu(orders=(2, 3)), CoserOverlap(), SceneFacts(), NextSpeaker()):
        yield from metric.infos()
    for judge in JUDGES:
        for info in judge.infos(("m1/run", "m2/run") if judge.compares else ()):
            yield info.of_judge(f"judge/{judge.name}@01234567-89abcdef:0123")


@pytest.mark.parametrize("info", list(of_today()), ids=lambda info: info.name)
def test_the_table_of_older_folders_agrees_with_what_is_declared_today(info: MetricInfo) -> None:
    """Or two folders of one experiment would stand in one table under two meanings."""
    older = older_info(info.name)
    words = {"label": older.label, "recipe": older.recipe, "source": older.source}
    ends = {"low": older.low, "high": older.high}  # a rubric's scale is not in a name
    cap = {"caution": older.caution} if info.judged else {}  # and neither is a cap
    assert replace(info, **words, **ends, **cap) == older


def test_a_name_that_nobody_knows_is_a_plain_diagnostic_number() -> None:
    found = older_info("third_party/wit")
    assert (found.unit, found.headline, found.higher_is_better, found.per) == ("number", False, None, "sample")


def test_rows_that_were_taken_over_keep_the_first_info_that_is_known() -> None:
    mine = MetricInfo("wit", label="Wit", unit="points", recipe="Given.")
    found = infos_for(["wit", "answer_words"], {"wit": mine}, {"wit": replace(mine, unit="count")})
    assert found["wit"] == mine and found["answer_words"].unit == "words"


def longer(request: Request) -> str:
    a, b = shown_answers(request).values()
    return winner(*["tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B"] * 2)


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Three models, compared pairwise."""
    judge = PairwiseJudge(engine=scripted("infos", longer), source=ModelSource("judge"))
    for model in ("one", "two", "three", "one", "two"):
        execute(configured(tmp_path / "results", judge, model=model))
    return tmp_path / "results"


def test_a_summary_says_of_every_metric_what_it_is_judges_columns_included(judged: Path) -> None:
    for file in judged.rglob("summary.json"):
        summary = json.loads(file.read_text(encoding="utf-8"))
        infos = summary_infos(summary)
        assert set(infos) == set(summary["metrics"]) == set(summary["info"])
        assert infos["answer_words"].label == "Answer length in words" and not infos["answer_words"].judged
        wins = [info for name, info in infos.items() if name.endswith("/overall/win")]
        assert [(info.unit, info.headline, info.judged) for info in wins] == [("fraction", True, True)]
        against = sorted(info.label for info in infos.values() if "/win_against/" in info.name)
        assert len(against) == 2 and all(label.startswith("Win rate against ") for label in against)
        manifest = ResultFolder(file.parent).manifest()
        assert manifest is not None
        assert {name: info for name, info in judge_infos(manifest).items() if name in infos} == {
            name: info for name, info in infos.items() if info.judged
        }


def without_legend(report: Path) -> tuple[str, list[str]]:
    """A report.md without the words about its metrics, of which an older folder has fewer; and these."""
    before, _, behind = report.read_text(encoding="utf-8").partition("### Metrics\n")
    legend, mark, rest = behind.partition("### All metrics")
    return before + mark + rest, legend.splitlines()


def test_older_folders_are_reported_and_carded_as_ever(judged: Path, tmp_path: Path) -> None:
    today, cards = write_report([judged], tmp_path / "today", reference="one"), judge_cards([judged])
    for file in list(judged.rglob("summary.json")):
        age(file.parent)
    older = write_report([judged], tmp_path / "older", reference="one")
    (text, legend), (older_text, older_legend) = (without_legend(report[0]) for report in (today, older))
    assert older_text == text and [line.split(" | ")[0] for line in older_legend] == [
        line.split(" | ")[0] for line in legend
    ]
    assert [file.read_bytes() for file in older[1:]] == [file.read_bytes() for file in today[1:]] and len(older) == len(
        today
    )
    assert judge_cards([judged]) == cards


def test_judging_an_older_folder_again_gives_all_its_metrics_infos(judged: Path) -> None:
    folder = ResultFolder(next(judged.rglob("one/*/summary.json")).parent)
    before = folder.summary()
    age(folder.path)
    other = PairwiseJudge(name="other", engine=scripted("again", longer), source=ModelSource("judge"))
    execute(configured(judged, other, model="one"))
    after = folder.summary()
    assert before is not None and after is not None
    old = summary_infos(before)
    found = {name: info for name, info in summary_infos(after).items() if name in old}
    assert set(found) == set(old)
    assert {(i.name, i.unit, i.headline, i.judged) for i in found.values()} == {
        (i.name, i.unit, i.headline, i.judged) for i in old.values()
    }


def test_a_damaged_info_is_named_and_stops_no_report(judged: Path) -> None:
    file = next(judged.rglob("one/*/summary.json"))
    summary = json.loads(file.read_text(encoding="utf-8"))
    summary["info"]["answer_words"]["unit"] = "percent"
    file.write_text(json.dumps(summary), encoding="utf-8")
    without_hashes(file.parent)
    with pytest.raises(ResultError, match=r"summary.json: MetricInfo 'answer_words': unit is 'percent'"):
        summary_infos(summary)
    collection = collect([judged])
    assert [run.model for run in collection.runs] == ["three", "two"]
    assert "unit is 'percent'" in collection.not_shown[0].reason
