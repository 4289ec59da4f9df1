"""CSV files: a model's name never becomes a spreadsheet's formula, and numbers stay numbers."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roleeval.report import write_report
from roleeval.report.tables.csv_lines import csv_lines


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "\u3000=1"]
)
def test_a_text_that_a_spreadsheet_would_calculate_is_kept_as_text(name: str) -> None:
    (_, row) = csv.reader(io.StringIO(csv_lines(("a", "b"), [{"a": name, "b": -0.5}]), newline=""))
    assert row == [f"'{name}".replace("\r", " "), "-0.5"]


@pytest.mark.parametrize("value", ["a=1", "ok=10", "1-2", "mail@x", ""])
def test_all_other_text_stays_as_it_is(value: str) -> None:
    assert csv_lines(("a",), [{"a": value}]).splitlines()[1] in (value, '""')


def test_no_file_of_a_report_holds_a_formula(
    make_run: Callable[..., Path], specific: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for number, name in enumerate(["=1+cmd", "@SUM(A1)", "-2", "base"]):
        make_run(name, specific(0.2 + number / 100), folder=f"m{number}")
    files = [file for file in write_report([tmp_path / "results"], tmp_path / "out") if file.suffix == ".csv"]
    cells = [cell for file in files for row in csv.DictReader(file.open()) for cell in row.items()]
    assert ("model", "'=1+cmd") in cells
    assert not [cell for column, cell in cells if cell.startswith(("=", "+", "@", "-")) and column == "model"]
