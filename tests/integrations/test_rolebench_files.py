"""Scoring anyone's prediction file: what is joined, what is counted, and the numbers people compare with."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.errors import DataError
from roleeval.integrations.rolebench_files import score_rolebench
from roleeval.metrics import AnswerLength, Metric, RougePltrdy

RECALL, F1 = "rougeL_recall_pltrdy_max", "rougeL_f1_pltrdy_max"
Write = Callable[..., Path]


def row(role: str, question: str, *generated: str) -> dict[str, Any]:
    return {"role": role, "question": question, "generated": list(generated)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def rows(name: str, *lines: dict[str, Any] | str) -> Path:
        texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
        (tmp_path / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
        return tmp_path / name

    return rows


def quick(references: Path, predictions: Path) -> Any:
    metrics: Sequence[Metric] = (RougePltrdy(), AnswerLength())
    return score_rolebench(references, predictions, "en", metrics=metrics)


def invoke(references: Path, predictions: Path, *options: str, language: str = "en") -> Any:
    files = ["--references", str(references), "--predictions", str(predictions), "--language", language]
    return CliRunner().invoke(app, ["score", "rolebench", *files, *options])


@pytest.mark.parametrize(
    ("folder", "language", "rows", "recall"),
    [
        pytest.param(
            *("rolebench-eng/instruction-generalization/role_specific", "en", 4750, 0.3228992),
            marks=pytest.mark.slow,  # 4750 rows with every metric: nltk's BLEU takes most of its seconds
        ),
        ("rolebench-zh/role_specific", "zh", 239, 0.247786),
    ],
)
def test_rolegpts_released_answers_score_what_was_published(
    shared_rolebench: Path, folder: str, language: str, rows: int, recall: float
) -> None:
    files = shared_rolebench / folder
    done = invoke(files / "test.jsonl", files / "rolegpt_baseline.jsonl", "--json", language=language)
    assert done.exit_code == 0 and done.stderr == ""
    printed = json.loads(done.stdout)
    assert set(printed) == {"metrics", "coverage"}
    entry = printed["metrics"][RECALL]
    assert set(entry) == {"mean", "ci_low", "ci_high", "n", "missing", "method"}
    assert entry["mean"] == pytest.approx(recall, abs=5e-8 if language == "en" else 5e-7)
    assert (entry["n"], entry["missing"]) == (rows, 0)
    assert entry["ci_low"] < entry["mean"] < entry["ci_high"]
    coverage = printed["coverage"]
    assert (coverage["references"], coverage["predictions"], coverage["matched"]) == (rows, rows, rows)


def test_keys_are_joined_exactly_and_not_by_line(write: Write) -> None:
    references = write("r", row("A", "who?", "one"), row("A", "who? ", "two"), row("B", "who?", "three"))
    predictions = write("p", row("B", "who?", "three"), row("A", "who? ", "two"), row("A", "who?", "one"))
    scores = quick(references, predictions)
    assert scores.metrics[RECALL]["mean"] == 1.0
    assert scores.coverage.matched == 3


def test_the_mean_is_over_matched_rows_and_the_others_are_listed(write: Write) -> None:
    references = write("r", row("A", "q", "one two"), *(row("A", f"open {i}", "x") for i in range(12)))
    predictions = write("p", row("A", "q", "one two"), row("A", "open 3 ", "x"))
    done = invoke(references, predictions, "--json")
    printed = json.loads(done.stdout)
    assert printed["metrics"][RECALL] == {
        "mean": 1.0,
        "ci_low": None,
        "ci_high": None,
        "n": 1,
        "missing": 12,
        "method": "",
    }
    coverage = printed["coverage"]
    assert coverage["unmatched_references"] == 12 and coverage["unmatched_predictions"] == 1
    assert len(coverage["examples"]["unmatched_references"]) == 10
    assert coverage["examples"]["unmatched_predictions"] == [{"role": "A", "question": "open 3 "}]
    assert "1 predictions without a reference differ from a reference only in white space" in done.stderr
    text = invoke(references, predictions)
    assert "unmatched references: 12 (the first 10)" in text.stderr and "'open 3 '" in text.stderr
    assert "open" not in text.stdout and F1 in text.stdout and "answer_words" in text.stdout


def test_nothing_matched_is_an_error_that_says_why(write: Write) -> None:
    references, predictions = write("r", row("A", " q", "x")), write("p", row("A", "q", "x"))
    done = invoke(references, predictions)
    assert done.exit_code == 1 and done.stdout == ""
    assert "1 would match without white space" in done.stderr


def test_references_of_one_key_are_united(write: Write) -> None:
    references = write("r", row("A", "q", "one", "two"), row("A", "q", "three", "one"))
    scores = quick(references, write("p", row("A", "q", "three")))
    assert scores.metrics[RECALL]["mean"] == 1.0
    assert (scores.coverage.references, scores.coverage.repeated_references) == (1, 1)


def test_two_different_predictions_for_one_key_name_both_lines(write: Write) -> None:
    references = write("r", row("A", "q", "x"))
    with pytest.raises(DataError, match=r"p, lines 1 and 3: two different predictions"):
        quick(references, write("p", row("A", "q", "x"), row("A", "z", "y"), row("A", "q", "w")))
    assert quick(references, write("p", row("A", "q", "x"), row("A", "q", "x"))).coverage.repeated_predictions == 1


def test_reasoning_is_removed_and_what_never_left_it_is_no_answer(write: Write) -> None:
    references = write("r", *(row("A", question, "yes indeed") for question in "abcd"))
    predictions = write(
        "p",
        row("A", "a", "<think>hm, yes indeed</think>\nyes indeed"),
        row("A", "b", "it is so </think> yes indeed"),
        row("A", "c", "<think>yes indeed yes indeed"),
        row("A", "d", " "),
    )
    done = invoke(references, predictions, "--json")
    printed = json.loads(done.stdout)
    assert printed["metrics"][RECALL]["mean"] == 0.5 and printed["metrics"][RECALL]["n"] == 4
    assert printed["metrics"]["answer_words"]["mean"] == 1.0
    assert printed["metrics"]["empty_rate"]["mean"] == 0.5
    coverage = printed["coverage"]
    assert (coverage["reasoning_removed"], coverage["reasoning_unclosed"], coverage["no_answer"]) == (2, 1, 1)
    assert "warning: 2 predictions contain reasoning" in done.stderr


def test_a_prediction_without_reasoning_is_taken_as_it_stands(write: Write) -> None:
    """Outer white space is part of the parity recipe: a trailing ". " adds an empty token on either side."""
    references = write("r", row("A", "q", "yes. "))
    assert quick(references, write("p", row("A", "q", "yes. "))).metrics[RECALL]["mean"] == 1.0
    assert quick(references, write("p", row("A", "q", "yes."))).metrics[RECALL]["mean"] == 0.5


@pytest.mark.parametrize("side", ["r", "p"])
@pytest.mark.parametrize(
    "line", ["{", "[]", '{"role": "A", "question": "q"}', '{"role": "A", "question": "q", "generated": []}']
)
def test_a_malformed_line_names_file_and_line(write: Write, side: str, line: str) -> None:
    files = {name: write(name, row("A", "q", "x"), *([line] if name == side else [])) for name in "rp"}
    done = invoke(files["r"], files["p"], "--json")
    assert done.exit_code == 1 and done.stdout == ""
    assert f"{files[side]}, line 2: " in done.stderr
    assert "on_error" not in done.stderr and "Traceback" not in done.stderr


def test_the_json_is_written_to_a_file_too(write: Write, tmp_path: Path) -> None:
    references, predictions = write("r", row("A", "q", "x")), write("p", row("A", "q", "x"))
    done = invoke(references, predictions, "--json", "--out", str(tmp_path / "new" / "scores.json"))
    assert (tmp_path / "new" / "scores.json").read_text(encoding="utf-8") == done.stdout
    assert invoke(references, tmp_path / "absent").exit_code == 1


def test_intervals_come_from_roles(write: Write) -> None:
    """Rows of one role do not count as independent: a hundred copies of two roles are as unsure as two rows."""
    few = [row(role, "q0", "one") for role in "AB"]
    many = [row(role, f"q{i}", "one") for role in "AB" for i in range(100)]
    answers = {"A": "one", "B": "none"}
    intervals = []
    for name, rows in (("few", few), ("many", many)):
        predictions = [row(r["role"], r["question"], answers[r["role"]]) for r in rows]
        entry = quick(write(f"{name}-r", *rows), write(f"{name}-p", *predictions)).metrics[RECALL]
        intervals.append((entry["ci_low"], entry["ci_high"]))
    assert intervals[0] == pytest.approx(intervals[1], abs=0.01)
    low, high = intervals[0]
    assert low < 0.1 and high > 0.9  # two roles say next to nothing


def test_reasoning_in_other_marks_is_removed_and_counted(write: Write) -> None:
    references = write("r", *(row("A", question, "yes indeed") for question in "abcd"))
    harmony = "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>yes indeed"
    predictions = write(
        "p",
        row("A", "a", "<thinking>no, no</thinking>yes indeed"),
        row("A", "b", "[THINK]no, no[/THINK]yes indeed"),
        row("A", "c", harmony),
        row("A", "d", "<reasoning>no</reasoning><answer>yes indeed</answer>"),
    )
    found = json.loads(invoke(references, predictions, "--json").stdout)
    assert found["metrics"][F1]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert found["coverage"]["reasoning_removed"] == 4
    assert found["coverage"]["reasoning_marks"] == {"brackets": 1, "harmony": 1, "reasoning": 1, "thinking": 1}
    result = invoke(references, predictions)
    assert "[THINK] ... [/THINK]: 1" in result.stderr
    left = json.loads(invoke(references, predictions, "--json", "--reasoning-marks", "think").stdout)
    assert left["metrics"][F1]["mean"] < 0.9 and left["coverage"]["reasoning_removed"] == 0


def test_references_without_a_prediction_are_missing_in_every_metric(write: Write) -> None:
    """One answered reference of three: a table that says "missing 0" would hide the two others."""
    references = write("r", row("A", "q", "one"), row("A", "open", "two"), row("B", "open", "three"))
    done = invoke(references, write("p", row("A", "q", "one")), "--json")
    metrics = json.loads(done.stdout)["metrics"]
    assert {(entry["n"], entry["missing"]) for name, entry in metrics.items() if "distinct" not in name} == {(1, 2)}
    # One value per role: nothing is known of B.
    assert (metrics["distinct1_role"]["n"], metrics["distinct1_role"]["missing"]) == (1, 1)
    assert metrics[RECALL]["mean"] == 1.0
    assert "warning: 2 of 3 references have no prediction; they are missing" in done.stderr


@pytest.mark.parametrize(
    "question", ["who  are you?", "who are you? ", "who are\nyou?", "who are\u3000you?", "whoareyou?"]
)
def test_white_space_anywhere_is_counted_where_nothing_else_differs(write: Write, question: str) -> None:
    references = write("r", row("A", "q", "one"), row("A", "who are you?", "x"))
    scores = quick(references, write("p", row("A", "q", "one"), row("A", question, "x"), row("A", "else", "x")))
    assert scores.coverage.unmatched_predictions == 2 and scores.coverage.differ_in_white_space == 1
    # Also where the reference itself is matched by another prediction.
    both = write("p", row("A", "who are you?", "one"), row("A", question, "x"))
    assert quick(references, both).coverage.differ_in_white_space == 1


@pytest.mark.parametrize("reference", ["", " \n", "...", "?!"])
def test_references_without_a_word_are_missing_and_not_zero(write: Write, reference: str) -> None:
    references = write("r", row("A", "q", "one two"), row("A", "empty", reference), row("B", "empty", reference))
    predictions = write(
        "p", *(row(role, question, "one two") for role, question in ("Aq", ("A", "empty"), ("B", "empty")))
    )
    done = invoke(references, predictions, "--json")
    found = json.loads(done.stdout)
    assert (found["metrics"][F1]["n"], found["metrics"][F1]["missing"]) == (1, 2)
    assert found["metrics"][F1]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert found["metrics"]["answer_words"]["n"] == 3 and found["coverage"]["wordless_references"] == 2
    assert "the references of 2 predictions hold no letter and no digit" in done.stderr
    nothing = invoke(write("r", row("A", "q", reference)), write("p", row("A", "q", "one")), "--json")
    assert json.loads(nothing.stdout)["metrics"][F1]["mean"] is None


def test_another_letter_case_or_unicode_form_is_counted_and_told(write: Write) -> None:
    """File systems and editors change both, and nothing on the screen shows the second."""
    references = write("r", row("A", "q", "one"), row("Zoe\u0308", "who?", "x"))
    coverage = quick(references, write("p", row("A", "q", "one"), row("zo\u00eb", "who?", "x"))).coverage
    assert (coverage.differ_in_form, coverage.differ_in_white_space, coverage.unmatched_predictions) == (1, 0, 1)
    done = invoke(references, write("none", row("zo\u00eb", "who?", "x")))
    assert done.exit_code != 0
    assert "1 would match in another letter case or Unicode form" in done.stderr
