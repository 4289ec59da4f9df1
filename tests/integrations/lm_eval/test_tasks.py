"""The RoleBench tasks for stock lm-eval: the same prompts and the same numbers as our own runner, row by row."""

import json
import logging
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from replay import evaluate, play, replay_lm

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.errors import DataError
from roleeval.integrations.lm_eval import tasks as lm_eval_tasks
from roleeval.metrics import default_metrics, infos_of
from roleeval.results import ResultFolder, read_transcripts

EMBEDDED = ("eng_general", "eng_specific", "zh_general", "zh_specific")
SPLITS = ("eng_general", "eng_specific", "rolegen_general", "rolegen_specific", "zh_general", "zh_specific")
ODD_QUESTIONS = (
    "Two lines\nof a question\n",
    " starts and ends with a space ",
    "ends with two newlines\n\n",
    "{{role}} {% raw %} {role} {description} {# no #}",
    "一个问题？\n\n第二段。　",
)


def transcripts(folder: ResultFolder) -> dict[str, Any]:
    return {sample.id: (sample, transcript) for sample, transcript in read_transcripts(folder.transcripts)}


def raw_texts(folder: ResultFolder) -> dict[str, str]:
    return {name: transcript.turns[-1].raw for name, (_, transcript) in transcripts(folder).items()}


def our_rows(folder: ResultFolder) -> dict[str, dict[str, float]]:
    """sample -> flat metric name -> value of scores.parquet; rows of a whole role left out."""
    table = pd.read_parquet(folder.scores)
    table = table[~table["sample"].str.contains("*", regex=False)]
    rows: dict[str, dict[str, float]] = {}
    for row in table.itertuples():
        protocol = row.group.partition("/")[2]
        rows.setdefault(row.sample, {})[f"{row.metric}_{protocol}" if protocol else row.metric] = row.value
    return rows


def write_data(folder: Path, *, descriptions: bool, instructions: tuple[str, ...] = ()) -> Path:
    """A small data folder in RoleBench's layout with all six splits and questions that invite changes."""
    for split, place in (
        ("eng", "rolebench-eng/instruction-generalization"),
        ("eng", "rolebench-eng/role-generalization"),
        ("zh", "rolebench-zh"),
    ):
        roles = ("Dr. Frank-N-Furter", "D_Artagnan") if split == "eng" else ("孙悟空", "李白")
        for kind in ("general", "role_specific"):
            file = folder / place / kind / "test.jsonl"
            file.parent.mkdir(parents=True)
            rows = [
                {"role": role, "question": question, "generated": [f" {role} speaks. ", "好的。"], "type": ["a", "b"]}
                for role in roles
                for question in ODD_QUESTIONS
            ]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if descriptions:
            profile = folder / f"profiles-{split}" / "desc.json"
            profile.parent.mkdir(exist_ok=True)
            profile.write_text(json.dumps({roles[0]: " A person {role} of {{many}} words.\nTwo lines. "}))
        for question in instructions:
            target = folder / f"instructions-{split}" / "general.jsonl"
            target.parent.mkdir(exist_ok=True)
            with target.open("a") as stream:
                stream.write(json.dumps({"instruction": question, "target": "A plain answer."}) + "\n")
    return folder


@pytest.mark.parametrize("split", EMBEDDED)
def test_every_row_has_the_numbers_of_our_own_runner(
    split: str, embedded_run: ResultFolder, tasks_folder: Path
) -> None:
    ours = {name: row for name, row in our_rows(embedded_run).items() if name.startswith(f"{split}/")}
    results = evaluate(replay_lm(raw_texts(embedded_run)), [f"rolebench_{split}"], tasks_folder)
    samples = results["samples"][f"rolebench_{split}"]
    theirs = {s["doc"]["id"]: {metric: s[metric] for metric in s["metrics"]} for s in samples}
    for row in theirs.values():
        assert row.pop("missing_rate_RAW", 0.0) == 0.0
    assert len(theirs) == len(samples) == (120 if split.startswith("eng") else 80)
    assert theirs == ours  # floats equal to the last bit


def test_the_shared_run_has_answers_of_every_kind(embedded_run: ResultFolder) -> None:
    manifest = embedded_run.manifest()
    assert manifest is not None
    assert manifest.samples.statuses == {"no_answer": 40, "ok": 320, "truncated_reasoning": 40}


def test_the_means_are_those_of_the_summary(embedded_run: ResultFolder, tasks_folder: Path) -> None:
    results = evaluate(replay_lm(raw_texts(embedded_run)), ["rolebench"], tasks_folder)["results"]
    summary = embedded_run.summary()
    assert summary is not None
    compared = 0
    for metric, groups in summary["metrics"].items():
        for group, entry in groups.items():
            split, _, protocol = group.partition("/")
            if "mean_of" in entry or metric.endswith("_role"):
                continue
            name = f"{metric}_{protocol}" if protocol else metric
            assert results[f"rolebench_{split}"][f"{name},none"] == pytest.approx(entry["mean"], abs=1e-12)
            compared += 1
    assert compared == 2 * (6 * 3 + 5 * 2)


@pytest.mark.parametrize("descriptions", [True, False])
def test_the_prompts_are_ours_character_for_character(
    descriptions: bool, tmp_path: Path, tasks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path / "data", descriptions=descriptions)
    monkeypatch.setenv("ROLEEVAL_ROLEBENCH_DIR", str(data))
    folder = play(RoleBench(data_dir=str(data), splits=SPLITS), tmp_path / "results")
    ours = {
        name: [{"role": m.role, "content": m.content} for m in transcript.turns[0].messages]
        for name, (_, transcript) in transcripts(folder).items()
    }
    for multiturn in (True, False):
        lm = replay_lm(raw_texts(folder))
        evaluate(lm, [f"rolebench_{split}" for split in SPLITS], tasks_folder, fewshot_as_multiturn=multiturn)
        theirs = {request.doc["id"]: json.loads(request.args[0]) for request in lm.requests}
        assert theirs == ours and len(theirs) == 6 * 10
    questions = {messages[-1]["content"] for messages in ours.values()}
    assert questions == set(ODD_QUESTIONS)
    assert {len(messages) for messages in ours.values()} == {2}


def test_decoding_is_greedy_and_only_the_models_own_end_stops_it(
    embedded_run: ResultFolder, tasks_folder: Path
) -> None:
    lm = replay_lm(raw_texts(embedded_run))
    evaluate(lm, ["rolebench"], tasks_folder, limit=1)
    kwargs = [request.args[1] for request in lm.requests]
    assert kwargs == [{"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 256}] * 4


@pytest.mark.parametrize("known", [(), ODD_QUESTIONS[:1]])
def test_a_missing_plain_answer_is_missing_and_counted(
    known: tuple[str, ...], tmp_path: Path, tasks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.utils import make_table

    data = write_data(tmp_path / "data", descriptions=True, instructions=known)
    monkeypatch.setenv("ROLEEVAL_ROLEBENCH_DIR", str(data))
    texts = {f"eng_general/{i:05d}": "A plain answer" for i in range(10)}
    results = evaluate(replay_lm(texts), ["rolebench_eng_general"], tasks_folder)
    rows = results["samples"]["rolebench_eng_general"]
    means = results["results"]["rolebench_eng_general"]
    missing = [row for row in rows if row["rougeL_recall_pltrdy_max_RAW"] is None]
    assert len(missing) == 10 - 2 * len(known)
    assert all(row["bleu4_nltk_smooth3_RAW"] is None and row["bleu4_nltk_smooth3_CUS"] is not None for row in missing)
    assert means["missing_rate_RAW,none"] == len(missing) / 10
    assert means["rougeL_recall_pltrdy_max_RAW,none"] == (1.0 if known else None)
    assert "rougeL_recall_pltrdy_max_RAW" in make_table(results)


def directions(row: dict[str, Any]) -> dict[str, bool | None]:
    """Of every metric that needs no judge, with each of the row's protocols."""
    infos = {name: info for metric in default_metrics() for name, info in infos_of(metric).items()}
    protocols = [protocol for protocol in lm_eval_tasks.PROTOCOLS if protocol in row]
    return lm_eval_tasks.directions(row, [(name, p) for name in infos for p in ("", *protocols)], infos)


def test_the_yaml_files_name_every_metric_with_its_direction(
    tmp_path: Path, tasks_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("ROLEEVAL_ROLEBENCH_DIR", str(write_data(tmp_path / "data", descriptions=False)))
    caplog.set_level(logging.WARNING)
    loaded = TaskManager(include_path=str(tasks_folder), include_defaults=False).load(
        [f"rolebench_{split}" for split in SPLITS]
    )["tasks"]
    assert len(loaded) == 6
    for task in loaded.values():
        row = task.eval_docs[0]
        numbers = lm_eval_tasks.process_results(row, ["An answer."])
        assert list(task.aggregation()) and set(task.aggregation()) == set(numbers)
        assert set(task.aggregation().values()) == {lm_eval_tasks.mean_of_known}
        assert task.higher_is_better() == {name: directions(row)[name] for name in numbers}
        assert lm_eval_tasks.TASK_VERSION == task.VERSION
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("lm_eval")]
    assert len(warnings) == 6 and all("Custom kwargs" in warning for warning in warnings)  # no default was put in


@pytest.mark.parametrize("text", ["", "...", " \n", "</think>", "<think>", ". . ." * 500, "\ud800", "x " * 5000, None])
def test_no_text_ends_the_run(text: str | None) -> None:
    doc = lm_eval_tasks.task_row(next(iter(RoleBench(splits=("eng_general",)).samples(limit=1))))
    numbers = lm_eval_tasks.process_results(doc, [text])
    assert all(value is not None and math.isfinite(value) for value in numbers.values())


def test_a_split_that_is_not_in_the_data_says_where_to_look(tasks_folder: Path) -> None:
    with pytest.raises(DataError, match=r"rolebench_rolegen_general.*splits in the folder.*ROLEEVAL_ROLEBENCH_DIR"):
        lm_eval_tasks.dataset(rolebench_split="rolegen_general")


def test_the_tasks_work_from_wherever_they_are_installed(tmp_path: Path, tasks_folder: Path) -> None:
    from lm_eval.tasks import TaskManager

    shutil.copytree(tasks_folder / "rolebench", tmp_path / "site-packages" / "roleeval" / "tasks" / "rolebench")
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    assert manager.all_tags == ["rolebench"]
    loaded = manager.load(["rolebench"])["tasks"]
    assert [len(loaded[f"rolebench_{split}"].eval_docs) for split in EMBEDDED] == [120, 120, 80, 80]


def test_roleeval_does_not_import_lm_eval(root: Path) -> None:
    code = (
        "import sys, roleeval, roleeval.cli.main, roleeval.stages.run, roleeval.benchmarks.rolebench, roleeval.metrics,"
        " roleeval.integrations.lm_eval.tasks, roleeval.integrations.lm_eval.export\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'lm_eval', 'datasets', 'torch'}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("split", "folder", "rows", "recall"),
    [
        pytest.param(
            "eng_specific",
            "rolebench-eng/instruction-generalization/role_specific",
            4750,
            0.3228992,
            marks=pytest.mark.slow,
        ),
        ("zh_specific", "rolebench-zh/role_specific", 239, 0.247786),
    ],
)
def test_stock_lm_eval_gives_the_published_numbers_of_rolegpt(
    split: str,
    folder: str,
    rows: int,
    recall: float,
    shared_rolebench: Path,
    tasks_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(name: str) -> list[dict[str, Any]]:
        with (shared_rolebench / folder / name).open(encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    answers = {(row["role"], row["question"]): row["generated"][0] for row in read("rolegpt_baseline.jsonl")}
    texts = {f"{split}/{i:05d}": answers[row["role"], row["question"]] for i, row in enumerate(read("test.jsonl"))}
    monkeypatch.setenv("ROLEEVAL_ROLEBENCH_DIR", str(shared_rolebench))
    results = evaluate(replay_lm(texts), [f"rolebench_{split}"], tasks_folder)["results"][f"rolebench_{split}"]
    assert results["sample_len"] == rows
    assert results["rougeL_recall_pltrdy_max_SPE,none"] == pytest.approx(recall, abs=5e-7)


@pytest.mark.slow
def test_the_stock_command_line_runs_the_tasks(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lm_eval", "--model", "dummy", "--include_path", "tasks", "--log_samples"]
    command += ["--tasks", "rolebench_eng_specific", "--limit", "4", "--output_path", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "rougeL_recall_pltrdy_max_SPE" in done.stdout
    (samples,) = tmp_path.rglob("samples_rolebench_eng_specific_*.jsonl")
    assert len(samples.read_text(encoding="utf-8").splitlines()) == 4
