"""Importing official sessions: every text and score as in the files, and nothing when sessions and scores disagree."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from roleeval.benchmarks.minimax.scores import DIMENSIONS
from roleeval.cli.main import app
from roleeval.errors import DataError, ResultError
from roleeval.integrations.minimax.importer import Imported, import_minimax
from roleeval.report import collect
from roleeval.report.found.compare import run_sets
from roleeval.report.found.seeds import with_rows
from roleeval.report.render.markdown import markdown
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.contents import contents
from roleeval.results import ResultFolder, read_transcripts
from tests.support.minimax_tables import dialogue_row, evaluation_row, rounds, seed_row, write_table, write_tables


def imported(folder: Path, name: str = "en", **options: Any) -> Imported:
    tables = folder / "data" / name
    (suffix,) = {file.suffix for file in tables.iterdir()}
    seeds = tables / f"seeds{suffix}"
    files = [tables / f"{name}{suffix}" for name in ("dialogues", "evaluations")]
    options.setdefault("seeds", seeds if seeds.is_file() else None)
    return import_minimax(*files, out=folder / "results" / "minimax", **options)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_each_model_becomes_a_folder_with_its_texts_and_scores(tmp_path: Path, suffix: str) -> None:
    done = imported(write_tables(tmp_path, suffix=suffix))
    assert (done.sessions, done.seeds, done.language, done.skipped) == (12, 2, "en", ())
    assert [f"{each.parent.name}/{each.name}" for each in done.folders] == [
        "model-a/official_en",
        "model-b/official_en",
    ]
    folder = ResultFolder(done.folders[0])
    played = list(read_transcripts(folder.transcripts))
    assert [sample.id for sample, _ in played][:4] == [
        "en_dialogue_001/run_1",
        "en_dialogue_001/run_2",
        "en_dialogue_001/run_3",
        "en_dialogue_002/run_1",
    ]
    sample, transcript = played[0]
    assert (sample.cluster, sample.split, sample.persona.role) == ("en_dialogue_001", "en", "Ines")
    assert sample.question == "Open it, please." and sample.material["prologue"] == "The gate is shut for the night."
    assert sample.material["user_setting"] == "A bargeman with a late cargo." and sample.labels == {"run": "run_1"}
    assert [turn.part for turn in transcript.turns[:5]] == ["given", "given", "model", "user", "model"]
    assert [turn.speaker for turn in transcript.turns[:4]] == ["Ines", "Tam", "Ines", "Tam"]
    assert [turn.visible for turn in transcript.turns] == [each["text"] for each in rounds()]


def test_scores_are_the_files_and_categories_follow_both_rules(tmp_path: Path) -> None:
    done = imported(write_tables(tmp_path))
    rows = pd.read_parquet(ResultFolder(done.folders[0]).scores)
    assert len(rows) == 6 * (6 + 5 + 2) and set(rows["group"]) == {"en"} and set(rows["model"]) == {"model-a"}
    found = rows[rows["sample"] == "en_dialogue_001/run_1"].set_index("metric")["value"].to_dict()
    points = {name: 90.0 - 4 * place for place, name in enumerate(DIMENSIONS)}
    worlds, stories, preferences = {"mean": 86.0, "sum": 58.0}, {"mean": 76.0, "sum": 52.0}, 70.0
    expected = {f"minimax_official/{name}": value for name, value in points.items()}
    expected |= {f"minimax_official/worlds_{rule}": value for rule, value in worlds.items()}
    expected |= {f"minimax_official/stories_{rule}": value for rule, value in stories.items()}
    expected |= {"minimax_official/preferences": preferences}
    for rule in ("mean", "sum"):
        overall = worlds[rule] / 2 + stories[rule] / 4 + preferences / 4
        expected[f"minimax_official/overall_{rule}"] = overall
    assert found == pytest.approx(expected)


def test_reports_show_the_models_side_by_side_and_the_languages_apart(tmp_path: Path) -> None:
    write_tables(tmp_path)
    imported(tmp_path)
    imported(tmp_path, "zh")
    found = with_rows(collect([tmp_path / "results"]))
    assert [len(each.runs) for each in run_sets(found.runs)] == [2, 2]
    report = markdown(contents(found, reference=None, choice=Choice()))
    assert "model-a" in report and "MiniMax's own judge, which is not published" in report
    assert "Reported elsewhere: MiniMax Role-play Bench" in report


def test_empty_messages_and_reasoning_are_counted_and_reasoning_is_not_heard(tmp_path: Path) -> None:
    held = rounds()
    held[4]["text"], held[6]["text"] = "", "<think>She is lying.</think>Very well."
    table = tmp_path / "data" / "en"
    write_table(table / "dialogues.jsonl", [dialogue_row(dialogue=json.dumps(held))])
    write_table(table / "evaluations.jsonl", [evaluation_row()])
    done = imported(tmp_path)
    assert (done.empty, done.reasoning_removed) == (1, 1)
    ((sample, transcript),) = read_transcripts(ResultFolder(done.folders[0]).transcripts)
    assert (transcript.turns[4].status, transcript.turns[6].visible) == ("no_answer", "Very well.")
    assert transcript.turns[6].thoughts == "She is lying." and sample.persona.role == ""


def test_sessions_and_scores_that_are_not_one_to_one_leave_nothing_behind(tmp_path: Path) -> None:
    table = tmp_path / "data" / "en"
    write_table(table / "dialogues.jsonl", [dialogue_row(), dialogue_row(run="run_2")])
    write_table(table / "evaluations.jsonl", [evaluation_row(), evaluation_row(run="run_3")])
    with pytest.raises(DataError, match=r"not one to one: .*run_2: a dialogue without an evaluation.*run_3"):
        imported(tmp_path)
    assert not [each for each in (tmp_path / "results").rglob("*") if each.is_file()]
    done = imported(tmp_path, on_error="skip")
    assert done.sessions == 1 and len(done.unpaired) == 2


def test_the_language_is_the_seeds_or_the_folders_or_has_to_be_given(tmp_path: Path) -> None:
    for name, rows in (("dialogues", [dialogue_row("s1")]), ("evaluations", [evaluation_row("s1")])):
        write_table(tmp_path / "data" / "zh" / f"{name}.jsonl", rows)
        write_table(tmp_path / "data" / "here" / f"{name}.jsonl", rows)
    assert imported(tmp_path, "zh").language == "zh"
    with pytest.raises(DataError, match="give --language en or zh"):
        imported(tmp_path, "here")
    assert imported(tmp_path, "here", language="en").language == "en"
    write_tables(tmp_path / "two", languages=["en"])
    with pytest.raises(DataError, match="are of en, not of zh"):
        imported(tmp_path / "two", language="zh")
    mixed = [evaluation_row(), evaluation_row("zh_dialogue_001")]
    write_table(tmp_path / "two" / "data" / "en" / "evaluations.jsonl", mixed)
    with pytest.raises(DataError, match="import each language's files by themselves"):
        imported(tmp_path / "two")


def test_a_run_of_this_harness_is_not_overwritten_and_an_import_is_replaced(tmp_path: Path) -> None:
    done = imported(write_tables(tmp_path))
    assert imported(tmp_path).folders == done.folders
    manifest = done.folders[0] / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"imported": {', '"other": {'), encoding="utf-8")
    with pytest.raises(ResultError, match="was not imported"):
        imported(tmp_path)


def test_the_command_tells_what_it_found(tmp_path: Path) -> None:
    table = write_tables(tmp_path, languages=["en"]) / "data" / "en"
    write_table(table / "seeds.jsonl", [seed_row(1, ai_prologue="Another."), seed_row(2)])
    arguments = ["import", "minimax", "--out", str(tmp_path / "out")]
    for name in ("dialogues", "evaluations", "seeds"):
        arguments += [f"--{name}", str(table / f"{name}.jsonl")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "opening: model-a, en_dialogue_001/run_1" in done.output
    assert "imported: 12 sessions of 2 seeds (en) in 2 folders; 0 malformed rows" in done.output
    assert "6 sessions that do not begin as their seed" in done.output
    write_table(table / "seeds.jsonl", [seed_row(1)])
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and "lacks the seed 'en_dialogue_002'" in done.output
