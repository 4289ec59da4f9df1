"""Score rows as reports read them: of the metrics that are wanted, in the samples' order; what is damaged is named."""

from pathlib import Path

import pandas as pd
import pytest

from roleeval.errors import ResultError
from roleeval.report.found.rows import score_rows

ROWS = [("b", "B", "f1", "g", 0.25), ("a", "A", "f1", "g", 0.5), ("a", "A", "words", "g", 7.0)]
COLUMNS = ["sample", "cluster", "metric", "group", "value"]


def test_only_the_metrics_that_are_wanted_are_read_and_none_where_none_is(tmp_path: Path) -> None:
    pd.DataFrame(ROWS, columns=COLUMNS).to_parquet(tmp_path / "scores.parquet")
    assert {name: list(frame["value"]) for (name, _), frame in score_rows(tmp_path).items()} == {
        "f1": [0.5, 0.25],
        "words": [7.0],
    }
    assert list(score_rows(tmp_path, ["f1"])) == [("f1", "g")]
    assert list(score_rows(tmp_path, ["f1"])["f1", "g"].index) == ["a", "b"]
    assert score_rows(tmp_path, []) == score_rows(tmp_path, ["unknown"]) == {}


@pytest.mark.parametrize("damage", [{"metric": 3}, {"metric": None}])
def test_a_column_of_another_type_is_a_file_that_cannot_be_read(tmp_path: Path, damage: dict[str, object]) -> None:
    frame = pd.DataFrame(ROWS, columns=COLUMNS).assign(**damage)
    frame.to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(ResultError, match=r"scores\.parquet: cannot be read"):
        score_rows(tmp_path, ["f1"])
