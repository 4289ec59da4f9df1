"""The official tables are read exactly, and a row that breaks the schema is named before anything is played."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roleeval.benchmarks.minimax.data import (
    read_dialogues,
    read_evaluations,
    read_seeds,
    table_file,
    unpaired,
)
from roleeval.errors import DataError
from tests.support.minimax_tables import (
    dialogue_row,
    evaluation_row,
    rounds,
    seed_row,
    write_table,
    write_tables,
)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_both_forms_hold_the_same(tmp_path: Path, suffix: str) -> None:
    folder = write_tables(tmp_path, suffix=suffix)
    seeds = list(read_seeds(table_file(folder, "zh", "seeds"), "zh"))
    assert [(seed.id, seed.language, seed.number) for seed in seeds] == [
        ("zh_dialogue_001", "zh", 1),
        ("zh_dialogue_002", "zh", 2),
    ]
    dialogues = list(read_dialogues(table_file(folder, "zh", "dialogues")))
    scores = list(read_evaluations(table_file(folder, "zh", "evaluations")))
    assert len(dialogues) == 12 and unpaired([d.key for d in dialogues], [s.key for s in scores]) == []
    assert dialogues[0].rounds[1].role == "user" and dialogues[0].rounds[101].text == "Message 101."
    assert scores[0].scores["logic"] == scores[0].logic == 86.0


def test_the_folder_may_lack_data_and_one_without_tables_says_what_it_has(tmp_path: Path) -> None:
    file = write_table(tmp_path / "en" / "seeds.jsonl", [seed_row()])
    assert table_file(tmp_path, "en", "seeds") == file
    with pytest.raises(DataError, match=r"zh/dialogues\.jsonl: no such file.*tables in the folder: en/seeds"):
        table_file(tmp_path, "zh", "dialogues")


def test_texts_are_exact(tmp_path: Path) -> None:
    odd = " \u2028 two\nlines  "
    file = write_table(tmp_path / "s.jsonl", [seed_row(ai_prologue=f"x{odd}")])
    assert next(read_seeds(file, "en")).ai_prologue == f"x{odd}"
    held = json.dumps([entry | {"text": odd} for entry in rounds()])
    file = write_table(tmp_path / "d.jsonl", [dialogue_row(dialogue=held)])
    assert {entry.text for entry in next(read_dialogues(file)).rounds} == {odd}


def test_an_empty_message_is_an_outcome(tmp_path: Path) -> None:
    held = json.dumps([entry | {"text": ""} for entry in rounds()])
    assert next(read_dialogues(write_table(tmp_path / "d.jsonl", [dialogue_row(dialogue=held)]))).rounds[2].text == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ai_name": ""}, "seed 'en_dialogue_001': key 'ai_name': must be a non-empty string"),
        ({"user_setting": None}, "key 'user_setting'"),
        ({"ai_setting": 3}, "key 'ai_setting'"),
        ({"id": "zh_dialogue_001"}, "languages are never mixed"),
        ({"id": " "}, "key 'id'"),
    ],
)
def test_a_malformed_seed_is_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    file = write_table(tmp_path / "s.jsonl", [seed_row(7), seed_row(**changed)])
    with pytest.raises(DataError) as caught:
        list(read_seeds(file, "en"))
    assert str(caught.value).startswith(f"{file}, line 2") and words in str(caught.value)
    skipped: list[str] = []
    assert len(list(read_seeds(file, "en", on_error="skip", skipped=skipped))) == 1 and words in skipped[0]


def _held(change: Callable[[list[dict[str, Any]]], Any]) -> str:
    found = rounds()
    changed = change(found)
    return json.dumps(found if changed is None else changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dialogue": rounds()}, "key 'dialogue': must be a string that holds a JSON list"),
        ({"dialogue": "[{"}, "key 'dialogue': not valid JSON"),
        ({"dialogue": '["\\ud83d"]'}, "half of a surrogate pair"),
        ({"dialogue": _held(lambda r: r[:101])}, "a list of 102 rounds, not a list of 101"),
        ({"dialogue": _held(lambda r: {"rounds": r})}, "102 rounds, not dict"),
        ({"dialogue": _held(lambda r: r[5].update(role="ai"))}, "round 5: 'role' must be 'user', not 'ai'"),
        ({"dialogue": _held(lambda r: r[5].update(round=6))}, "round 5: 'round' must be 5, not 6"),
        ({"dialogue": _held(lambda r: [e | {"round": e["round"] + 1} for e in r])}, "rounds count from 0"),
        ({"dialogue": _held(lambda r: r[9].update(text=None))}, "round 9: 'text' must be a string"),
        ({"dialogue": _held(lambda r: r[9].clear())}, "round 9: 'round' must be 9, not None"),
        ({"dialogue": _held(lambda r: r.__setitem__(3, "x"))}, "round 3: not a JSON object"),
        ({"num_turns": 100}, "key 'num_turns': must be 102, not 100"),
        ({"num_turns": "102"}, "key 'num_turns'"),
        ({"run_id": "run_4"}, "key 'run_id': 'run_4' is not one of run_1, run_2, run_3"),
        ({"run_id": 1}, "key 'run_id'"),
        ({"model_name": ""}, "key 'model_name'"),
        ({}, "the same seed, model and run as line 1"),
    ],
)
def test_a_malformed_session_is_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    file = write_table(tmp_path / "d.jsonl", [dialogue_row(), dialogue_row(**changed)])
    with pytest.raises(DataError) as caught:
        list(read_dialogues(file))
    assert str(caught.value).startswith(f"{file}, line 2, seed 'en_dialogue_001'") and words in str(caught.value)
    assert "benchmark.on_error=skip" in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 100.5, True, "90", None, float("nan"), float("inf")])
def test_a_score_that_is_no_number_from_0_to_100_is_named(tmp_path: Path, value: Any) -> None:
    file = write_table(tmp_path / "e.jsonl", [evaluation_row(), evaluation_row(run="run_2", logic_score=value)])
    with pytest.raises(DataError, match=r"line 2, seed 'en_dialogue_001', model-a, run_2: key 'logic_score'"):
        list(read_evaluations(file))


def test_a_line_that_is_no_object_and_a_file_without_rows(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text('[1]\n{"seed_id": \n\n', encoding="utf-8")
    skipped: list[str] = []
    assert list(read_evaluations(file, on_error="skip", skipped=skipped)) == []
    assert "line 1: not a JSON object" in skipped[0] and "line 2: not valid JSON" in skipped[1]
    file.write_text("\n")
    with pytest.raises(DataError, match="contains no rows"):
        list(read_evaluations(file))


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    file.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        list(read_evaluations(file))
    write_table(file, [evaluation_row(), evaluation_row(run="run_9")])
    with pytest.raises(DataError, match="row 2, seed"):
        list(read_evaluations(file))


def test_sessions_and_scores_are_one_to_one() -> None:
    one, two = ("en_dialogue_001", "a", "run_1"), ("en_dialogue_001", "b", "run_1")
    assert unpaired([one], [two]) == [
        "seed 'en_dialogue_001', model 'a', run_1: a dialogue without an evaluation",
        "seed 'en_dialogue_001', model 'b', run_1: an evaluation without a dialogue",
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, suffix: str) -> None:
    held = json.dumps([entry | {"text": "word " * 40} for entry in rounds()])
    keys = [(f"en_dialogue_{n:03d}", "m", f"run_{r}") for n in range(20) for r in (1, 2, 3)]
    file = write_table(tmp_path / f"d.{suffix}", [dialogue_row(*key, dialogue=held) for key in keys])
    tracemalloc.start()
    assert sum(1 for _ in read_dialogues(file)) == len(keys)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(held) * 30
