"""judge.against in a sweep: one list of opponents serves all of its models, in whatever order they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roleeval.cli.hydra_app import main
from roleeval.cli.invocation import invocation
from roleeval.results import ResultFolder

CONF = Path(__file__).parent.parent / "support" / "conf"
STUB = ["--config-dir", str(CONF), "engine=stub", "model=base", "model.source.path=stub", "limit=3", "progress=quiet"]
JUDGED = ["benchmark.splits=[eng_general]", "judge=pairwise", "judge.source.path=j", "engine@judge.engine=stub"]


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sys.argv", ["run_eval.py"])
    invocation.cache_clear()
    yield
    invocation.cache_clear()


def sweep(folder: Path, models: str, against: str) -> int:
    return main(["-m", *STUB, *JUDGED, f"model.name={models}", f"judge.against=[{against}]", f"results_dir={folder}"])


def compared(folder: Path, model: str) -> set[str]:
    """The models that a model was compared with."""
    (run,) = (folder / "rolebench" / model).iterdir()
    manifest = ResultFolder(run).manifest()
    assert manifest is not None
    return {each.partition("/")[0] for record in manifest.judge_records.values() for each in record.opponents}


def test_every_model_of_a_sweep_is_compared_with_the_named_ones_but_itself(tmp_path: Path) -> None:
    """Also those that run before them."""
    assert sweep(tmp_path, "three,two,one", "one,two") == 0
    assert compared(tmp_path, "one") == {"two"} and compared(tmp_path, "two") == {"one"}
    assert compared(tmp_path, "three") == {"one", "two"}


def test_all_against_one_leaves_that_one_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "one,two", "one") == 0
    assert compared(tmp_path, "two") == {"one"}
    assert not compared(tmp_path, "one")
    assert "waits for opponents" not in capsys.readouterr().err


def test_a_name_that_no_job_has_fails_once_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "one,two", "nobody") == 1
    said = capsys.readouterr().err
    assert "roleeval: 2 of 2 jobs failed:" in said and said.count("ERROR") == 2
