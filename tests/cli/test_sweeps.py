"""A sweep over families with different keys: each gets its own, and nobody else's."""

import json
from pathlib import Path

import pytest

from roleeval.cli import hydra_app
from roleeval.cli.hydra_app import _commands
from roleeval.cli.invocation import Invocation
from roleeval.cli.sweeps import split_sweep

SOURCE = "model.source.path=M"


def test_the_main_comparison_gives_the_adapter_to_the_family_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["-m", "model=base,shared_lora", SOURCE, "model.adapter_path=X", "--then", "limit=3"]
    assert _commands(command) == [
        ["-m", "model=base", SOURCE],
        ["-m", "model=shared_lora", SOURCE, "model.adapter_path=X"],
        ["limit=3"],
    ]
    assert capsys.readouterr().err == "roleeval: model=base does not use model.adapter_path\n"


def test_families_with_the_same_keys_stay_together_and_plus_is_no_obstacle() -> None:
    found, _ = split_sweep(["-m", "model=rar,base,her", "+model.adapter_path=X", "++model.history=full", SOURCE])
    assert found == [
        ["-m", "model=rar", "++model.adapter_path=X", SOURCE],
        ["-m", "model=base", SOURCE],
        ["-m", "model=her", "++model.adapter_path=X", "++model.history=full", SOURCE],
    ]


@pytest.mark.parametrize(
    ("swept", "keys", "expected"),
    [
        ("engine=hf,openai", ["engine.base_urls=[http://h/v1]"], [[], ["engine.base_urls=[http://h/v1]"]]),
        ("benchmark=rolebench,coser", ["benchmark/protocol=head"], [[], ["benchmark/protocol=head"]]),
    ],
)
def test_other_groups_are_treated_alike(swept: str, keys: list[str], expected: list[list[str]]) -> None:
    group, _, choices = swept.partition("=")
    found, _ = split_sweep(["-m", swept, *keys])
    assert found == [["-m", f"{group}={c}", *rest] for c, rest in zip(choices.split(","), expected, strict=True)]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "model=base,rar", "model.nothing=3"],  # Hydra names the allowed keys
        ["-m", "model=base,no_such_family", "model.adapter_path=X"],
        ["-m", "limit=1,2", "model.prefill=a"],
        ["model=base", "model.adapter_path=X"],
    ],
)
def test_what_no_choice_has_is_left_to_hydra(command: list[str]) -> None:
    assert split_sweep(command) == ([command], [])


def test_the_error_of_one_job_in_another_process_is_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One job of this process has said its own already."""
    found = {"jobs": 1, "failures": ["no such adapter"], "folders": [], "partial": []}
    (tmp_path / "000000.json").write_text(json.dumps(found))
    here = Invocation()
    here.outcomes, here.launched = tmp_path, 1
    here.gather()
    monkeypatch.setattr(hydra_app, "run_all", lambda commands, here: 0)
    assert hydra_app._all([], here) == 1
    assert "no such adapter" in capsys.readouterr().err
