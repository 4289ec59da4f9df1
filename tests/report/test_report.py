"""The files and the terminal: what is written can be read again, and no name can break out of its cell."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from roleeval_stubs import StubOptions

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.metrics import AnswerLength, DistinctPerRole, RougePltrdy
from roleeval.models import Base
from roleeval.report import print_report, write_report
from roleeval.report.render.markdown import escape
from roleeval.stages.run import run
from roleeval.stages.runtime import Runtime

RECALL = "rougeL_recall_pltrdy_max"

MakeRun = Callable[..., Path]
Metrics = Callable[..., dict[str, Any]]
NASTY = "a|b`c` <script>alert(1)</script> **d** _e_ [f](http://g.example) ![h](i) \\| &lt; $x$ ~~j~~\n# k\x1b[31m\u202e"


@pytest.fixture
def tree(tmp_path: Path, make_run: MakeRun, specific: Metrics) -> Path:
    """Two models, a nasty name, another data hash, an unfinished folder."""
    make_run("alpha", specific(0.3))
    make_run("beta", specific(0.4, n=150, missing=50), statuses={"ok": 150, "engine_failed": 50})
    make_run(NASTY, specific(0.2), folder="nasty")
    make_run("other_data", specific(0.5), data_hash="f" * 64)
    (make_run("killed", specific(0.1)) / "manifest.json").unlink()
    return tmp_path / "results"


def printed(paths: list[Path], width: int) -> tuple[int, str]:
    stream = io.StringIO()
    shown = print_report(paths, console=Console(file=stream, width=width, highlight=False))
    return shown, stream.getvalue()


def test_the_csv_holds_every_run_metric_and_group_in_full(tree: Path, tmp_path: Path) -> None:
    _, file, *_ = write_report([tree], tmp_path / "out" / "deep")
    table = pd.read_csv(file, keep_default_na=False)
    assert list(table.columns)[:16] == [
        *("benchmark", "model", "family", "run", "metric", "group", "mean", "ci_low", "ci_high"),
        *("n", "missing", "clusters", "statuses", "data_hash", "prompt_pack", "seed"),
    ]
    assert len(table) == 4 * 7
    assert not table.duplicated(["model", "run", "metric", "group"]).any()
    assert set(table["model"]) == {"alpha", "beta", NASTY, "other_data"}
    row = table[(table["model"] == "beta") & (table["metric"] == RECALL)].iloc[0]
    assert (row["mean"], row["ci_low"], row["n"], row["missing"], row["planned"]) == (0.4, 0.4 - 0.01, 150, 50, 200)
    assert row["statuses"] == "engine_failed=50;ok=150"
    assert row["prompt_pack"] == "persona@1:" + "e" * 64


def test_the_markdown_has_a_headline_details_and_what_is_not_shown(tree: Path, tmp_path: Path) -> None:
    file, *_ = write_report([tree], tmp_path / "out")
    text = file.read_text(encoding="utf-8")
    order = [
        "set 1 of 2",
        "Headline: eng&#95;specific/SPE".replace("&#95;", "_"),
        "### Runs",
        "All metrics",
        "set 2 of 2",
    ]
    places = [text.index(words) for words in [*order, "## Not shown", "unfinished"]]
    assert places == sorted(places)
    assert re.search(r"alpha<br>base seed1-0123abcd \| 200 \| 1.0000 .*0.3000<br>\[0.2900, 0.3100\]", text)
    assert "killed" in text.split("## Not shown")[1]
    assert sorted(p.suffix for p in file.parent.iterdir()) == [".csv", ".html", ".md", ".png", ".tex"]


def test_no_name_breaks_out_of_its_cell(tree: Path, tmp_path: Path) -> None:
    file, *_ = write_report([tree], tmp_path / "out")
    text = file.read_text(encoding="utf-8")
    assert "\x1b" not in text and "\u202e" not in text
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    html = re.sub(r"<strong>([\d.]+)</strong>", r"\1", html)  # the best values
    for tag in ("<script", "<strong", "<em", "<a ", "<img", "<code", "<s>", "<h1># k"):
        assert tag not in html
    seen = NASTY.replace("\n", " ").removesuffix("\x1b[31m\u202e") + "[31m"
    shown = seen.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"<td>{shown}<br>base seed1-0123abcd</td>" in html
    for table in re.findall(r"<table>.*?</table>", html, re.S):
        head, *rows = [len(re.findall("<t[hd]>", row)) for row in table.split("</tr>")[:-1]]
        assert all(cells == head for cells in rows)


@pytest.mark.parametrize("name", ["zoo_shared_lora", "Llama-3.1-8B", "meta/llama-3", "孙悟空", "a_b__c"])
def test_ordinary_names_stay_readable(name: str) -> None:
    assert escape(name) == name


def test_a_report_does_not_depend_on_how_folders_were_found(tree: Path, tmp_path: Path) -> None:
    folders = sorted(tree.glob("*/*/*"), reverse=True)
    first, second = write_report([tree], tmp_path / "1"), write_report(folders, tmp_path / "2")
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


def test_a_report_that_cannot_be_written_is_an_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(ResultError, match="could not be written"):
        write_report([tree], tmp_path / "out")


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_every_model_whole_at_any_width(tree: Path, width: int) -> None:
    shown, text = printed([tree], width)
    assert shown == 4
    for words in (
        "alpha",
        "beta",
        "other_data",
        "0.300±0.010" if width > 100 else "±0.010",
        "0.400±0.010*" if width > 100 else "0.400*",
        RECALL,
        "answer_words",
    ):
        assert words in text
    assert "150 (0.750)" in text and "beta: engine_failed 50" in text
    assert "killed" in text and "unfinished" in text
    assert "\x1b" not in text
    # what is not shown is not wrapped, so that its path can be copied
    assert max(map(len, text.split("Not shown:")[0].splitlines())) <= width


def test_a_folder_that_is_not_scored_yet_prints_and_raises_nothing(make_run: MakeRun, specific: Metrics) -> None:
    folder = make_run("alpha", specific(0.3))
    (folder / "summary.json").unlink()
    shown, text = printed([folder], 80)
    assert shown == 0 and "not scored" in text


def test_a_real_runs_folder_is_reported(tmp_path: Path) -> None:
    """The manifest and summary that roleeval.stages.run writes today are the ones that reports read."""
    metrics = {"rouge": RougePltrdy(), "length": AnswerLength(), "distinct": DistinctPerRole()}
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general", "eng_specific")),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=StubOptions(),
        metrics=metrics,
        options=RunOptions(results_dir=str(tmp_path / "results"), progress="quiet", limit=24),
    )
    runtime = Runtime()
    try:
        runtime.execute(lambda: run(config, runtime))
    finally:
        runtime.close()
    file, csv, *_ = write_report([tmp_path / "results"], tmp_path / "out")
    text = file.read_text(encoding="utf-8")
    for words in (
        "Headline: eng/AVG",
        "24 + 0 = 24",
        "72 + 0 = 72",
        "48 = 48",
        "limit 24 per split",
        "seed 1",
        "6 roles",
    ):
        assert words in text
    assert "≠" not in text and "unknown" not in text
    assert set(pd.read_csv(csv)["group"]) >= {"eng_general/CUS", "eng_general/RAW", "eng_specific/SPE", "eng/AVG"}


def test_a_protocols_table_has_the_parity_recall_with_its_company(tmp_path: Path) -> None:
    """A run through the real pipeline: lengths are per split, and the split's average must not hide them."""
    from tests.stages.test_run import execute, make

    execute(make(tmp_path / "results"))
    file, *_ = write_report([tmp_path / "results"], tmp_path / "out")
    section = file.read_text().partition("All metrics: eng_specific/SPE")[2].partition("###")[0]
    assert "rougeL_recall_pltrdy_max" in section and "answer_words" in section
