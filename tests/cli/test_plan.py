"""`roleeval plan`: a table or JSON of what a command would ask; what is wrong with it is one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from roleeval.cli.invocation import invocation
from roleeval.cli.main import app


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sys.argv", ["roleeval"])
    invocation.cache_clear()
    yield
    invocation.cache_clear()


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        app(["plan", *arguments], prog_name="roleeval")
    return int(stop.value.code or 0)


def test_a_table_names_every_model_its_calls_and_where_replies_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"results_dir={tmp_path / 'r'}"
    assert code_of("experiment=zoo_scenes", "limit=1", where, "--tokens-per-second", "100") == 0
    said = capsys.readouterr().out
    assert "coser zoo_her (seed 1, limit 1): 2 conversations" in said
    for who in ("model (base)", "environment (base)", "next_speaker (base)", "judge gca (base)"):
        assert who in said
    assert "next_speaker: expected replies from the benchmark's own texts" in said
    assert "judge gca: expected replies from its schema" in said
    assert "reasons before it answers" in said and "100 new tokens a second, as given" in said
    assert "half of it" in said


def test_a_sweep_and_commands_in_sequence_are_one_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where, few = f"results_dir={tmp_path / 'r'}", ["benchmark.splits=[eng_general]", "limit=2"]
    sweep = ["-m", "model=zoo_base,zoo_her", "seeds=[1,2]", "hydra/launcher=joblib", *few, where]
    assert code_of("--json", *sweep, "--then", "model=zoo_rar", *few, where) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["model"], run["seed"]) for run in found["runs"]] == [
        *(("zoo_base", 1), ("zoo_base", 2), ("zoo_her", 1), ("zoo_her", 2)),
        ("zoo_rar", 1),
    ]
    assert found["total"]["calls"] == {"low": 10.0, "expected": 10.0, "most": 10.0}
    assert not list((tmp_path / "r").rglob("*.sqlite"))
    assert len(list((tmp_path / "r" / ".plans").glob("*.json"))) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["limit=2", "--tokens-per-second", "0"], 1, "--tokens-per-second: 0 is invalid; give a number above 0"),
        (["--probe", "--tokens-per-second", "9"], 1, "give one of them"),
        (["budget.calls=-3"], 1, "budget.calls: -3 is invalid"),
        (["nonsense=1"], 2, "nonsense"),
        (["benchmark.data_dir=/no/such/folder"], 1, "/no/such/folder"),
        (["model=zoo_rar", "model.adapter_path=/no/such/adapter"], 1, "/no/such/adapter"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert code_of(*arguments, f"results_dir={tmp_path / 'r'}") == code
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert not (tmp_path / "r").exists()


def test_a_probe_says_what_it_asks_and_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = Path(__file__).parents[1] / "support" / "conf"
    few = ["model=zoo_base", "benchmark.splits=[eng_general]", "limit=3", "judge=zoo_voice", f"results_dir={tmp_path}"]
    assert code_of("--config-dir", str(conf), "engine=stub", *few, "--probe") == 0
    said = capsys.readouterr()
    assert "probe: model of zoo_base, 3 of 3 conversations" in said.err
    assert "probe: judge zoo_voice, 6 questions about zoo_base" in said.err
    assert "model: expected replies from the probe (3 conversations)" in said.out
    assert "judge zoo_voice: expected replies from 6 judgements (the probe)" in said.out
    assert "by 3 calls, 3 at once (their answers are kept)" in said.out and "unknown for" not in said.out
    assert code_of("--config-dir", str(conf), "engine=stub", *few, "--probe") == 0
    assert "unknown for model of zoo_base" not in capsys.readouterr().out  # nothing is left to ask
