"""What a third party gets wrong is one sentence: class, key, way out; before anything is generated where it can be."""

from pathlib import Path
from typing import Any

import pytest

from roleeval.config import parse_config
from roleeval.errors import RoleEvalError
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime
from tests.e2e.conftest import Start
from tests.e2e.test_third_party import INN

SOURCE = {"path": "stub"}


def node(target: str, /, **options: Any) -> dict[str, Any]:
    return {"_target_": target, **options}


def mistake(folder: Path, **groups: Any) -> str:
    """The error of a run of the inn with something else in the place of its own."""
    config = {
        "benchmark": node("inn.Inn"),
        "model": node("inn.Company", name="company", source=SOURCE),
        "engine": node("roleeval_stubs.StubOptions", script="inn_replies:reply", journal=str(folder / "asked.txt")),
        "metrics": {"slips": node("inn.Slips")},
        "judge": None,
        "results_dir": str(folder),
        "progress": "quiet",
        "limit": 1,
        **groups,
    }
    runtime = Runtime()
    try:
        with pytest.raises(RoleEvalError) as error:
            runtime.execute(lambda: run(parse_config(config), runtime))
    finally:
        runtime.close()
    message = str(error.value)
    assert "\n" not in message
    return message


def asked(folder: Path) -> bool:
    return (folder / "asked.txt").exists()


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            {"mine": node("inn_mistakes.UndeclaredMetric")},
            "metrics.mine._target_: inn_mistakes.UndeclaredMetric does not implement Metric: missing infos. Add"
            " them (roleeval.metrics.Metric; docs/extending.md)",
        ),
        (
            {"mine": node("inn_mistakes.EmptyMetric")},
            "metrics.mine: inn_mistakes.EmptyMetric declares no metric: give it a method infos() that returns a",
        ),
        (
            {"slips": node("inn.Slips"), "again": node("inn.Slips")},
            "metrics.slips and metrics.again both declare the metric 'inn/slips'; remove one of them"
            " (metrics.again=null)",
        ),
        ({"mine": node("inn.Guest")}, "metrics.mine._target_: cannot load 'inn.Guest'"),
        ({"mine": node("inn_replies.reply")}, "metrics.mine._target_: inn_replies.reply is not a dataclass"),
    ],
)
def test_a_metric(tmp_path: Path, metrics: Any, message: str) -> None:
    assert mistake(tmp_path, metrics=metrics).startswith(message)
    assert not asked(tmp_path)


def test_a_row_that_is_not_declared_ends_the_run_with_the_first_episode(tmp_path: Path) -> None:
    found = mistake(tmp_path, metrics={"mine": node("inn_mistakes.StrayMetric")}, max_in_flight=1)
    assert found.startswith("metrics.mine: inn_mistakes.StrayMetric scored the metric 'inn/slips', which it does not")
    assert "MetricInfo('inn/slips', label=..., unit=..., recipe=...)" in found
    assert len((tmp_path / "asked.txt").read_text().splitlines()) < 12  # one scene of two


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        (
            node("inn_mistakes.Shapeless"),
            "benchmark._target_: inn_mistakes.Shapeless does not implement Benchmark: missing averages, count,"
            " describe, episode, name, samples. Add them (roleeval.benchmarks.Benchmark; docs/extending.md)",
        ),
        (
            node("inn_mistakes.Undescribed"),
            "benchmark: inn_mistakes.Undescribed.describe(): lacks the key 'data_hash'; every benchmark must describe"
            " data_hash, prompt_packs (docs/extending.md)",
        ),
        (node("inn_mistakes.Misdescribed"), "benchmark: inn_mistakes.Misdescribed.describe(): splits is not what a"),
        (node("inn_mistakes.Unwritable"), "benchmark: inn_mistakes.Unwritable.describe(): not valid for JSON"),
        (node("inn_mistakes.Homeless"), "benchmark.name: 'inn/grey_heron' is not a valid folder name; give a name"),
        (node("inn_mistakes.Slashed"), "benchmark: 'inn/en' is not a valid name of a split; use a name"),
        (
            node("inn.Inn", guest={"model": node("inn.Slips")}),
            "benchmark.guest.model._target_: inn.Slips does not implement PersonaModel: missing adapter,",
        ),
        (
            node("inn.Inn", director={"engine": node("inn.Slips")}),
            "benchmark.director.engine._target_: inn.Slips does not implement EngineOptions: missing build.",
        ),
        (node("inn.Inn", prompt_pack="pkg://outn/prompts"), "pkg://outn/prompts: no package 'outn'; install"),
        (node("inn.Inn", data_file="nowhere.jsonl"), "nowhere.jsonl: no such file; benchmark.data_file names"),
    ],
)
def test_a_benchmark(tmp_path: Path, benchmark: Any, message: str) -> None:
    found = mistake(tmp_path, benchmark=benchmark)
    assert message in found and (found.startswith(message) or "nowhere" in message)
    assert not asked(tmp_path)


def test_samples_that_cannot_be_told_apart_lose_nothing(tmp_path: Path) -> None:
    found = mistake(tmp_path, benchmark=node("inn_mistakes.Twins"))
    assert "has the same id or index (0) as another one; samples need unique ids and the indices 0, 1, ..." in found
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (
            node("inn.Slips"),
            "judge._target_: inn.Slips is not a judge; subclass roleeval.judging.Judge (docs/extending.md)",
        ),
        (
            node("roleeval.judging.Panel", judges={"one": node("inn.ErrorJudge"), "two": node("inn.Slips")}),
            "judge.judges.two._target_: inn.Slips is not a judge; subclass roleeval.judging.Judge",
        ),
        (
            node("inn_mistakes.HalfJudge"),
            "judge._target_: inn_mistakes.HalfJudge is incomplete: missing scores, infos. Add them"
            " (roleeval.judging.Judge; docs/extending.md)",
        ),
        (
            node("inn_mistakes.EmptyJudge"),
            "judge: inn_mistakes.EmptyJudge declares no metric: give it a method",
        ),
        (node("inn.ErrorJudge", engine=node("inn.Slips")), "judge.engine._target_: inn.Slips does not implement"),
        (node("inn.ErrorJudge", pack="pkg://inn/prompt"), "prompt pack"),
    ],
)
def test_a_judge_is_refused_before_anything_is_generated(tmp_path: Path, judge: Any, message: str) -> None:
    assert mistake(tmp_path, judge=judge).startswith(message)
    assert not asked(tmp_path)


def test_a_judges_row_that_is_not_declared_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    found = mistake(tmp_path, judge=node("inn_mistakes.StrayJudge"))
    assert found.startswith("judge: inn_mistakes.StrayJudge scored the metric 'charm', which it does not declare; add")
    assert list(tmp_path.rglob("manifest.json"))  # what was generated and scored is whole


@pytest.mark.parametrize(
    ("group", "options", "message"),
    [
        (
            "engine",
            node("inn.Slips"),
            "engine._target_: inn.Slips does not implement EngineOptions: missing build. Add",
        ),
        (
            "engine",
            node("inn_mistakes.DeafOptions"),
            "engine: inn_mistakes.DeafOptions.build: inn_mistakes.Deaf does not implement Engine: missing describe,"
            " generate. Add them (roleeval.engines.Engine; docs/extending.md)",
        ),
        ("model", node("inn.Slips"), "model._target_: inn.Slips does not implement PersonaModel: missing adapter,"),
        (
            "model",
            node("inn_mistakes.NamelessCompany", name="x", source=SOURCE),
            "model.name: '' is not a valid folder name; give a name without '/'",
        ),
        ("model", node("inn.Company", name="x", source=SOURCE, part="all"), "model.part: unknown key; allowed keys: "),
    ],
)
def test_an_engine_or_a_family(tmp_path: Path, group: str, options: Any, message: str) -> None:
    assert mistake(tmp_path, **{group: options}).startswith(message)
    assert not asked(tmp_path)


def test_on_the_command_line_it_is_one_line_and_exit_code_1(tmp_path: Path, start: Start) -> None:
    process = start(*INN, "model.name=plain", "+metrics.mine._target_=inn_mistakes.EmptyMetric", "limit=1")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in output
    assert "metrics.mine: inn_mistakes.EmptyMetric declares no metric: give it a method infos()" in output
    assert not asked(tmp_path)
