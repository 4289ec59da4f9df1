"""A run of chosen clusters asks a part of what the whole run asks, is another run, and shares its answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judged import execute
from roleeval_stubs import StubOptions

from roleeval.benchmarks.lm_eval import LmEval
from roleeval.benchmarks.rolebench import RoleBench
from roleeval.config import RunConfig, RunOptions
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.metrics import RougePltrdy
from roleeval.models import Base
from roleeval.report import Report
from roleeval.results import read_transcripts
from roleeval.stages.watching import _planned

ROLES = ("Sherlock Holmes", "Mad Hatter")


def make(folder: Path, engine: StubOptions | None = None, **options: Any) -> RunConfig:
    return RunConfig(
        benchmark=RoleBench(splits=("eng_general", "eng_specific")),
        model=Base(name="stub", source=ModelSource("stub-model")),
        engine=engine or StubOptions(),
        metrics={"rouge": RougePltrdy()},
        options=RunOptions(results_dir=str(folder), progress="quiet", limit=20, **options),
    )


def journal(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def test_what_is_asked_is_a_part_of_what_the_whole_run_asks(tmp_path: Path) -> None:
    part = execute(make(tmp_path, clusters=ROLES)).folder
    whole = execute(make(tmp_path)).folder
    assert part.path != whole.path
    there, here = (list(read_transcripts(folder.transcripts)) for folder in (whole, part))
    assert here == [pair for pair in there if pair[0].cluster in ROLES] and 0 < len(here) < len(there)
    manifest = part.manifest()
    assert manifest is not None and manifest.clusters == tuple(sorted(ROLES))
    assert manifest.samples.planned == len(here) == _planned(part.path / "config.yaml")


def test_no_question_is_asked_twice_in_a_growing_series_of_runs(tmp_path: Path) -> None:
    engine = StubOptions(journal=str(tmp_path / "journal"))
    for clusters in (ROLES[:1], ROLES, None):
        execute(make(tmp_path, engine, clusters=clusters))
    asked = journal(tmp_path / "journal")
    assert len(asked) == len(set(asked)) == 40


def test_the_order_and_repetition_of_names_make_no_other_run(tmp_path: Path) -> None:
    folders = {execute(make(tmp_path, clusters=names)).folder.path for names in (ROLES, (*ROLES[::-1], ROLES[0]))}
    assert len(folders) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sherlock holms", "'sherlock holms' has no samples within limit=20; did you mean 'Sherlock Holmes'?"),
        ("Nobody at all", "'Nobody at all' has no samples within limit=20; there are 6 clusters, such as 'Don"),
    ],
)
def test_an_unknown_cluster_is_named_before_anything_is_asked(tmp_path: Path, name: str, words: str) -> None:
    engine = StubOptions(journal=str(tmp_path / "journal"))
    with pytest.raises(ConfigError, match="clusters: ") as caught:
        execute(make(tmp_path, engine, clusters=(ROLES[0], name)))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not journal(tmp_path / "journal")


def test_no_cluster_is_refused_and_so_is_a_benchmark_that_scores_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clusters: empty"):
        RunOptions(clusters=())
    config = make(tmp_path, clusters=ROLES)
    with pytest.raises(ConfigError, match="clusters: lm_eval scores itself"):
        replace(config, benchmark=LmEval(tasks=("x",)), metrics={})


def test_a_run_of_some_clusters_shares_no_table_with_the_whole_one(tmp_path: Path) -> None:
    for clusters in (ROLES, None):
        execute(make(tmp_path, clusters=clusters))
    report = Report([tmp_path])
    text = report.text("markdown")
    assert "set 1 of 2" in text and "set 2 of 2" in text
    assert "limit 20 per split, only of Mad Hatter, Sherlock Holmes" in text
