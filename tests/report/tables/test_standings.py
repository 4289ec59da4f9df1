"""The table that people quote: few columns, who is best, what cannot be told from it, and only what compares."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scored import write

from roleeval.errors import ResultError
from roleeval.metrics import MetricInfo
from roleeval.report import Report, collect
from roleeval.report.found.names import with_names
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.contents import Contents, contents
from roleeval.report.tables.facts import fact_columns
from roleeval.report.tables.standings import Standings
from tests.report.tables.test_columns import info, session

MakeRun = Callable[..., Path]
F1, GROUP = "rougeL_f1_google_max", "eng_specific/SPE"
ROLES = [f"role{number:02}" for number in range(12)]
SAMPLES = [f"{role}/{number}" for role in ROLES for number in range(4)]
HARD = dict(zip(SAMPLES, np.random.default_rng(0).uniform(0.1, 0.8, len(SAMPLES)), strict=True))
NOISE = dict(zip(SAMPLES, np.random.default_rng(1).normal(0, 0.02, len(SAMPLES)), strict=True))


def found(root: Path, **choice: tuple[str, ...]) -> Contents:
    return contents(with_names(with_rows(collect([root]))), reference=None, choice=Choice(**choice))


def headline(root: Path, **choice: tuple[str, ...]) -> Standings:
    ((table,),) = (section.standings for section in found(root, **choice).sections)
    return table


def model(make_run: MakeRun, name: str, shift: float, **options: Any) -> Path:
    values = {sample: value + shift + (NOISE[sample] if shift else 0.0) for sample, value in HARD.items()}
    return write(make_run, name, {F1: {GROUP: values}}, splits={"eng_specific": 48}, planned=48, **options)


def marks(table: Standings, place: int = 0) -> dict[str, str]:
    return {line.row.label: score.mark for line in table.lines if (score := line.scores[place])}


def test_the_best_is_marked_and_what_the_paired_comparison_cannot_tell_from_it(
    tmp_path: Path, make_run: MakeRun
) -> None:
    """All intervals overlap widely: only the samples that the models share tell them apart."""
    for name, shift in (("base", 0.0), ("near", 0.1), ("best", 0.101)):
        model(make_run, name, shift)
    table = headline(tmp_path)
    entries = {line.row.label: line.scores[0].entry for line in table.lines if line.scores[0]}
    assert entries["base"].ci_high > entries["best"].ci_low
    assert marks(table) == {"base": "", "near": "tied", "best": "best"}
    assert any("paired over roles, Holm-corrected" in note for note in table.notes)


def test_equal_values_and_metrics_without_a_direction_have_no_best(
    tmp_path: Path, make_run: MakeRun, entry: Any
) -> None:
    for name in ("alpha", "beta"):
        session(make_run, entry, name, [info("wit", higher_is_better=True), info("pages", "words")])
    table = headline(tmp_path)
    assert set(marks(table, 0).values()) == set(marks(table, 1).values()) == {""}


def test_without_score_rows_nothing_is_called_inseparable(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    for name, mean in (("alpha", 0.5), ("beta", 0.4)):
        session(make_run, entry, name, [info("errors", higher_is_better=False)], mean=mean)
    assert marks(headline(tmp_path)) == {"alpha": "", "beta": "best"}


def many() -> list[MetricInfo]:
    more = [info(f"check{n}", headline=True, higher_is_better=False, position=n) for n in range(9)]
    reach = info("reach", headline=True, higher_is_better=True, read_with=("pages",), position=0)
    prime = info("wit", headline=True, higher_is_better=True, primary=True, position=90)
    judged = info("judge/x@1-2/tone", "points", headline=True, higher_is_better=True, judged=True, position=95)
    return [*more, reach, info("pages", "words", position=1), prime, judged]


def test_six_metrics_and_what_they_are_read_with(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    session(make_run, entry, "alpha", many())
    names = headline(tmp_path).names
    assert len(names) == 6 and {"wit", "judge/x@1-2/tone", "reach", "pages"} < set(names)


def test_judges_do_not_crowd_out_what_the_benchmark_measures(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    better = {"headline": True, "higher_is_better": True, "low": 1.0, "high": 5.0}
    judged = [info(f"judge/{n}@1-2/overall", "points", judged=True, primary=True, **better) for n in "abcdefgh"]
    session(make_run, entry, "alpha", [*judged, info("slips", "count", headline=True, higher_is_better=False)])
    assert "slips" in headline(tmp_path).names and len(headline(tmp_path).names) == 6


def test_metrics_and_models_are_what_was_asked_for(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    for name in ("alpha", "beta", "gamma"):
        session(make_run, entry, name, many())
    table = headline(tmp_path, wanted=("tone", "Check3", "pages"), models=("gamma", "alpha"))
    assert table.names == ("judge/x@1-2/tone", "check3", "pages")
    assert [line.row.label for line in table.lines] == ["gamma", "alpha"]
    with pytest.raises(ResultError, match=r"--metrics wits: no such metric; there are: .*wit"):
        headline(tmp_path, wanted=("wits",))
    with pytest.raises(ResultError, match="--models delta: no such model; there are: alpha, beta, gamma"):
        headline(tmp_path, models=("delta",))


@pytest.mark.parametrize("width", [80, 100])
def test_six_models_and_six_metrics_fit_the_terminal(tmp_path: Path, make_run: MakeRun, entry: Any, width: int) -> None:
    names = [f"independent_lora_r{n}" for n in range(6)]
    for name in names:
        session(make_run, entry, name, many(), mean=0.123456)
    stream = io.StringIO()
    Report([tmp_path / "results"]).show(Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith(names[0])]
    assert len(rows) == 2  # its scores, and what is known of it
    assert rows[0].count("0.123") == 4 and rows[0].count("0.1") == 6  # its pages in words, its tone in points


def test_families_stand_together_and_what_differs_is_a_column(tmp_path: Path, make_run: MakeRun) -> None:
    for run, rank in (("a", "4"), ("b", "16")):
        about = {"family": "shared", "places": {"adapter_path": f"/l/rank{rank}"}}
        model(make_run, "tuned", int(rank) / 100, run=run, about=about)
    model(make_run, "another", 0.0, about={"family": "hycora"})
    model(make_run, "zeta", 0.0, about={"family": "shared"})
    table = headline(tmp_path)
    assert [line.row.family for line in table.lines] == ["hycora", "shared", "shared", "shared"]
    assert table.axes == ("adapter_path",)
    assert fact_columns(table)[0].texts == ("–", "rank4", "rank16", "–")


def test_what_does_not_compare_is_never_in_one_column(tmp_path: Path, make_run: MakeRun) -> None:
    model(make_run, "alpha", 0.0)
    model(make_run, "beta", 0.1, data_hash="f" * 64)
    model(make_run, "gamma", 0.1, sampling={"temperature": 0.7, "top_p": 0.9, "max_tokens": 96})
    tables = [table for section in found(tmp_path).sections for table in section.standings]
    assert [[line.row.label for line in table.lines] for table in tables] == [["alpha"], ["beta"], ["gamma"]]
    assert all("they differ in data and decoding. Here (" in table.caveat for table in tables)


def test_wide_intervals_and_few_clusters_are_said_once(tmp_path: Path, make_run: MakeRun) -> None:
    values = {"role0/0": 0.1, "role1/0": 0.9, "role2/0": 0.4}
    write(make_run, "alpha", {F1: {GROUP: values}}, splits={"eng_specific": 3}, planned=3)
    notes = headline(tmp_path).notes
    assert sum("With so few roles (3) intervals are wide" in note for note in notes) == 1
    assert sum("say almost nothing: ROUGE-L F1 (Google)" in note for note in notes) == 1


def test_benchmarks_stand_in_one_table(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    model(make_run, "alpha", 0.0)
    session(make_run, entry, "beta", [info("wit", higher_is_better=True, headline=True)])
    table = found(tmp_path).overall
    assert table is not None
    assert table.heads == ("arena sessions: Wit ↑", f"rolebench {GROUP}: ROUGE-L F1 (Google) ↑")
    assert {line.row.label: [score is not None for score in line.scores] for line in table.lines} == {
        "alpha": [False, True],
        "beta": [True, False],
    }
