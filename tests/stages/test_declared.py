"""Metrics, judges and benchmarks of others: what they declare is in the folder, and what they do not is an error."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from judge_stubs import scripted
from judged import configured, points
from judged import execute as judge

from roleeval.benchmarks import Actor, Scored
from roleeval.config import RunConfig, as_config, parse_config, seed_runs
from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.judging import RubricJudge
from roleeval.metrics import AnswerLength, Collector, DistinctPerRole, MetricInfo
from roleeval.results import summary_infos
from roleeval.types import Persona, Sample, Score, Transcript
from tests.stages.test_run import execute, make

WIT = MetricInfo("wit", label="Wit", unit="points", recipe="As it comes.", low=0.0, high=10.0, headline=True)


@dataclass(frozen=True)
class Wit:
    """A metric of a third party; says `says` and declares `wit`."""

    says: str = "wit"

    def infos(self) -> Sequence[MetricInfo]:
        return [WIT]

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        return [Score(self.says, 7.0)]


@dataclass(frozen=True)
class Roles:
    """A metric of clusters; says `says` and declares `wit`."""

    says: str = "wit"

    def infos(self) -> Sequence[MetricInfo]:
        return [replace(WIT, per="cluster")]

    def collector(self) -> Collector:
        return _Roles(self.says)


class _Roles:
    def __init__(self, says: str) -> None:
        self._says, self._seen = says, set[tuple[str, str]]()

    def add(self, sample: Sample, transcript: Transcript) -> None:
        self._seen.add((sample.split, sample.cluster))

    def rows(self) -> list[tuple[str, str, Score]]:
        return [(split, cluster, Score(self._says, 1.0)) for split, cluster in sorted(self._seen)]


def scored(folder: Path, metric: Any) -> RunConfig:
    return replace(make(folder), metrics={"mine": metric})


@pytest.mark.parametrize("metric", [Wit(), Roles()])
def test_what_a_third_partys_metric_declares_is_in_the_summary(tmp_path: Path, metric: Any) -> None:
    summary = execute(scored(tmp_path, metric)).folder.summary()
    assert summary_infos(summary) == {info.name: info for info in metric.infos()}


@pytest.mark.parametrize("metric", [Wit("humour"), Roles("humour")])
def test_a_row_that_is_not_declared_names_class_and_metric(tmp_path: Path, metric: Any) -> None:
    message = rf"test_declared\.{type(metric).__name__} scored the metric 'humour', which it does not declare; add"
    with pytest.raises(ConfigError, match=message):
        execute(scored(tmp_path, metric))


def test_a_metric_that_declares_nothing_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    class Mute:
        def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
            return []

    with pytest.raises(ConfigError, match=r"Mute declares no metric: give it a method infos\(\)"):
        execute(scored(tmp_path, Mute()))
    assert not list(tmp_path.rglob("transcripts.jsonl"))


class LooseJudge(RubricJudge):
    """Has a row that it does not declare."""

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        return [info for info in super().infos(opponents) if info.name != "knowledge"]


class MuteJudge(RubricJudge):
    """Declares nothing."""

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        return ()


def test_judges_declare_their_rows_as_well(tmp_path: Path) -> None:
    engine, source = scripted("loose", lambda request: points(3)), ModelSource("judge")
    with pytest.raises(ConfigError, match=r"LooseJudge scored the metric 'knowledge'"):
        judge(configured(tmp_path, LooseJudge(engine=engine, source=source)))
    with pytest.raises(ConfigError, match=r"MuteJudge declares no metric"):
        judge(configured(tmp_path, MuteJudge(engine=engine, source=source)))


@dataclass(frozen=True)
class Quiz:
    """A benchmark that scores itself."""

    name: str = "quiz"

    def infos(self) -> Sequence[MetricInfo]:
        return [WIT]

    def count(self, *, limit: int | None) -> int:
        return 1

    async def evaluate(self, actor: Actor, *, limit: int | None, in_flight: int) -> AsyncIterator[Scored]:
        sample = Sample("q/1", 0, "q", "one", Persona("", "", "en"), "?", {})
        yield sample, Transcript("q/1", "ok", ()), (Score("wit", 3.0),)

    def corpus_scores(self) -> Iterable[tuple[str, str, Score]]:
        return [("q", "q", Score("spread", 1.0))]

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        return {}

    def describe(self) -> Mapping[str, Any]:
        return {"data": "embedded", "data_hash": "", "prompt_packs": {}}

    def identity(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class FullQuiz(Quiz):
    """Declares its value of the whole as well."""

    def infos(self) -> Sequence[MetricInfo]:
        return [WIT, replace(WIT, name="spread", per="cluster")]


def test_a_benchmark_that_scores_itself_declares_what_it_scores(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Quiz scored the metric 'spread'"):
        execute(replace(make(tmp_path), benchmark=Quiz(), metrics={}))
    found = execute(replace(make(tmp_path), benchmark=FullQuiz(), metrics={})).folder.summary()
    assert [info.per for info in summary_infos(found).values()] == ["cluster", "sample"]


def test_one_corpus_metric_serves_several_runs_and_keeps_nothing(tmp_path: Path) -> None:
    """The same objects score both seeds; what the first run saw must not be in the second one's values."""
    config = make(tmp_path / "both", seed=1)
    several = replace(config, options=replace(config.options, seeds=(1, 2)))
    summaries = [execute(each).folder.summary() for each in seed_runs(several)]
    alone = replace(make(tmp_path / "alone", seed=2), metrics={"length": AnswerLength(), "distinct": DistinctPerRole()})
    second = execute(alone).folder.summary()
    assert second is not None and summaries[1] is not None
    assert summaries[1]["metrics"]["distinct1_role"] == second["metrics"]["distinct1_role"]
    assert config.metrics["distinct"] == DistinctPerRole()


def test_a_class_that_is_no_metric_is_refused_by_the_configuration(tmp_path: Path) -> None:
    config = as_config(make(tmp_path))
    config["metrics"] = {"mine": {"_target_": "roleeval.engines.ModelSource", "path": "x"}}
    with pytest.raises(
        ConfigError, match=r"metrics.mine._target_: \S*ModelSource does not implement Metric: missing infos"
    ):
        parse_config(config)
    config["metrics"] = {"mine": {"_target_": "roleeval.metrics.DistinctPerRole", "reads": "each"}}
    assert parse_config(config).metrics["mine"] == DistinctPerRole(reads="each")
