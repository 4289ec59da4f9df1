"""Which folders a report shows, and that the others are named with the reason and stop nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roleeval.errors import ResultError
from roleeval.report import collect
from roleeval.report.found.collect import judge_words


def test_finds_every_finished_run_once_however_it_is_pointed_at(
    tmp_path: Path, make_run: Callable[..., Path], specific: Callable[..., Any]
) -> None:
    first, second = make_run("alpha", specific(0.3)), make_run("beta", specific(0.4))
    found = collect([tmp_path, tmp_path / "results", first])
    assert [run.model for run in found.runs] == ["alpha", "beta"]
    assert [run.path for run in found.runs] == [first, second]
    assert found.not_shown == ()
    assert [run.model for run in collect([str(second)]).runs] == ["beta"]


def _unfinished(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "config.yaml").write_text("benchmark:\n  name: rolebench\n")


def _killed_at_once(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / "config.yaml").write_text("benchmark:\n  name: rolebench\n")


def _edit(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_unfinished, "unfinished: no manifest.json"),
        (_killed_at_once, "unfinished: no manifest.json"),
        (lambda f: (f / "summary.json").unlink(), "not scored"),
        (lambda f: (f / "summary.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), "expected a JSON object"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"), "damaged"),
        (lambda f: (f / "summary.json").write_text('{"metrics": 3}'), "not what a run writes"),
        (lambda f: (f / "summary.json").write_text('{"metrics": {"m": {"g": {"mean": NaN}}}}'), "damaged"),
        (lambda f: _edit(f, "manifest.json", lambda d: d.pop("samples")), "lacks the key 'samples'"),
        (lambda f: _edit(f, "manifest.json", lambda d: d["benchmark"].update(prompt_packs=3)), "damaged"),
        (lambda f: _edit(f, "summary.json", lambda d: d["metrics"].update(x={"g": {"mean": "high"}})), "damaged"),
    ],
)
def test_a_folder_that_cannot_be_shown_is_named_and_the_others_stay(
    tmp_path: Path,
    make_run: Callable[..., Path],
    specific: Callable[..., Any],
    damage: Callable[[Path], object],
    words: str,
) -> None:
    make_run("alpha", specific(0.3))
    broken = make_run("beta", specific(0.4))
    damage(broken)
    found = collect([tmp_path])
    assert [run.model for run in found.runs] == ["alpha"]
    assert [item.path for item in found.not_shown] == [broken]
    assert words in found.not_shown[0].reason


def test_other_folders_are_not_taken_for_runs(tmp_path: Path) -> None:
    for name, text in {
        "conf/config.yaml": "defaults:\n  - benchmark: rolebench\nseed: 1\n",
        "results/.sweeps/x/manifest.json": "{}",
        "results/published/rolebench.yaml": "rows: []\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    found = collect([tmp_path])
    assert found.runs == () and found.not_shown == ()


def test_a_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="nowhere: no such folder"):
        collect([tmp_path / "nowhere"])


def test_a_judge_is_named_once_with_what_failed_in_all_runs_together(
    tmp_path: Path, make_run: Callable[..., Path], specific: Callable[..., Any]
) -> None:
    make_run("alpha", specific(0.3)), make_run("beta", specific(0.4))
    runs = collect([tmp_path]).runs
    told = [
        replace(run, facts=replace(run.facts, judges={"judge/x": "judge model X"}, failed={"judge/x": (number, 100)}))
        for run, number in zip(runs, (4, 0), strict=True)
    ]
    assert judge_words(told) == {"judge/x": "judge model X; 4 of 200 questions failed (alpha 4)"}
    assert judge_words(told[:1]) == {"judge/x": "judge model X; 4 of 100 questions failed"}
    pooled = replace(runs[0], facts=replace(runs[0].facts, judges={"judge/p": "mean over a, b"}))
    assert judge_words([pooled]) == {"judge/p": "mean over a, b"}
