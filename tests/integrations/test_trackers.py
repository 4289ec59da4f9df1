"""Runs in MLflow, Weights & Biases and trackio: what is told of them, and by the real clients, without a network."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import site_results as made
from site_texts import singles
from typer.testing import CliRunner

from roleeval.cli.main import app
from roleeval.errors import ConfigError, ResultError
from roleeval.integrations.trackers import track, tracked
from roleeval.report.found.collect import collect

LIKENESS = "likeness/eng/CUS"
JUDGED = f"{made.PREFIX}/overall/eng".replace("@", "-")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    made.write(folder, made.Run("answers", "alpha", list(singles("alpha"))[:20]))
    return folder


def test_headline_means_come_with_interval_n_and_coverage(results: Path) -> None:
    (run,) = collect([results]).runs
    told = tracked(run)
    assert (told.name, told.group) == ("alpha/seed1-0123abcd", "answers")
    assert told.values[f"{LIKENESS}/n"] == 19
    assert told.values[f"{LIKENESS}/coverage"] == 0.95
    assert told.values[f"{LIKENESS}/ci_low"] <= told.values[f"{LIKENESS}/mean"] <= told.values[f"{LIKENESS}/ci_high"]
    assert told.values[f"{JUDGED}/coverage"] == 0.95
    assert (told.options["seed"], told.options["splits.eng"], told.options["family"]) == (1, 4, "base")


def test_nothing_of_the_machine_is_told(results: Path) -> None:
    (run,) = collect([results]).runs
    told = tracked(run)
    assert not any("/home/me" in str(value) or str(results) in str(value) for value in told.options.values())


def test_a_mean_that_is_missing_is_not_told_as_a_number(tmp_path: Path) -> None:
    none = [made.single(number, "", likeness=None, errors=None) for number in range(3)]
    made.write(tmp_path, made.Run("answers", "alpha", none))
    (run,) = collect([tmp_path]).runs
    told = tracked(run).values
    assert f"{LIKENESS}/mean" not in told and f"{JUDGED}/mean" not in told
    assert told[f"{LIKENESS}/n"] == told[f"{LIKENESS}/coverage"] == 0


@pytest.mark.parametrize("tracker", ["mlflow", "wandb", "trackio"])
def test_what_is_not_installed_is_named(tracker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    with pytest.raises(ConfigError, match=f"pip install {tracker}"):
        track([tmp_path], tracker, project="p")
    monkeypatch.setitem(sys.modules, tracker, SimpleNamespace())
    with pytest.raises(ResultError, match="no finished and scored run"):
        track([tmp_path], tracker, project="p")


def test_a_client_that_cannot_is_one_sentence(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Error(Exception):
        """wandb's."""

    def init(**options: Any) -> Any:
        raise Error("not logged in; api_key=sk-abcdefgh1234567")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=Error))
    done = CliRunner().invoke(app, ["export", "wandb", str(results)])
    assert done.exit_code == 1
    assert "could not be logged (not logged in" in done.output and "sk-abc" not in done.output


@pytest.mark.slow
def test_mlflow_has_one_run_however_often_it_is_exported(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (pip install mlflow)")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    for _ in range(2):
        done = CliRunner().invoke(app, ["export", "mlflow", str(results), "--project", "role play"])
        assert done.exit_code == 0, done.output
    (run,) = mlflow.search_runs(experiment_names=["role play"], output_format="list")
    (found,) = collect([results]).runs
    assert run.data.metrics == tracked(found).values
    assert run.data.params["data_hash"] == "d" * 64
    assert run.info.run_name == "answers/alpha/seed1-0123abcd"
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "report")}
    assert {"report/report.md", "report/report.html", "report/report.csv"} <= files


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (pip install wandb)")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    track([results], "wandb", project="role-play")
    (file,) = tmp_path.rglob("run-*.wandb")
    content = file.read_bytes()
    assert LIKENESS.encode() in content and b"data_hash" in content and b"/home/me" not in content


@pytest.mark.slow
def test_trackio_has_the_run(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio", reason="trackio is not installed (pip install trackio)")
    track([results], "trackio", project="role-play")
    (run,) = trackio.Api().runs("role-play")
    assert run.name == "answers/alpha/seed1-0123abcd"
    assert run.config["data_hash"] == "d" * 64
