"""A manifest that is half read puts a run into the wrong table; one reader says what it cannot read."""

import json
from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import ResultError
from roleeval.results import ResultFolder
from roleeval.results.manifest import FORMAT, JudgeRecord, PanelRecord, read_manifest

JUDGE = {
    "judge": "rubric",
    "prefix": "judge/rubric@1-2",
    "work": "w",
    "pack": {"name": "rubric", "version": "1", "sha256": "ab"},
    "model": {"source": "the run's own base model", "fingerprint": "f", "parameters": 3, "adapter": None},
    "questions": 2,
    "statuses": {"ok": 2},
    "ranges": {"overall": [1, 5]},
}
OLD: dict[str, Any] = {
    "identity": {
        "benchmark": {"_target_": "roleeval.benchmarks.rolebench.RoleBench", "splits": ["eng_general"]},
        "model": {"_target_": "their.package.Model", "name": "m"},
        "seed": 3,
        "limit": None,
        "helpers": {"environment": {"engine": "e"}},
    },
    "benchmark": {
        "name": "rolebench",
        "data": "embedded",
        "speakers": 7,
        "prompt_packs": {"p": {"version": "1", "sha256": "x"}},
    },
    "model": {
        "name": "m",
        "family": "base",
        "parameters": {"base": 5, "adapters": {"total": 0, "per_added_role": None}},
    },
    "samples": {"planned": 4, "statuses": {"ok": 3, "engine_failed": 1}},
    "stages": {"generate": "done"},
    "judges": {
        "judge/rubric@1": JUDGE,
        "judge/panel@2": {"judge": "panel", "prefix": "judge/panel@2", "members": ["a", "b"], "ranges": {}},
    },
    "imported": {"files": {}},
}


def test_a_manifest_without_a_version_is_read_into_todays_form() -> None:
    found = read_manifest(OLD, "manifest.json")
    assert found.format == FORMAT
    assert found.identity["benchmark"] == {"class": "RoleBench", "splits": ["eng_general"]}
    assert found.identity["model"]["class"] == "Model"
    assert (found.seed, found.limit, found.failed_samples, found.helpers) == (
        3,
        None,
        1,
        {"environment": {"engine": "e"}},
    )
    assert found.benchmark.more == {"speakers": 7} and found.more == {"imported": {"files": {}}}
    assert found.model.parameters.base == 5 and found.model.parameters.adapters.total == 0
    record, panel = found.judges["judge/rubric@1"], found.judges["judge/panel@2"]
    assert isinstance(record, JudgeRecord) and record.infos["overall"].ends == (1, 5) and record.attempts == 1
    assert isinstance(panel, PanelRecord) and panel.members == ("a", "b")
    assert list(found.judge_records) == ["judge/rubric@1"]


@pytest.mark.parametrize(
    ("ranges", "form"),
    [({"overall/win": [0, 1]}, "pairs"), ({"overall/beats": [0, 1]}, "ranking"), ({"overall": [1, 5]}, "points")],
)
def test_what_a_judges_verdicts_were_is_known_of_older_records(ranges: dict[str, list[int]], form: str) -> None:
    found = read_manifest({**OLD, "judges": {"judge/x": {**JUDGE, "ranges": ranges}}}, "manifest.json")
    assert found.judge_records["judge/x"].form == form


def test_what_is_written_is_read_back_the_same() -> None:
    found = read_manifest(OLD, "manifest.json")
    written = json.loads(json.dumps(found.to_json()))
    assert read_manifest(written, "manifest.json") == found
    assert (
        written["format"] == FORMAT and written["imported"] == {"files": {}} and written["benchmark"]["speakers"] == 7
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": FORMAT + 1}, rf"format {FORMAT + 1}, written by a newer version .* reads up to {FORMAT}"),
        ({"format": "two"}, "format two"),
        ({"samples": None}, "samples is not what a run writes"),
        ({"samples": {"statuses": {}}}, "lacks the key 'samples.planned'"),
        ({"model": {"name": "m", "family": 3}}, "model.family is not what a run writes"),
        ({"judges": {"judge/x": {**JUDGE, "questions": "many"}}}, r"judges\.judge/x\.questions"),
        ({"judges": {"judge/x": {**JUDGE, "ranges": {"overall": [1]}}}}, r"judges\.judge/x\.ranges"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**OLD, **change}))
    with pytest.raises(ResultError, match=words) as error:
        ResultFolder(tmp_path).manifest()
    assert str(tmp_path / "manifest.json") in str(error.value)
    assert ("delete the file and run the same command again" in str(error.value)) != ("format" in change)
