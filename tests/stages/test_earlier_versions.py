"""Folders written before manifests had a version: nothing in them is asked again, and they are judged and reported."""

import json
from dataclasses import replace
from pathlib import Path

from judge_stubs import scripted
from judged import configured, execute, points

from roleeval.config import RunConfig
from roleeval.engines import ModelSource
from roleeval.judging import RubricJudge
from roleeval.report import collect
from roleeval.results import ResultFolder
from roleeval.stages.outcome import RunOutcome


def aged(outcome: RunOutcome) -> ResultFolder:
    """The folder as the version before wrote it: other names of classes in its identity, and so another hash."""
    path = outcome.folder.path
    file = path / "manifest.json"
    data = json.loads(file.read_text())
    del data["format"]
    identity = data["identity"]
    options = {name: value for name, value in identity["benchmark"].items() if name != "class"}
    identity["benchmark"] = {"_target_": "roleeval.benchmarks.rolebench.RoleBench", **options}
    model = {name: value for name, value in identity["model"].items() if name not in ("class", "prefill")}
    identity["model"] = {"_target_": "roleeval.models.Base", **model}  # prefill was added since, say
    file.write_text(json.dumps(data))
    return ResultFolder(path.rename(path.with_name("seed1-0123abcd")))


def unjudged(folder: Path) -> RunConfig:
    return replace(configured(folder, RubricJudge(source=ModelSource("j"))), judge=None)


def test_a_finished_run_is_found_and_skipped(tmp_path: Path) -> None:
    config = unjudged(tmp_path)
    folder = aged(execute(config))
    again = execute(config)
    assert again.skipped and again.folder == folder
    assert [run.name for run in collect([tmp_path]).runs] == ["seed1-0123abcd"]


def test_another_run_is_not_taken_for_it(tmp_path: Path) -> None:
    config = unjudged(tmp_path)
    folder = aged(execute(config))
    (folder.path.parent / "seed1-damaged").mkdir()
    (folder.path.parent / "seed1-damaged" / "manifest.json").write_text("{")
    other = execute(replace(config, options=replace(config.options, limit=3)))
    assert not other.skipped and other.folder != folder


def test_it_is_judged_beside_a_run_of_today(tmp_path: Path) -> None:
    judge = RubricJudge(source=ModelSource("j"), engine=scripted("aged", lambda text: points(4)))
    config = configured(tmp_path, judge)
    folder = aged(execute(replace(config, judge=None)))
    judged = execute(config)
    assert judged.folder == folder and not judged.skipped
    manifest = folder.manifest()
    assert manifest is not None and len(manifest.judge_records) == 1
    assert execute(config).skipped
