"""`roleeval data check` and `fetch` know the Role-play Bench: counts, every problem by name, a pinned revision only."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roleeval.benchmarks.minimax import FILES, RELEASE, fetch
from roleeval.benchmarks.minimax.check import check_minimax
from roleeval.cli.main import app
from roleeval.errors import ConfigError, DataError
from tests.support.minimax_tables import dialogue_row, evaluation_row, rounds, seed_row, write_table, write_tables


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_counts_what_is_there_language_by_language(tmp_path: Path, suffix: str) -> None:
    check = check_minimax(write_tables(tmp_path, suffix=suffix))
    assert check.problems == check.notes == check.absent == ()
    dialogues = next(table for table in check.tables if table.file == f"data/zh/dialogues.{suffix}")
    assert (dialogues.rows, dialogues.seeds, dialogues.models, dialogues.runs, dialogues.empty) == (12, 2, 2, 3, 0)
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert done.exit_code == 0 and f"data/en/evaluations.{suffix}" in done.stdout


def test_everything_wrong_is_named_and_fails_the_command(tmp_path: Path) -> None:
    table = tmp_path / "data" / "en"
    held = rounds()
    held[4]["text"] = " "
    write_table(table / "seeds.jsonl", [seed_row(1, ai_prologue="Another."), seed_row(2, user_name="")])
    rows = [dialogue_row(dialogue=json.dumps(held)), dialogue_row(run="run_2"), dialogue_row(num_turns=2)]
    write_table(table / "dialogues.jsonl", rows)
    write_table(table / "evaluations.jsonl", [evaluation_row(), evaluation_row("en_dialogue_009")])
    done = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert done.exit_code == 1 and "Traceback" not in done.stderr
    for words in (
        f"{table / 'seeds.jsonl'}, line 2, seed 'en_dialogue_002': key 'user_name'",
        f"{table / 'dialogues.jsonl'}, line 3, seed 'en_dialogue_001', model-a, run_1: key 'num_turns'",
        "en: seed 'en_dialogue_001', model 'model-a', run_2: a dialogue without an evaluation",
        "en: seed 'en_dialogue_009', model 'model-a', run_1: an evaluation without a dialogue",
        "en: seed 'en_dialogue_009': not in the table of seeds",
        "5 malformed rows, or sessions and scores without their counterpart",
    ):
        assert words in done.stderr, words
    assert "missing tables: zh/seeds, zh/dialogues, zh/evaluations" in done.stdout
    assert "en: 2 sessions do not begin as their seed says" in done.stdout
    check = check_minimax(tmp_path)
    assert next(each for each in check.tables if "dialogues" in each.file).empty == 1


def test_missing_combinations_are_told_and_both_forms_of_a_table_are_read(tmp_path: Path) -> None:
    write_table(tmp_path / "en" / "evaluations.jsonl", [evaluation_row(), evaluation_row(run="run_2", model="b")])
    write_table(tmp_path / "en" / "evaluations.parquet", [evaluation_row(run="run_7")])
    check = check_minimax(tmp_path)
    assert [table.file for table in check.tables] == ["en/evaluations.jsonl", "en/evaluations.parquet"]
    assert "en: 2 of 4 combinations" in check.notes[0] and "run_7" in check.problems[0] and len(check.problems) == 1
    with pytest.raises(DataError, match="no table of the Role-play Bench"):
        check_minimax(tmp_path / "en")


def test_the_pinned_revision_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def snapshot_download(repo: str, **options: object) -> str:
        asked.update(options, repo=repo)
        return str(options["local_dir"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert fetch(RELEASE, to=tmp_path) == tmp_path
    assert (asked["repo"], asked["repo_type"]) == ("MiniMaxAI/role-play-bench", "dataset")
    assert asked["revision"] == "3c1be2a56afbcaab19ae6b40b8a24429eae792f5"
    assert asked["allow_patterns"] == list(FILES) and "data/*/dialogues.parquet" in FILES
    done = CliRunner().invoke(app, ["data", "fetch", RELEASE, "--to", str(tmp_path)])
    assert done.exit_code == 0 and set(FILES) < set(asked["allow_patterns"])  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match=r"does not pin a revision.*role-play-bench@3c1be2a5"):
        fetch("hf://MiniMaxAI/role-play-bench@main")
