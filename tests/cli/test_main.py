"""The console script: commands reach what they name, errors are one line, and --help loads nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from roleeval import __version__
from roleeval.cli.main import app
from roleeval.metrics import AnswerLength, RougePltrdy, infos_of
from roleeval.results import ScoreBook, summarise
from roleeval.types import Persona, Sample, Score
from roleeval.zoo.build import RECIPES

HEAVY = ("torch", "vllm", "pandas", "nltk", "numpy", "pyarrow", "hydra", "omegaconf", "rich", "asyncio")


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def start(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "roleeval", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["score", "rolebench", "--help"], ["report", "--help"], ["regress", "--help"]],
)
def test_help_loads_nothing_heavy(root: Path, arguments: list[str]) -> None:
    script = (
        "import sys\nfrom roleeval.cli.main import app\n"
        f"try: app({arguments!r})\nexcept SystemExit as stop: assert stop.code == 0, stop.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stdout + done.stderr


def test_module_and_script_are_the_same(root: Path) -> None:
    done = start(root, "--help")
    assert done.returncode == 0 and done.stdout.startswith("Usage: roleeval ")
    for command in ("run", "report", "regress", "score", "data", "zoo", "export", "adapters"):
        assert f"  {command} " in done.stdout
    assert start(root, "--version").stdout == f"roleeval {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["report"], ["report", "x", "--frob"], ["score", "rolebench", "--references", "x"]],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_an_unknown_language_names_the_known_ones(tmp_path: Path) -> None:
    done = invoke("score", "rolebench", "--references", "r", "--predictions", "p", "--language", "fr")
    assert done.exit_code == 2 and "en" in done.stderr and "zh" in done.stderr


def test_an_error_is_one_line_and_exit_code_1(root: Path) -> None:
    done = start(root, "report", "no/such/folder")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("roleeval: no/such/folder: ")


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(_: object, **options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("roleeval.report.Report", interrupted)
    assert invoke("report", str(tmp_path)).exit_code == 130


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-m", "model=a,b", "limit=3"],
        ["benchmark.splits=[eng_specific]", "--multirun", "+x.y=1", "~z", "--cfg", "job", "--", "-x"],
    ],
)
def test_run_hands_its_arguments_on_and_its_exit_code_back(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    seen: list[list[str]] = []

    def main(given: list[str]) -> int:
        seen.append(list(given))
        return 130

    monkeypatch.setattr("roleeval.cli.hydra_app.main", main)
    assert invoke("run", *arguments).exit_code == 130
    assert seen == [arguments]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with one finished run of ten answers, summarised by the project's own code."""
    book = ScoreBook()
    for number in range(10):
        role = f"role {number % 5}"
        sample = Sample(f"eng_specific/{number}", number, "eng_specific", role, Persona(role, "", "en"), "q", {})
        book.add(sample, [Score("answer_words", float(number))])
        book.add(sample, [Score(f"rougeL_{name}_pltrdy_max", number / 20, group="SPE") for name in ("recall", "f1")])
    infos = {**infos_of(AnswerLength()), **infos_of(RougePltrdy())}
    folder = tmp_path / "results" / "rolebench" / "stub" / "seed1-x"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summarise(book, {}, infos)))
    manifest = {
        "benchmark": {"name": "rolebench", "data_hash": "0" * 64, "splits": {"eng_specific": 10}},
        "model": {"name": "stub", "family": "base"},
        "samples": {"planned": 10, "statuses": {"ok": 10}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "results"


def test_report_prints_and_writes(results: Path, tmp_path: Path) -> None:
    done = invoke("report", str(results), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "stub" in done.stdout and "0.225" in done.stdout and "rougeL_recall_pltrdy_max" in done.stdout
    assert "10 + 0 = 10" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "report.csv").is_file()


def test_report_without_out_writes_nothing(results: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert invoke("report", str(results)).exit_code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_report_of_nothing_finished_is_an_error_and_overwrites_nothing(results: Path, tmp_path: Path) -> None:
    invoke("report", str(results), "--out", str(tmp_path / "out"))
    good = (tmp_path / "out" / "report.md").read_bytes()
    for file in results.rglob("manifest.json"):
        file.unlink()
    done = invoke("report", str(results), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1 and "no finished and scored run" in done.stderr and "unfinished" in done.stdout
    assert (tmp_path / "out" / "report.md").read_bytes() == good


def test_zoo_list_names_every_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # without what its user has fetched
    done = invoke("zoo", "list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [f"zoo:{name}" for name in sorted(RECIPES)]


def test_zoo_build_trains_what_it_is_told_to_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[object, ...]] = []

    def build(out: Path, only: list[str] | None, seed: int) -> dict[str, Any]:
        seen.append((out, only, seed))
        return {"base": {}}

    monkeypatch.setattr("roleeval.zoo.build.build", build)
    assert invoke("zoo", "build", "--out", str(tmp_path), "--only", "base", "--only", "shared_lora").exit_code == 0
    assert invoke("zoo", "build", "--seed", "3").exit_code == 0
    from roleeval.resources import ZOO_WEIGHTS

    assert seen == [(tmp_path, ["base", "shared_lora"], 0), (ZOO_WEIGHTS, None, 3)]


def test_zoo_build_on_a_base_passes_on_what_is_asked_for_and_refuses_it_without_a_base(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from roleeval.zoo.families import Training

    seen: list[Any] = []
    monkeypatch.setattr(
        "roleeval.zoo.families.build_families", lambda *places, **options: seen.append((places, options)) or {"her": {}}
    )
    given = ["--base", "zoo:base", "--out", str(tmp_path), "--data", "rows", "--rank", "4", "--lr", "1e-3"]
    done = invoke("zoo", "build", *given, "--only", "her", "--seed", "2")
    assert done.exit_code == 0 and done.stdout == f"built: her in {tmp_path}\n"
    ((places, options),) = seen
    assert places == ("zoo:base", tmp_path) and options["data"] == Path("rows") and options["only"] == ["her"]
    assert options["training"] == Training(rank=4, lr=1e-3, seed=2)
    for wrong, said in (
        (["--base", "zoo:base"], "--base: name a folder for its adapters (--out DIR)"),
        (["--max-tokens", "9"], "--max-tokens: only together with --base"),
        ([*given, "--epochs", "0"], "--epochs: 0; at least 1"),
        ([*given, "--dtype", "int8"], "--dtype: int8; auto, float32 or bfloat16"),
    ):
        done = invoke("zoo", "build", *wrong)
        assert done.exit_code == 1 and said in done.stderr


def test_an_unknown_zoo_model_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    done = invoke("zoo", "build", "--out", str(tmp_path), "--only", "nothing")
    assert done.exit_code == 1 and "base" in done.stderr
