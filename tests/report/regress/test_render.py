"""What people and programs read of a comparison: whatever a model wrote, it stays text."""

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gate_runs
import pytest
from rich.console import Console

from roleeval.report.regress import Regression, policy_of, regress
from roleeval.report.regress.render import as_json, junit, markdown
from roleeval.report.regress.render.terminal import print_regression

POLICY = {"metrics": ["likeness"], "margins": {"likeness": 0.05}}
EVIL = "\x1b[31m<script>alert(1)</script>\x00\u202e | [a](http://b) `c` ]]> &amp; </details>\nsecond\ufffe"


@pytest.fixture(scope="module")
def failed(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Regression:
    def change(number: int) -> dict[str, Any]:
        return {"likeness": gate_runs.likeness(number) - 0.2, "answer": EVIL if number < 90 else ""}

    now = gate_runs.write(tmp_path_factory.mktemp("now"), change=change)
    gate_runs.about(now, engine={"fingerprint": "9" * 64})
    return regress(before, now, policy_of(POLICY))


def terminal(found: Regression) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False, color_system=None)
    print_regression(found, console, links={("answers", "m", found.worst[0].sample): "site/index.html#/compare/x"})
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_terminal_says_outcome_numbers_and_answers_in_100_columns(failed: Regression) -> None:
    text = terminal(failed)
    lines = text.splitlines()
    assert lines[0] == "FAIL: 1 metric lost more than its margin"
    (row,) = [line for line in lines if line.startswith("Likeness")]
    assert row.split()[-1] == "FAIL" and "-0.2000" in row and "0.0500" in row
    assert "m on answers: 96 samples; changed: model and engine" in " ".join(text.split())
    assert "guard holds  m on answers: empty answers" in text
    assert "see     site/index.html#/compare/x" in text
    assert text.count("before  This is answer") == 10
    assert max(map(len, lines)) <= 100
    assert not any(c in text for c in "\x1b\x00\u202e\ufffe")


def test_markdown_is_a_comment_in_which_nothing_of_the_model_starts(failed: Regression) -> None:
    key = ("answers", "m", failed.worst[0].sample)
    text = markdown.markdown(failed, links={key: "https://ci.example/site/index.html#/compare/answers/x?runs=a+b"})
    assert text.startswith("### roleeval regress: FAIL\n")
    assert "| Likeness ↑ |" in text and "**FAIL** |" in text
    assert "<script>" not in text and "[a](http" not in text and "`c`" not in text and "\x1b" not in text
    assert text.count("<details>") == text.count("</details>") == 1
    assert "([side by side](<https://ci.example/" in text
    assert len(text) < 65_536


def test_a_long_comment_is_cut_where_github_would_refuse_it(failed: Regression) -> None:
    from dataclasses import replace

    text = markdown.markdown(replace(failed, worst=failed.worst * 30))
    assert len(text) < 65_536 and "shortened" in text
    assert text.count("<details>") == text.count("</details>")


def test_junit_has_a_case_for_every_metric_and_guard(failed: Regression) -> None:
    root = ElementTree.fromstring(junit.junit(failed))
    (suite,) = root
    assert (root.tag, suite.tag, suite.get("name")) == ("testsuites", "testsuite", "answers/m")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "7",
        "1",
        "0",
        "0",
    )
    cases = {case.get("name"): case for case in suite}
    failure = cases["likeness"].find("failure")
    assert (
        failure is not None and "margin 0.0500" in str(failure.get("message")) and "before: This" in str(failure.text)
    )
    assert cases["guard empty"].find("failure") is None
    assert all(case.get("classname") and case.get("time") for case in suite)


def test_junit_says_inconclusive_as_the_exit_code_does(before: Path, tmp_path: Path) -> None:
    now = gate_runs.write(tmp_path)
    gate_runs.about(now, engine={"fingerprint": "9" * 64})
    for inconclusive, tag, code in (("blocks", "error", 3), ("passes", "skipped", 0)):
        policy = policy_of({"metrics": ["likeness"], "margins": {"likeness": 0.001}, "inconclusive": inconclusive})
        found = regress(before, now, policy)
        assert found.exit_code == code
        (suite,) = ElementTree.fromstring(junit.junit(found))
        case = next(case for case in suite if case.get("name") == "likeness")
        assert case.find(tag) is not None and case.find("failure") is None


def test_json_has_all_of_it(failed: Regression) -> None:
    node = json.loads(as_json.as_json(failed))
    assert (node["format"], node["outcome"], node["exit_code"]) == (1, "FAIL", 1)
    (metric,) = node["metrics"]
    assert metric["metric"] == "likeness" and metric["change"] == pytest.approx(-0.2) and metric["clusters"] == 12
    assert node["worst"][0]["metric"] == "likeness" and node["worst"][0]["now"]["turns"][0][1] == EVIL
    assert len(node["texts"][0]["changed"]) == 96


def test_what_cannot_be_compared_is_said_in_every_format() -> None:
    reasons = ["m: other <data>", "m: other decoding\x1b"]
    (suite,) = ElementTree.fromstring(junit.refused(reasons))
    assert suite.get("errors") == "1"
    assert "- m: other &lt;data&gt;" in markdown.refused(reasons) or "<data>" not in markdown.refused(reasons)
    assert json.loads(as_json.refused(reasons))["reasons"] == reasons
