"""`roleeval regress`: exit codes, files, and what it says; and the same inside a test suite."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import gate_runs
import pytest
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.errors import ConfigError, ResultError
from roleeval.testing import assert_no_regression

POLICY = "metrics: [likeness]\nmargins: {likeness: 0.05}\n"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["regress", *map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """before/, same/, worse/ (another model), and policy.yaml."""
    place = tmp_path_factory.mktemp("regress")
    gate_runs.write(place / "before")
    gate_runs.write(place / "same")
    gate_runs.about(gate_runs.write(place / "worse", change=gate_runs.worse(0.2)), engine={"fingerprint": "9" * 64})
    (place / "policy.yaml").write_text(POLICY)
    assert invoke("--save", place / "b.json.gz", place / "before").exit_code == 0
    return place


def test_save_says_what_is_in_it(place: Path, tmp_path: Path) -> None:
    done = invoke("--save", tmp_path / "b", place / "before")
    assert done.exit_code == 0
    assert done.stdout == "m on answers: 96 samples, 3 metrics (seed1-0123abcd)\n"
    assert "written: " in done.stderr and " kB)" in done.stderr


def test_exit_codes(place: Path) -> None:
    policy = ("--policy", place / "policy.yaml")
    baseline = ("--baseline", place / "b.json.gz")
    assert invoke(*baseline, place / "same").exit_code == 0
    assert invoke(place / "before", place / "same").exit_code == 0
    failed = invoke(*baseline, place / "worse", *policy)
    assert failed.exit_code == 1 and failed.stdout.startswith("FAIL: 1 metric lost more than its margin")
    assert invoke("--exact", *baseline, place / "same").exit_code == 0
    assert invoke("--exact", *baseline, place / "worse", *policy).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{place}/before"], "give --baseline FILE RESULTS, or two folders"),
        (["--baseline", "{place}/b.json.gz", "{place}/before", "{place}/same"], "give --baseline FILE RESULTS"),
        (["--save", "{place}/x", "{place}/before", "{place}/same"], "--save FILE takes one folder"),
        (["{place}/before", "{place}/none"], "does not exist"),
        (["--baseline", "{place}/policy.yaml", "{place}/same"], "cannot be read as a baseline"),
        (["--policy", "{place}/none.yaml", "{place}/before", "{place}/same"], "none.yaml: cannot be read"),
        (["--allow", "decodin", "{place}/before", "{place}/same"], "did you mean 'decoding'"),
        (["--out", "x.html", "{place}/before", "{place}/same"], "give .md, .xml or .json"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(place: Path, arguments: list[str], words: str) -> None:
    done = invoke(*(argument.format(place=place) for argument in arguments))
    assert done.exit_code == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output


def test_what_cannot_be_compared_is_a_line_each_and_a_file_all_the_same(place: Path, tmp_path: Path) -> None:
    gate_runs.about(
        gate_runs.write(tmp_path / "r"), model={"sampling": gate_runs.GREEDY | {"max_tokens": 8, "temperature": 1.0}}
    )
    done = invoke("--baseline", place / "b.json.gz", tmp_path / "r", "--out", tmp_path / "a.xml")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[:2] == [
        "roleeval: the two cannot be compared:",
        "  m on answers: other decoding: max_tokens is 96 in the baseline and 8 now, temperature is 0.0 in the"
        " baseline and 1.0 now (policy key allow: decoding)",
    ]
    assert 'type="CANNOT_COMPARE"' in (tmp_path / "a.xml").read_text()
    assert invoke("--allow", "decoding", "--baseline", place / "b.json.gz", tmp_path / "r").exit_code == 3


def test_files_formats_and_links(place: Path, tmp_path: Path) -> None:
    files = [option for kind in ("md", "xml", "json") for option in ("--out", tmp_path / f"gate.{kind}")]
    policy = ("--policy", place / "policy.yaml", "--site", tmp_path / "site")
    done = invoke(place / "before", place / "worse", *policy, "--format", "json", *files)
    assert done.exit_code == 1
    assert json.loads(done.stdout) == json.loads((tmp_path / "gate.json").read_text())
    assert (tmp_path / "gate.md").read_text().startswith("### roleeval regress")
    link = json.loads(done.stdout)["worst"][0]["link"]
    page, _, address = link.partition("#")
    assert Path(page) == tmp_path / "site" / "index.html" and Path(page).is_file()
    index = (tmp_path / "site" / "data" / "index.js").read_text()
    path, _, runs = unquote_plus(address).partition("?runs=")
    assert path.startswith("/compare/answers/eng/000") and len(runs.split()) == 2
    assert all(f'{run}\\",' in index for run in runs.split())


def test_a_test_suite_gets_one_clear_message(place: Path) -> None:
    policy = {"metrics": ["likeness"], "margins": {"likeness": 0.05}}
    found = assert_no_regression(place / "same", baseline=place / "b.json.gz")
    assert found.outcome == "PASS"
    with pytest.raises(AssertionError) as caught:
        assert_no_regression(str(place / "worse"), baseline=place / "before", policy=policy)
    text = str(caught.value)
    assert text.startswith("roleeval regress: FAIL: 1 metric lost") and "Likeness ↑" in text and "\x1b" not in text
    with pytest.raises(ConfigError, match="did you mean 'margins'"):
        assert_no_regression(place / "same", baseline=place / "before", policy={"margin": {}})
    with pytest.raises(ResultError, match="does not exist"):
        assert_no_regression(place / "before" / "answers" / "m" / "seed1-0123abcd" / "none", baseline=place / "before")
