"""Tables for papers, pages and programs: they compile, hold nothing that a name could start, and keep their names."""

import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.report import Report
from roleeval.report.render.latex import escape
from tests.report.tables.test_standings import MakeRun, model
from tests.report.test_report import NASTY

NAMES = (NASTY, "孙悟空", "naïve_50%", r"\input{x}^2")


@pytest.fixture
def report(tmp_path: Path, make_run: MakeRun) -> Report:
    for number, name in enumerate(NAMES):
        about = {"family": ("base", "lora_x&y")[number > 1]}
        model(make_run, name, number / 20, folder=f"m{number}", about=about)
    return Report([tmp_path / "results"])


def test_a_table_in_latex_compiles_as_it_is(report: Report, tmp_path: Path) -> None:
    if not shutil.which("pdflatex"):
        pytest.skip("pdflatex is not installed")
    (tmp_path / "t.tex").write_text(report.text("latex"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Missing character" not in done.stdout and (tmp_path / "t.pdf").is_file()


def test_latex_is_balanced_aligned_and_in_letters_of_its_font(report: Report) -> None:
    text = report.text("latex")
    assert "孙" not in text and "naïve" in text and r"\input{x}" not in text
    body = re.sub(r"\\.", "", text)
    assert body.count("{") == body.count("}") and text.count(r"\begin{") == text.count(r"\end{")
    rows = [line for line in text.splitlines() if line.startswith(r"\quad")]
    assert len(rows) == len(NAMES)
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert "S[table-format=1.3(" in text and sum(r"\bfseries" in row for row in rows) == 1
    assert r"\emph{lora\_x\&y}" in text


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("a_b", r"a\_b"),
        ("50 % & more", r"50 \% \& more"),
        ("孙", r"\U{5B59}"),
        ("x^2~\\", r"x\textasciicircum{}2\textasciitilde{}\textbackslash{}"),
        ("--", "{-}{-}"),
    ],
)
def test_latex_shows_text_as_it_is(text: str, tex: str) -> None:
    assert escape(text) == tex


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_holds_no_script_link_or_foreign_tag(report: Report) -> None:
    seen = _Seen()
    seen.feed(report.text("html"))
    tags = {tag for tag, _ in seen.tags}
    assert not tags & {"script", "img", "a", "link", "iframe", "object", "form"}
    attributes = {name for _, attrs in seen.tags for name in attrs}
    assert not any(name.startswith("on") or name in ("src", "href") for name in attributes)
    (policy,) = (attrs["content"] for tag, attrs in seen.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "<script>alert(1)</script>" in seen.text and "孙悟空" in seen.text
    assert sum(tag == "strong" for tag, _ in seen.tags) == 1


def test_csv_has_one_value_a_row_under_names_that_stay(report: Report) -> None:
    table = pd.read_csv(io.StringIO(report.text("csv")), keep_default_na=False)
    assert list(table.columns)[:13] == [
        *("benchmark", "set", "group", "model", "label", "family", "run", "options"),
        *("metric", "metric_label", "unit", "higher_is_better", "mean"),
    ]
    assert not table.duplicated(["set", "group", "label", "metric"]).any()
    assert set(table["mark"]) <= {"best", "tied", ""} and list(table["mark"]).count("best") == 1
    assert len(table) == len(NAMES)


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("latex", r"\documentclass"),
        ("html", "<!DOCTYPE html>"),
        ("csv", "benchmark,set"),
        ("markdown", "### rolebench"),
    ],
)
def test_the_command_prints_a_format_and_nothing_else(report: Report, tmp_path: Path, kind: Any, start: str) -> None:
    options = ["--format", kind, "--models", "孙悟空,naïve_50%"]
    done = CliRunner().invoke(app, ["report", str(tmp_path / "results"), *options])
    assert done.exit_code == 0 and done.stdout.startswith(start)
    assert "roleeval judge-card" not in done.stdout and "input" not in done.stdout.partition(r"\begin{document}")[2]
