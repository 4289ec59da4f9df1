"""A result folder in lm-eval's layout: what lm-eval would have written from the same texts, read by its own code."""

import json
from pathlib import Path
from typing import Any

import pytest
from replay import evaluate, play, replay_lm

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.errors import ResultError
from roleeval.integrations.lm_eval.export import export
from roleeval.results import ResultFolder, read_transcripts

TASKS = {f"rolebench_{split}" for split in ("eng_general", "eng_specific", "zh_general", "zh_specific")}


def visible_texts(folder: ResultFolder) -> dict[str, str]:
    return {sample.id: transcript.answer for sample, transcript in read_transcripts(folder.transcripts)}


def read_lines(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def by_task(files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Samples files, found and named as lm-eval finds and names them."""
    from lm_eval.utils import get_file_task_name, get_sample_results_filenames

    names = get_sample_results_filenames([str(file) for file in files])
    return {get_file_task_name(Path(name).name): read_lines(Path(name)) for name in names}


@pytest.fixture(scope="module")
def exported(embedded_run: ResultFolder, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return export(embedded_run.path, tmp_path_factory.mktemp("exported"))


def test_it_is_what_lm_eval_writes_from_the_same_texts(
    exported: list[Path], embedded_run: ResultFolder, tasks_folder: Path, tmp_path: Path
) -> None:
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(tmp_path))
    lm = replay_lm(visible_texts(embedded_run))
    results = evaluate(lm, ["rolebench"], tasks_folder, evaluation_tracker=tracker)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)
    (theirs_file,) = tmp_path.rglob("results_*.json")
    theirs, ours = json.loads(theirs_file.read_text()), json.loads(exported[0].read_text())

    assert ours["task_hashes"] == theirs["task_hashes"] and set(ours["task_hashes"]) == TASKS
    assert set(theirs) - set(ours) == set() and set(ours) - set(theirs) == {"roleeval"}
    for key in ("versions", "n-shot", "n-samples", "higher_is_better", "group_subtasks"):
        assert {k: v for k, v in ours[key].items() if k in TASKS} == theirs[key], key
    for task in TASKS:
        per_role = {f"distinct{n}_role{e},none" for n in (1, 2) for e in ("", "_stderr")}
        assert {k: v for k, v in ours["results"][task].items() if k not in per_role} == theirs["results"][task]
        assert set(ours["results"][task]) >= per_role

    their_rows, our_rows = by_task(list(tmp_path.rglob("*.jsonl"))), by_task(exported)
    assert set(their_rows) == set(our_rows) == TASKS
    for task in TASKS:
        assert {row.pop("status") for row in our_rows[task]} == {"ok", "no_answer", "truncated_reasoning"}
        for ours_row, theirs_row in zip(our_rows[task], their_rows[task], strict=True):
            assert sorted(ours_row.pop("metrics")) == sorted(theirs_row.pop("metrics"))
            assert ours_row == theirs_row


def test_lm_evals_own_code_and_datasets_read_it(exported: list[Path], tmp_path: Path) -> None:
    from datasets import load_dataset
    from lm_eval.utils import get_file_datetime, get_latest_filename, get_results_filenames, make_table

    names = [str(file) for file in exported]
    assert get_results_filenames(names) == [str(exported[0])]
    assert len({get_file_datetime(Path(name).stem) for name in names}) == 1
    assert get_latest_filename(names[1:]) in names
    table = make_table(json.loads(exported[0].read_text()))
    assert all(task in table for task in TASKS) and "rougeL_recall_pltrdy_max_RAW" in table
    for file in exported[1:]:
        rows = load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path))
        assert len(rows) == len(read_lines(file)) and "prompt_hash" in rows.features


def test_no_reasoning_leaves_the_result_folder(exported: list[Path], embedded_run: ResultFolder) -> None:
    assert any("think>" in t.turns[-1].raw for _, t in read_transcripts(embedded_run.transcripts))
    for rows in by_task(exported).values():
        assert not any("think>" in text for row in rows for resp in row["resps"] for text in resp)


def test_a_failed_call_is_a_missing_value(tmp_path: Path) -> None:
    folder = play(RoleBench(splits=("eng_general",)), tmp_path / "results", failing="eng_general/00004")
    files = export(folder.path, tmp_path / "out")
    (rows,) = by_task(files).values()
    failed = rows[4]
    assert (failed["doc_id"], failed["status"], failed["resps"]) == (4, "engine_failed", [[""]])
    assert all(failed[metric] is None for metric in failed["metrics"] if metric != "missing_rate_RAW")
    means = json.loads(files[0].read_text())["results"]["rolebench_eng_general"]
    known = [row["answer_words"] for row in rows if row["answer_words"] is not None]
    assert len(known) == 119 and means["answer_words,none"] == sum(known) / 119


def test_what_cannot_be_exported_says_why(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"no manifest\.json"):
        export(tmp_path, tmp_path / "out")
    folder = play(RoleBench(splits=("zh_specific",)), tmp_path / "results", stages=("generate",))
    with pytest.raises(ResultError, match=r"not scored yet.*stages=\[score\]"):
        export(folder.path, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_an_error(embedded_run: ResultFolder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(ResultError, match="could not be written"):
        export(embedded_run.path, tmp_path / "out")
