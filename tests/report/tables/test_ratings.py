"""Ratings in reports: out of real judged folders, never across judges, and in words where nothing can be rated."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import Reply, Script, scripted, shown_answers
from judged import configured, execute, winner
from older import without_hashes
from rich.console import Console

from roleeval.engines import ModelSource
from roleeval.judging import PairwiseJudge
from roleeval.models import Base
from roleeval.report import collect, print_report, write_report
from roleeval.report.found.compare import run_sets
from roleeval.report.found.names import with_names
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.ratings import Rated, average_places, rated, ratings_table
from roleeval.stats import Outcome
from roleeval.types import Request

MODELS = ("one", "two", "three")


def longer_wins(request: Request) -> str:
    a, b = shown_answers(request).values()
    return winner(*["tie" if len(a) == len(b) else "A" if len(a) > len(b) else "B"] * 2)


def judge_all(folder: Path, script: Script, *, models: tuple[str, ...] = MODELS, **options: Any) -> None:
    """Every run against every other, as at the end of a sweep."""
    judge = PairwiseJudge(engine=scripted("ratings", script), source=ModelSource(options.pop("judge", "judge")))
    for model in (*models, *models[:-1]):
        execute(configured(folder, judge, model=model, **options))


def found(folder: Path, reference: str | None = None) -> list[Rated]:
    return rated(with_rows(collect([folder])), reference)[0]


def test_models_are_rated_against_the_anchor_with_wins_and_places(tmp_path: Path) -> None:
    judge_all(tmp_path, longer_wins)
    everything, *by_criterion = found(tmp_path, "two")
    assert [each.criterion for each in by_criterion] == ["knowledge", "style"]
    assert everything.ratings is not None and everything.ratings.anchor == "two"
    by_name = {rating.model: rating for rating in everything.ratings.models}
    assert by_name["two"].rating == 1000 and set(by_name) == set(MODELS)
    # 3 pairs of 20 samples on 2 criteria: a model is in 2 pairs
    assert {everything.wins[name].n for name in MODELS} == {80}
    assert sum(everything.wins[name].mean or 0 for name in MODELS) == pytest.approx(1.5)
    assert sum(everything.places[name].mean or 0 for name in MODELS) == pytest.approx(6)
    assert {everything.places[name].n for name in MODELS} == {40}
    best = max(MODELS, key=lambda name: everything.wins[name].mean or 0)
    assert everything.names[0] == best == min(MODELS, key=lambda name: everything.places[name].mean or 9)
    assert (everything.flip.mean, everything.first_slot.mean) == (0, 0.5)


def test_win_rates_of_ratings_are_those_of_the_scores(tmp_path: Path) -> None:
    judge_all(tmp_path, longer_wins)
    collection = with_rows(collect([tmp_path]))
    (everything, *_), _ = rated(collection, None)
    for run in collection.runs:
        entries = next(e for name, e in run.entries.items() if name.endswith("/overall/win"))
        means = [entry.mean or 0 for group, entry in entries.items() if group in ("eng_general", "eng_specific")]
        assert everything.wins[run.model].mean == pytest.approx(sum(means) / 2)


def test_equal_answers_and_those_that_were_not_given_count_without_a_judge(tmp_path: Path) -> None:
    def sometimes(number: int) -> Script:
        def answer(request: Request) -> str:
            size = len(str(request.messages)) % 4
            return "" if size == number else "The same." if size == 2 else f"Answer {number}"

        return answer

    judge = PairwiseJudge(engine=scripted("unasked", longer_wins), source=ModelSource("judge"))
    for number in (0, 1, 0):
        engine = scripted(f"model {number}", sometimes(number))
        execute(configured(tmp_path, judge, model=f"m{number}", engine=engine))
    collection = with_rows(collect([tmp_path]))
    (everything, *_), _ = rated(collection, None)
    for run in collection.runs:
        entries = next(e for name, e in run.entries.items() if name.endswith("/overall/win"))
        means = [entries[group].mean or 0 for group in ("eng_general", "eng_specific")]
        assert everything.wins[run.model].mean == pytest.approx(sum(means) / 2)
        assert everything.wins[run.model].n == 40
    assert 0 < everything.flip.n < 40


def test_judges_are_never_mixed_and_seeds_of_a_model_are_one(tmp_path: Path) -> None:
    judge_all(tmp_path, longer_wins)
    judge_all(tmp_path, longer_wins, judge="other")
    judge_all(tmp_path, longer_wins, seed=2)
    tables = [each for each in found(tmp_path) if each.criterion == "overall"]
    assert len({each.column for each in tables}) == len(tables) == 2
    assert all(set(each.names) == set(MODELS) for each in tables)
    assert sorted(each.wins["one"].n for each in tables) == [80, 160]


def test_two_models_of_one_name_are_rated_under_the_names_of_the_tables(tmp_path: Path) -> None:
    judge = PairwiseJudge(engine=scripted("ratings", longer_wins), source=ModelSource("judge"))
    configs = [configured(tmp_path, judge, model=voice) for voice in ("one", "two")]
    configs = [replace(c, model=Base(name="base", source=ModelSource(f"/m/{c.model.name}"))) for c in configs]
    for config in (*configs, configs[0]):
        execute(config)
    collection = with_names(with_rows(collect([tmp_path])))
    (everything, *_), _ = rated(collection, "base (two)")
    assert set(everything.names) == {"base (one)", "base (two)"} == {row.label for row in collection.rows}
    assert everything.ratings is not None and everything.ratings.anchor == "base (two)"


def test_models_that_no_verdict_links_are_named_and_not_rated(tmp_path: Path) -> None:
    judge_all(tmp_path / "a", longer_wins, models=("one", "two"))
    judge_all(tmp_path / "b", longer_wins, models=("three", "four"))
    collection = with_rows(collect([tmp_path]))
    assert len(run_sets(collection.rows)) == 1
    (table, *_), _ = rated(collection, None)
    assert table.ratings is None and "so they cannot be rated together: four, three; one, two" in table.trouble
    assert "No ratings: no verdict links" in ratings_table(table).caption and table.wins["one"].n == 40


def test_a_judge_without_a_usable_verdict_rates_nobody(tmp_path: Path) -> None:
    def silent(request: Request) -> Reply:
        return "no idea"

    judge_all(tmp_path, silent, models=("one", "two"))
    (table, *_) = found(tmp_path)
    assert table.ratings is None and table.wins["one"].mean is None
    assert "No ratings: no usable verdict in both orders." in ratings_table(table).caption and table.flip.n == 0


def test_average_places_need_every_opponent() -> None:
    three = [Outcome("1", "r", "x", "y", "a"), Outcome("1", "r", "x", "z", "tie"), Outcome("1", "r", "y", "z", "b")]
    places = average_places([*three, Outcome("2", "s", "x", "y", "b")], ("x", "y", "z"))
    assert [(places[name].mean, places[name].n) for name in "xyz"] == [(1.5, 1), (3.0, 1), (1.5, 1)]


def test_a_report_prints_and_writes_ratings(tmp_path: Path) -> None:
    judge_all(tmp_path / "results", longer_wins)
    console = Console(file=io.StringIO(), width=100)
    assert print_report([tmp_path / "results"], reference="one", console=console) == 3
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "roleeval judge-card FOLDER" in printed
    assert "(anchor)" in printed and "first slot 0.5000" in printed and "one fixed at 1000" in printed
    files = {file.name: file for file in write_report([tmp_path / "results"], tmp_path / "out")}
    rows = list(csv.DictReader(files["ratings.csv"].open()))
    assert len(rows) == 9 and {row["criterion"] for row in rows} == {"overall", "style", "knowledge"}
    assert "ratings by judge/rolebench" in files["report.md"].read_text().replace("&#95;", "_").replace("&#64;", "@")


def test_a_report_of_one_run_names_the_runs_it_was_compared_with(tmp_path: Path) -> None:
    judge_all(tmp_path, longer_wins, models=("one", "two"))
    ((table, *_), _) = rated(with_rows(collect([tmp_path / "rolebench" / "one"])), None)
    assert set(table.names) == {"one", "two"} and [label.partition("/")[0] for label in table.absent] == ["two"]
    assert any("Not among the runs of this table: two/seed1-" in note for note in ratings_table(table).notes)


def test_a_folder_that_cannot_be_rated_is_named_and_stops_no_report(tmp_path: Path) -> None:
    judge_all(tmp_path / "results", longer_wins, models=("one", "two"))
    for file in (tmp_path / "results").rglob("transcripts.jsonl"):
        file.write_text(file.read_text().split("\n", 1)[1])
        without_hashes(file.parent)
    files = {file.name: file for file in write_report([tmp_path / "results"], tmp_path / "out")}
    assert "ratings.csv" not in files and "is not in transcripts.jsonl" in files["report.md"].read_text()
