"""A run without a single answer is no success, the first time and when its command is repeated."""

from pathlib import Path
from typing import Any

import pytest
from judge_stubs import scripted

from roleeval.benchmarks.rolebench import RoleBench
from roleeval.cli.hydra_app import _run
from roleeval.cli.invocation import Invocation
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import ResultError
from roleeval.metrics import EmptyRate
from roleeval.models import Base


@pytest.mark.parametrize(
    ("reply", "status"), [(("", "stop"), "no_answer"), (("<think>Hm", "length"), "truncated_reasoning")]
)
def test_a_run_in_which_nothing_was_answered_fails_and_keeps_its_folder(
    tmp_path: Path, reply: Any, status: str
) -> None:
    config = RunConfig(
        benchmark=RoleBench(splits=("eng_general",)),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=scripted("mute", lambda request: reply),
        metrics={"empty": EmptyRate()},
        options=RunOptions(results_dir=str(tmp_path), progress="quiet", limit=3),
    )
    here = Invocation()
    for _ in range(2):
        with pytest.raises(ResultError, match=rf"nothing was answered \({status} 3\)"):
            _run(config, here)
    here.close()
    assert len(here.folders) == 2 and (Path(here.folders[0]) / "summary.json").is_file()
