"""Several seeds are one row: a reader who took them for several models, or one seed for all, would be misled."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored import write

from roleeval.report import collect, write_report
from roleeval.report.found.compare import run_sets
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.tables import Table, group_table, runs_table

MakeRun = Callable[..., Path]
F1, GROUP = "rougeL_f1_google_max", "eng_specific/SPE"
ROLES = [f"role{number:02}" for number in range(12)]


def one_seed(
    make_run: MakeRun, seed: int, values: dict[str, float | None], model: str = "alpha", **more: object
) -> Path:
    options = {"splits": {"eng_specific": len(values)}, "planned": len(values), "seed": seed, **more}
    return write(make_run, model, {F1: {GROUP: values}}, run=f"seed{seed}-x", **options)


def table(root: Path, group: str = GROUP) -> tuple[Table, Table]:
    (only,) = run_sets(with_rows(collect([root])).rows)
    return group_table(only, group, title="t"), runs_table(only)


def cell(shown: Table, name: str, row: int = 0) -> tuple[str, ...]:
    return shown.rows[row][shown.names.index(name)]


def test_seeds_are_one_row_with_their_mean_number_and_spread(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, value in ((1, 0.2), (2, 0.3), (3, 0.4)):
        one_seed(make_run, seed, dict.fromkeys((f"{role}/0" for role in ROLES), value))
    shown, runs = table(tmp_path)
    assert len(shown.rows) == 1 and cell(shown, "model") == ("alpha", "base seeds 1, 2, 3")
    mean, interval, spread = cell(shown, F1)
    assert (mean, spread) == ("0.3000", "seeds: sd 0.1000, 0.2000 to 0.4000")
    # All twelve samples have the same mean over seeds: what others would have is not known to the last digit.
    assert interval == "[0.2258, 0.4730]"
    assert cell(shown, "seeds") == ("3",)
    assert cell(shown, "scored + missing = planned") == ("36 + 0 = 36",)
    assert "each sample's mean over seeds" in shown.caption
    assert [row[runs.columns.index("seed")] for row in runs.rows] == [("1",), ("2",), ("3",)]


def test_the_interval_is_of_roles_and_not_of_seeds(tmp_path: Path, make_run: MakeRun) -> None:
    """Seeds whose noise cancels leave the roles' differences, as one run of the means would."""
    effect = dict(zip(ROLES, np.linspace(0.1, 0.9, len(ROLES)), strict=True))
    for seed, noise in ((1, 0.05), (2, -0.05)):
        one_seed(make_run, seed, {f"{role}/0": value + noise for role, value in effect.items()})
    one_seed(make_run, 1, {f"{role}/0": value for role, value in effect.items()}, "beta")
    shown, _ = table(tmp_path)
    assert cell(shown, F1, 0)[:2] == cell(shown, F1, 1)[:2]
    assert cell(shown, "seeds", 1) == ("1",)


def test_an_answer_that_one_seed_lost_is_counted(tmp_path: Path, make_run: MakeRun) -> None:
    samples = [f"{role}/0" for role in ROLES]
    one_seed(make_run, 1, dict.fromkeys(samples, 0.5))
    one_seed(make_run, 2, dict.fromkeys(samples, 0.5) | {samples[0]: None})
    shown, _ = table(tmp_path)
    assert cell(shown, "scored + missing = planned") == ("23 + 1 = 24",)
    assert cell(shown, "coverage") == ("0.9583",) and cell(shown, F1)[0] == "0.5000"


def test_an_average_over_groups_is_averaged_over_seeds_too(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, shift in ((1, 0.0), (2, 0.2)):
        values = {g: {f"{r}/{g}": base + shift for r in ROLES} for g, base in (("eng/CUS", 0.1), ("eng/SPE", 0.5))}
        write(make_run, "alpha", {F1: values}, average="eng/AVG", run=f"seed{seed}", seed=seed, splits={"eng": 12})
    shown, _ = table(tmp_path, "eng/AVG")
    assert cell(shown, F1)[0] == "0.4000" and cell(shown, F1)[2].startswith("seeds: sd 0.1414, 0.3000 to 0.5000")


@pytest.mark.parametrize(
    "other",
    [
        {"sampling": {"temperature": 0.9, "max_tokens": 96}},
        {"model": "beta"},
        {"seed": 1, "run": "again"},
    ],
)
def test_what_differs_in_more_than_the_seed_is_not_averaged(
    tmp_path: Path, make_run: MakeRun, other: dict[str, object]
) -> None:
    values = {f"{role}/0": 0.5 for role in ROLES}
    options = {"model": "alpha", "seed": 2, "run": "seed2-x"} | other
    one_seed(make_run, 1, values)
    model = str(options.pop("model"))
    write(make_run, model, {F1: {GROUP: values}}, splits={"eng_specific": 12}, planned=12, **options)
    rows = [row for run_set in run_sets(with_rows(collect([tmp_path])).rows) for row in run_set.rows]
    assert len(rows) == 2 and not any(row.members for row in rows)


def test_seeds_without_their_rows_stay_apart_and_the_report_says_why(tmp_path: Path, make_run: MakeRun) -> None:
    values = {f"{role}/0": 0.5 for role in ROLES}
    for seed in (1, 2):
        (one_seed(make_run, seed, values) / "scores.parquet").unlink()
    collection = with_rows(collect([tmp_path]))
    assert len(collection.rows) == 2
    assert "mean over 2 seeds" in collection.not_shown[0].reason


def test_the_csv_has_the_runs_and_their_mean(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, value in ((1, 0.2), (2, 0.4)):
        one_seed(make_run, seed, dict.fromkeys((f"{role}/0" for role in ROLES), value))
    write_report([tmp_path], tmp_path / "out")
    lines = pd.read_csv(tmp_path / "out" / "report.csv")
    mean = lines[lines["seeds"].notna()]
    assert len(lines) == 3 and len(mean) == 1
    row = mean.iloc[0]
    assert (row["seeds"], row["n"], row["planned"]) == ("1;2", 24, 24)
    assert (row["mean"], row["seeds_min"], row["seeds_max"]) == pytest.approx((0.3, 0.2, 0.4))
    assert np.isnan(row["seed"])
