"""Paired differences: what decides whether a model is better, so pairs must be pairs and zero must be said."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scored import write

from roleeval.errors import ResultError
from roleeval.metrics import Unit
from roleeval.report import collect, print_report, write_report
from roleeval.report.found.seeds import with_rows
from roleeval.report.tables.differences import Comparison, comparisons, difference_table, signed

MakeRun = Callable[..., Path]
F1, GROUP = "rougeL_f1_google_max", "eng_specific/SPE"
ROLES = [f"role{number:02}" for number in range(12)]
SAMPLES = [f"{role}/{number}" for role in ROLES for number in range(4)]
HARD = dict(zip(SAMPLES, np.random.default_rng(0).uniform(0.1, 0.9, len(SAMPLES)), strict=True))
NOISE = dict(zip(SAMPLES, np.random.default_rng(1).normal(0, 0.02, len(SAMPLES)), strict=True))


def model(make_run: MakeRun, name: str, values: dict[str, float | None], **options: object) -> Path:
    return write(make_run, name, {F1: {GROUP: values}}, splits={"eng_specific": 48}, planned=48, **options)


@pytest.fixture
def tree(tmp_path: Path, make_run: MakeRun) -> Path:
    """A base, a model that is better everywhere, and one that is not."""
    model(make_run, "base", dict(HARD))
    model(make_run, "better", {s: v + 0.05 + NOISE[s] for s, v in HARD.items()})
    model(make_run, "same", {s: v + NOISE[s] for s, v in HARD.items()})
    return tmp_path / "results"


def compared(root: Path, reference: str) -> Comparison:
    (only,) = comparisons(with_rows(collect([root])), reference)
    return only


def test_what_the_samples_share_cancels(tree: Path) -> None:
    """The models' own intervals overlap widely; the paired ones tell them apart."""
    table = difference_table(compared(tree, "base"), GROUP, title="t")
    assert [row[0][0] for row in table.rows] == ["better", "same"]
    better, same = (row[table.names.index(F1)] for row in table.rows)
    assert better[0].startswith("+0.04") and "not separable" not in better
    assert same[2] == "not separable" and same[-1] == "48 pairs"
    assert "Model minus base" in table.caption and "10 000 resamples" in table.caption


def test_a_model_that_lost_answers_is_compared_on_what_both_have(tree: Path, make_run: MakeRun) -> None:
    """Losing the hard samples must not look like being better."""
    values: dict[str, float | None] = {s: (v if v > 0.5 else None) for s, v in HARD.items()}
    model(make_run, "lossy", values)
    lossy = next(row for row in compared(tree, "base").others if row.model == "lossy")
    entry = lossy.entries[F1][GROUP]
    kept = sum(value is not None for value in values.values())
    assert entry.mean == pytest.approx(0.0) and (entry.n, entry.missing) == (kept, 48 - kept)


@pytest.mark.parametrize(("share", "said"), [(0.75, True), (0.05, False)])
def test_a_gain_that_rests_on_one_side_being_cut_says_so(
    tmp_path: Path, make_run: MakeRun, share: float, said: bool
) -> None:
    ends = {s: float(n < share * len(SAMPLES)) for n, s in enumerate(SAMPLES)}
    for name, cut in (("base", ends), ("tuned", dict.fromkeys(SAMPLES, 0.0))):
        metrics = {F1: {GROUP: dict(HARD)}, "cut_off_rate": {"eng_specific": cut}}
        write(make_run, name, metrics, splits={"eng_specific": 48}, planned=48)
    table = difference_table(compared(tmp_path, "base"), GROUP, title="t")
    notes = [note for note in table.notes if note.startswith("Cut off at the token limit: base 75 %, tuned 0 %")]
    assert bool(notes) == said and len(notes) < 2


def test_an_average_of_groups_is_the_mean_of_their_differences(tmp_path: Path, make_run: MakeRun) -> None:
    def groups(cus: float, spe: float) -> dict[str, dict[str, dict[str, float]]]:
        return {F1: {"eng/CUS": dict.fromkeys(SAMPLES, cus), "eng/SPE": dict.fromkeys(SAMPLES[:12], spe)}}

    write(make_run, "base", groups(0.1, 0.2), average="eng/AVG", splits={"eng": 48})
    write(make_run, "other", groups(0.2, 0.5), average="eng/AVG", splits={"eng": 48})
    (other,) = compared(tmp_path, "base").others
    entry = other.entries[F1]["eng/AVG"]
    assert entry.mean == pytest.approx(0.2) and entry.mean_of == ("eng/CUS", "eng/SPE") and entry.n == 60


def test_the_reference_may_be_a_mean_over_seeds(tmp_path: Path, make_run: MakeRun) -> None:
    for seed, shift in ((1, 0.1), (2, -0.1)):
        model(make_run, "base", {s: v + shift for s, v in HARD.items()}, seed=seed, run=f"seed{seed}")
    model(make_run, "other", {s: v + 0.05 for s, v in HARD.items()})
    (other,) = compared(tmp_path, "base").others
    entry = other.entries[F1][GROUP]
    assert entry.mean == pytest.approx(0.05) and entry.n == 48 and entry.method == "beta-binomial"
    # No pair was seen to differ by anything else; 48 pairs of six roles do not say that none does.
    assert (
        entry.ci_low is not None and entry.ci_high is not None and -0.2 < entry.ci_low < 0 < 0.1 < entry.ci_high < 0.3
    )


def test_files_and_terminal_say_the_same(tree: Path, tmp_path: Path) -> None:
    files = write_report([tree], tmp_path / "out", reference="base")
    assert [file.name for file in files] == [
        *("report.md", "report.csv", "report.html", "report.tex", "report.png"),
        "differences.csv",
    ]
    lines = pd.read_csv(files[-1])
    assert dict(zip(lines["model"], lines["verdict"], strict=True)) == {"better": "higher", "same": "not separable"}
    assert set(lines["pairs"]) == {48} and set(lines["reference"]) == {"base"}
    markdown = files[0].read_text(encoding="utf-8")
    assert "Differences from base: eng_specific/SPE" in markdown and "not separable" in markdown
    stream = io.StringIO()
    print_report([tree], reference="base", console=Console(file=stream, width=100))
    assert "differences from base" in stream.getvalue() and "not separable" in stream.getvalue()
    assert "--reference" not in stream.getvalue()


def test_without_a_reference_there_is_a_hint_and_no_file(tree: Path, tmp_path: Path) -> None:
    stream = io.StringIO()
    print_report([tree], console=Console(file=stream, width=100))
    assert "--reference MODEL" in stream.getvalue()
    assert "differences.csv" not in [file.name for file in write_report([tree], tmp_path / "out")]


def test_a_reference_that_is_not_there_or_not_one_is_an_error(tree: Path, make_run: MakeRun) -> None:
    with pytest.raises(ResultError, match=r"--reference bse.*base, better, same"):
        comparisons(with_rows(collect([tree])), "bse")
    model(make_run, "base", dict(HARD), run="other", sampling={"temperature": 0.0, "max_tokens": 9})
    with pytest.raises(ResultError, match=r"several runs of it.*base/seed1-0123abcd"):
        comparisons(with_rows(collect([tree])), "base")
    assert compared(tree, "base/other").reference.name == "other"


def test_one_role_has_a_difference_and_no_conclusion(tmp_path: Path, make_run: MakeRun) -> None:
    values = {s: v for s, v in HARD.items() if s.startswith("role00")}
    model(make_run, "base", dict(values))
    model(make_run, "other", {s: v + 0.1 for s, v in values.items()})
    table = difference_table(compared(tmp_path, "base"), GROUP, title="t")
    assert table.rows[0][table.names.index(F1)] == ("+0.1000", "–", "4 pairs")


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("fraction", 0.01234, "+0.0123"),
        ("fraction", -0.01, "-0.0100"),
        ("fraction", -0.00001, "0.0000"),
        ("words", 2.04, "+2.0"),
        ("points", -2.046, "-2.05"),
    ],
)
def test_a_difference_has_a_sign_unless_it_is_zero(unit: Unit, value: float, text: str) -> None:
    assert signed(unit, value) == text


def test_p_is_corrected_for_the_number_of_models(tree: Path, tmp_path: Path) -> None:
    lines = pd.read_csv(write_report([tree], tmp_path / "out", reference="base")[-1]).set_index("model")
    assert lines.loc["better", "p_holm"] == pytest.approx(2 * lines.loc["better", "p"])
    assert lines.loc["same", "p_holm"] == pytest.approx(lines.loc["same", "p"])
    assert (lines["detectable"] > 0).all()


def test_the_table_says_what_it_could_have_found(tree: Path) -> None:
    table = difference_table(compared(tree, "base"), GROUP, title="t")
    same = table.rows[1][table.names.index(F1)]
    assert any(line.startswith("p 0.") for line in same) and any(line.startswith("detectable 0.0") for line in same)
    assert "Holm-corrected" in table.caption and any(note.startswith('"detectable"') for note in table.notes)


def test_four_roles_have_an_interval_and_no_conclusion(tmp_path: Path, make_run: MakeRun) -> None:
    """Of 16 exchanges two are as large as any result: p is never below 0.125, and the table must not say "no"."""
    values = {s: v for s, v in HARD.items() if s < "role04"}
    model(make_run, "base", dict(values))
    model(make_run, "other", {s: v + 0.1 + NOISE[s] for s, v in values.items()})
    table = difference_table(compared(tmp_path, "base"), GROUP, title="t")
    cell = table.rows[0][table.names.index(F1)]
    assert cell[1].startswith("[0.0") and cell[2:4] == ("too few clusters", "p 0.125")
    assert any(note.startswith('"too few clusters"') for note in table.notes)
