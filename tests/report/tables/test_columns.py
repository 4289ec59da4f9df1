"""Tables take everything from what metrics declare, so that a benchmark nobody here knows gets tables of its own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.metrics import MetricInfo, Unit
from roleeval.report import collect, write_report
from roleeval.report.found.compare import run_sets
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.columns import headline, ordered, value_text
from roleeval.report.tables.contents import contents
from roleeval.report.tables.heads import ARROWS_NOTE
from roleeval.report.tables.standings import Standings
from roleeval.report.tables.tables import Table, group_table

MakeRun = Callable[..., Path]


def info(name: str, unit: Unit = "fraction", **more: Any) -> MetricInfo:
    return MetricInfo(name, label=name.capitalize(), unit=unit, recipe="Given.", **more)


def session(make_run: MakeRun, entry: Any, model: str, infos: Sequence[MetricInfo], mean: float = 0.5) -> Path:
    """A run of somebody's benchmark of sessions, as today's version writes it."""
    metrics = {each.name: {"sessions": entry(mean, n=3 if each.per == "cluster" else 200)} for each in infos}
    folder = make_run(model, metrics, splits={"sessions": 200})
    summary = {"metrics": metrics, "info": {each.name: each.to_json() for each in infos}}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["benchmark"] |= {"name": "arena", "cluster": ["player", "players"]}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 2}), encoding="utf-8")
    return folder


def table(root: Path) -> Table:
    (only,) = run_sets(collect([root]).runs)
    return group_table(only, "sessions", title="t")


def headlines(root: Path) -> list[Standings]:
    (section,) = contents(with_rows(collect([root])), reference=None, choice=Choice()).sections
    return list(section.standings)


WIT = info("wit", "points", headline=True, higher_is_better=True, low=0.0, high=10.0)
LENGTH = info("length", "words", position=1)


def test_units_headline_and_position_are_what_a_metric_says(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    session(make_run, entry, "alpha", [WIT, info("aside"), LENGTH], mean=2.5)
    whole, (short,) = table(tmp_path), headlines(tmp_path)
    assert short.names == ("wit",)
    assert whole.names[-3:] == ("length", "aside", "wit")
    assert [cell[0] for cell in whole.rows[0][-3:]] == ["2.5", "2.5000", "2.50"]


def test_clusters_have_the_benchmarks_own_word(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    session(make_run, entry, "alpha", [WIT, info("variety", per="cluster")])
    whole = table(tmp_path)
    assert "20 players; 95 % intervals over players by bootstrap-t (" in whole.caption
    assert "One value per player, not per answer: Variety." in whole.notes
    assert whole.rows[0][whole.names.index("variety")][-1] == "n 3 players"
    assert whole.rows[0][whole.names.index("n")] == ("200",)


def test_what_is_read_only_with_another_is_not_shown_without_it(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    rewarding = info("reach", headline=True, read_with=("wit", "length"), caution="rewards length: read it with wit.")
    session(make_run, entry, "alpha", [rewarding, WIT, LENGTH])
    whole, (short,) = table(tmp_path), headlines(tmp_path)
    assert short.names == ("length", "reach", "wit") and "Reach rewards length: read it with wit." in short.notes
    assert "reach" in whole.names and "Reach rewards length: read it with wit." in whole.notes
    session(make_run, entry, "beta", [rewarding, WIT])
    alone = table(tmp_path)
    assert alone.rows[1][alone.names.index("reach")] == ("–¹",)
    assert "this run has no Length, needed to read it" in alone.notes[0]


def test_a_habit_of_the_judge_is_no_lost_answer(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    folder = session(make_run, entry, "alpha", [WIT, info("judge/x@1-2/flip", judged=True, habit=True)])
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    summary["metrics"]["judge/x@1-2/flip"]["sessions"]["n"] = 7
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    text = write_report([tmp_path], tmp_path / "out")[0].read_text(encoding="utf-8")
    assert "Scored + missing differs from planned" not in text


def test_any_benchmark_has_a_picture_and_a_csv(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    session(make_run, entry, "alpha", [WIT, info("variety", per="cluster")])
    files = {file.name: file for file in write_report([tmp_path / "results"], tmp_path / "out")}
    assert files["report.png"].stat().st_size > 1000
    lines = files["report.csv"].read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("planned")
    assert {line.split(",")[4]: line.split(",")[place] for line in lines[1:]} == {"variety": "", "wit": "200"}


def test_metrics_without_a_direction_have_no_picture(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    session(make_run, entry, "alpha", [LENGTH])
    assert "report.png" not in [file.name for file in write_report([tmp_path / "results"], tmp_path / "out")]


def test_people_read_labels_and_files_have_names(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    mood = replace(info("mood"), label="Mood (points)", unit="points", higher_is_better=False)
    session(make_run, entry, "alpha", [WIT, LENGTH, mood])
    whole = table(tmp_path)
    assert whole.columns[-3:] == ("Length, words", "Mood (points) ↓", "Wit, points ↑")
    assert ARROWS_NOTE in whole.notes
    assert "Columns: Length, words is length; Mood (points) is mood; Wit, points is wit." in whole.notes


def test_two_columns_of_one_label_have_their_full_names(tmp_path: Path, make_run: MakeRun, entry: Any) -> None:
    judged = [replace(WIT, name=f"judge/x@{hashes}/wit", judged=True) for hashes in ("aa-bb", "aa-cc")]
    session(make_run, entry, "alpha", [*judged, LENGTH])
    (short,) = headlines(tmp_path)
    assert short.heads == ("Wit, points [judge/x@aa-bb/wit] ↑", "Wit, points [judge/x@aa-cc/wit] ↑")
    assert not any("Columns:" in note for note in short.notes)


def test_columns_of_one_position_stand_by_name_and_a_headline_is_never_empty() -> None:
    infos = {name: info(name, position=place) for name, place in (("b", 5), ("a", 5), ("c", 1))}
    assert ordered(infos, infos) == headline(infos, infos) == ["c", "a", "b"]
    many = {f"m{place:02}": info(f"m{place:02}") for place in range(20)}
    assert len(headline(many, many)) == 8


@pytest.mark.parametrize(
    ("unit", "text"),
    [("fraction", "2.3457"), ("points", "2.35"), ("words", "2.3"), ("characters", "2.3"), ("rank", "2.3457")],
)
def test_a_value_has_the_decimals_of_its_unit(unit: Unit, text: str) -> None:
    assert value_text(unit, 2.345678) == text and value_text("fraction", 2.345678, decimals=3) == "2.346"
