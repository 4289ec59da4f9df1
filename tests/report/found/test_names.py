"""What rows are called: two models that go by one name must not be mixed up, and one alone keeps its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scored import write

from roleeval.errors import ResultError
from roleeval.report import RunResult, collect, write_report
from roleeval.report.found.names import with_names
from roleeval.report.found.seeds import with_rows
from roleeval.report.plots import canvas
from roleeval.report.tables.differences import comparisons

MakeRun = Callable[..., Path]
F1, GROUP = "rougeL_f1_google_max", "eng_specific/SPE"
VALUES = {F1: {GROUP: {f"role{number}/0": number / 20 for number in range(10)}}}


@pytest.fixture
def run(make_run: MakeRun) -> Callable[..., None]:
    def make(name: str, model: str = "base", *, source: str | None = "/m/SmolLM2", **options: Any) -> None:
        about = {} if source is None else {"source": {"path": source, "revision": options.pop("revision", None)}}
        about |= {key: options.pop(key) for key in ("places", "adapters", "family") if key in options}
        write(make_run, model, VALUES, run=name, about=about, splits={"eng_specific": 10}, planned=10, **options)

    return make


def rows(folder: Path) -> tuple[RunResult, ...]:
    return with_names(with_rows(collect([folder]))).rows


def names(folder: Path) -> list[str]:
    return [row.label for row in rows(folder)]


def test_two_models_of_one_name_are_called_by_what_tells_them_apart(tmp_path: Path, run: Callable[..., None]) -> None:
    run("a", source="/models/SmolLM2-135M", sampling={"temperature": 0.7})
    run("b", source="google/gemma-3-270m")
    run("c", model="api", source="gpt-x")
    assert names(tmp_path) == ["api", "base (SmolLM2-135M)", "base (gemma-3-270m)"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"source": "/a/x/model"}, {"source": "/b/y/model"}, ["x/model", "y/model"]),
        (
            {"source": "/c/models--org--tiny/snapshots/0a1"},
            {"source": "/c/models--org--big/snapshots/9f9"},
            ["tiny", "big"],
        ),
        ({"revision": "main"}, {"revision": "v2"}, ["revision=main", "revision=v2"]),
        ({}, {"revision": "v2"}, ["no revision", "revision=v2"]),
        ({"places": {"adapter_path": "/l/one"}}, {"places": {"adapter_path": "/l/two"}}, ["one", "two"]),
        ({"adapters": {"a": "1"}}, {"adapters": {"a": "2"}}, ["adapters=", "adapters="]),
        ({"family": "rar"}, {"family": "her"}, ["rar", "her"]),
        (
            {"sampling": {"temperature": 0.0, "top_p": 1}},
            {"sampling": {"temperature": 0.7, "top_p": 0.9}},
            ["=0", "0.7"],
        ),
        ({}, {}, ["a", "b"]),
    ],
)
def test_the_first_option_that_differs_is_enough(
    tmp_path: Path, run: Callable[..., None], one: dict[str, Any], other: dict[str, Any], expected: list[str]
) -> None:
    run("a", **one)
    run("b", **other)
    found = names(tmp_path)
    assert len(set(found)) == 2
    for name, words in zip(found, expected, strict=True):
        assert name.startswith("base (") and words in name and ", " not in name


def test_seeds_of_a_model_are_one_row_and_one_name(tmp_path: Path, run: Callable[..., None]) -> None:
    for seed in (1, 2):
        run(f"s{seed}", source="/m/one", seed=seed)
        run(f"t{seed}", source="/m/two", seed=seed, family="rar")  # of another identity, as other weights are
    run("alone", model="other")
    assert names(tmp_path) == ["base (one)", "base (two)", "other"]
    collection = with_names(with_rows(collect([tmp_path])))
    assert [each.label for each in collection.runs] == ["base (one)"] * 2 + ["base (two)"] * 2 + ["other"]


def test_a_reference_of_several_models_names_the_choices(tmp_path: Path, run: Callable[..., None]) -> None:
    run("a", source="/m/one")
    run("b", source="/m/two")
    collection = with_names(with_rows(collect([tmp_path])))
    with pytest.raises(ResultError, match=r"--reference base: .*'base \(one\)' \(base/a\), 'base \(two\)' \(base/b\)"):
        comparisons(collection, "base")
    for reference in ("base (two)", "base/b"):
        (found,) = comparisons(collection, reference)
        assert found.reference.label == "base (two)" and [other.label for other in found.others] == ["base (one)"]


def test_every_file_of_a_report_uses_the_same_names(
    tmp_path: Path, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("a", source="/m/one-with-a-name-that-is-long-enough-to-be-cut")
    run("b", source="/m/one-with-a-name-that-is-long-enough-to-be-cut-too")
    expected = {f"base (one-with-a-name-that-is-long-enough-to-be-cut{end})" for end in ("", "-too")}
    drawn: list[list[str]] = []
    short = canvas.names
    monkeypatch.setattr(canvas, "names", lambda rows: drawn.append(short(rows)) or drawn[-1])
    reference = "base (one-with-a-name-that-is-long-enough-to-be-cut)"
    write_report([tmp_path], tmp_path / "out", reference=reference)
    assert set(pd.read_csv(tmp_path / "out" / "report.csv")["model"]) == expected
    assert set(pd.read_csv(tmp_path / "out" / "differences.csv")["reference"]) == {reference}
    assert {label.replace("\n", " ") for label in drawn[0]} == expected
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all(text.count(name) >= 3 for name in expected)
