"""Reported rows: as the papers print them, with their source, and never among what was measured."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from roleeval.errors import DataError
from roleeval.report import print_report, write_report
from roleeval.report.tables.published import published_tables, published_values, reported
from roleeval.report.tables.tables import Table
from roleeval.resources import resource

MakeRun = Callable[..., Path]
MakeEntry = Callable[..., dict[str, Any]]


def rows(table: Table) -> dict[str, dict[str, str]]:
    return {row[0][0]: {name: cell[0] for name, cell in zip(table.columns, row, strict=True)} for row in table.rows}


def test_published_tables_hold_what_the_papers_print() -> None:
    coser, her = published_tables(["coser"])
    assert len(coser.rows) == 8 and len(her.rows) == 10
    assert rows(coser)["CoSER-70B"]["Avg"] == "59.06" and rows(coser)["CoSER-70B"]["BLEU"] == "0.1010"
    assert rows(coser)["GPT-4o"]["R-L"] == "0.1211"
    assert rows(her)["HER-RL (32B)"]["SQ"] == "58.12"
    for table, paper in ((coser, "2502.09082"), (her, "2601.21459")):
        assert table.title.startswith("Reported elsewhere") and f"arXiv {paper}" in table.caption
        assert "Not measured here" in table.caption and "judge: " in table.caption
        assert "SC is coser/storyline_consistency" in table.caption
    assert published_tables(["rolebench"]) == []


def test_averages_agree_with_their_columns_and_the_one_that_does_not_says_so() -> None:
    for table in published_tables(["coser"]):
        for model, row in rows(table).items():
            mean = sum(float(row[name]) for name in ("SC", "AN", "CF", "SQ")) / 4
            agrees = abs(mean - float(row["Avg"])) < 0.02
            assert agrees != model.startswith("Qwen3-32B"), model
            if not agrees:
                assert model.endswith("¹") and "24.06" in table.notes[0]


def test_the_role_play_benchs_overall_scores_are_those_of_their_categories() -> None:
    (table,) = published_tables(["minimax"])
    found = rows(table)
    assert len(found) == 19 and found["MiniMax-M2-her"]["Overall"] == "84.65" and found["HER-RL"]["W"] == "59.13"
    assert "judge: not published" in table.caption and any("not published" in note for note in table.notes)
    for model, row in found.items():
        made = 0.5 * float(row["W"]) + 0.25 * float(row["S"]) + 0.25 * float(row["P"])
        assert abs(made - float(row["Overall"])) <= 0.0051, model


def test_published_values_are_in_the_metrics_units_and_a_word_among_them_is_named(tmp_path: Path) -> None:
    values = published_values(resource("results/published/coser.yaml"))
    assert values["coser/bleu4"]["CoSER-70B"] == pytest.approx(0.101) and values["coser/avg"]["GPT-4o"] == 59.95
    head = "{benchmark: b, title: t, source: s, judge: j, protocol: p, columns: {A: m/a, B: m/b}"
    (tmp_path / "x.yaml").write_text(f"{head}, rows: [{{model: one, A: 1}}, {{model: two, A: 2, B: high}}]}}")
    with pytest.raises(DataError, match=r"x.yaml: the row of 'two' has no number for 'B'"):
        published_values(tmp_path / "x.yaml")


@pytest.fixture
def coser_results(tmp_path: Path, make_run: MakeRun, entry: MakeEntry) -> Path:
    """Measured runs that are called as the papers' models are."""
    for model, mean in (("GPT-4o", 41.25), ("CoSER-8B", 40.0)):
        manifest = make_run(model, {"coser/avg": {"all": entry(mean)}}, splits={"all": 200}) / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"name": "rolebench"', '"name": "coser"'))
    return tmp_path / "results"


def test_a_report_on_coser_shows_them_apart_and_counts_none_of_them(coser_results: Path, tmp_path: Path) -> None:
    write_report([coser_results], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    measured, _, apart = text.partition("## Reported elsewhere")
    assert "41.25" in measured and "59.95" not in measured
    assert "59.95" in apart and "41.25" not in apart and "2 run(s)" in measured
    lines = list(csv.DictReader(io.StringIO((tmp_path / "report" / "report.csv").read_text(encoding="utf-8"))))
    assert sorted(line["model"] for line in lines) == ["CoSER-8B", "GPT-4o"]
    stream = io.StringIO()
    assert print_report([coser_results], console=Console(file=stream, width=160)) == 2
    assert "Reported elsewhere: CoSER, Table 2" in stream.getvalue() and "Qwen3-32B" in stream.getvalue()
    alone = io.StringIO()
    print_report([coser_results], console=Console(file=alone, width=160), published=False)
    assert "Reported elsewhere" not in alone.getvalue() and "41.25" in alone.getvalue()


def test_other_benchmarks_have_none(tmp_path: Path, make_run: MakeRun, specific: Callable[..., Any]) -> None:
    make_run("alpha", specific(0.3))
    write_report([tmp_path / "results"], tmp_path / "report")
    assert "Reported elsewhere" not in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "expected a mapping"),
        ("{", "cannot be read"),
        ("benchmark: coser", "lacks 'title'"),
        (
            "{benchmark: b, title: t, source: s, judge: j, protocol: p, columns: {A: coser/avg},"
            " rows: [{model: m, B: 1}]}",
            "row of 'm' has 'B'",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=f"x.yaml.*{words}"):
        reported(tmp_path / "x.yaml")
