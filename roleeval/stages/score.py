"""The score stage: computes metrics of transcripts, during a run or from a finished folder."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.engines import Usage
from roleeval.errors import ConfigError, ResultError, cause_of, concerns_one_item
from roleeval.hashing import digest
from roleeval.identity import identity_of
from roleeval.metrics import CorpusMetric, Metric, MetricInfo, check_declared, infos_of
from roleeval.results import ResultFolder, ScoreBook, infos_for, read_transcripts, summarise, summary_infos
from roleeval.results.infos import JUDGED
from roleeval.results.judge_columns import judge_infos, kept_rows
from roleeval.results.manifest import Manifest
from roleeval.stages.outcome import RunOutcome
from roleeval.stages.progress import make_progress
from roleeval.types import Sample, Score, Transcript

log = logging.getLogger("roleeval")


class Scoring:
    """Scores transcripts as they come, or takes the scores that came with them; every row's metric is declared."""

    def __init__(self, config: RunConfig, planned: int) -> None:
        """Makes one for `planned` samples.

        Raises:
            ConfigError: a metric, or a benchmark that scores itself, declares nothing, or what another one declares.
        """
        self._config = config
        self._planned = planned
        self._unscored: set[str] = set()
        self.book = ScoreBook()
        scorers = _scorers(config) if "score" in config.options.stages else {}
        self._infos = _declared(scorers)
        self._metrics = [(key, scorer) for key, scorer in scorers.items() if isinstance(scorer, Metric)]
        self._collectors = [
            (key, scorer, scorer.collector()) for key, scorer in scorers.items() if isinstance(scorer, CorpusMetric)
        ]

    def add(self, sample: Sample, transcript: Transcript, scores: tuple[Score, ...] | None = None) -> None:
        """Takes a finished episode; `scores` are those of a benchmark that scores itself.

        A metric that raises an error, or returns no number, costs this sample its value: the row is missing, with
        status metric_failed and the cause.

        Raises:
            ConfigError: a score's metric is not declared.
            ResultError: more samples could not be scored than `fail_on_error` allows.
        """
        if scores is not None and self._infos:
            self._add("benchmark", self._config.benchmark, sample, scores)
            return
        for key, metric in self._metrics:
            try:
                rows = list(metric.score(sample, transcript))
            except Exception as error:
                if not concerns_one_item(error):
                    raise
                self._note(key, sample, error)
                rows = failed_rows(metric, sample, error)
            self._add(key, metric, sample, rows)
        for key, _, collector in self._collectors:
            try:
                collector.add(sample, transcript)
            except Exception as error:
                if not concerns_one_item(error):
                    raise
                self._note(key, sample, error)

    def _add(self, key: str, scorer: Any, sample: Sample, scores: Sequence[Score]) -> None:
        rows = [self._finite(key, sample, row) for row in scores]
        check_declared(scorer, rows, self._infos, key=key)
        self.book.add(sample, rows)

    def _finite(self, key: str, sample: Sample, row: Score) -> Score:
        if row.value is None or (isinstance(row.value, (int, float)) and math.isfinite(row.value)):
            return row
        error = ValueError(f"{row.metric} is {row.value!r}, which is not a number")
        self._note(key, sample, error)
        return as_failed(row, error)

    def _note(self, key: str, sample: Sample, error: Exception) -> None:
        """Counts a sample that could not be scored; says the first."""
        what = f"{key} could not score {sample.id}: {cause_of(error)}"
        log.debug("%s", what, exc_info=error)
        if not self._unscored:
            log.warning("%s. Its value is missing (metric_failed); the log file has the traceback", what)
        self._unscored.add(sample.id)
        failed, share = len(self._unscored), self._config.options.fail_on_error
        if failed > int(share * self._planned):
            raise ResultError(
                f"{failed} of {self._planned} samples could not be scored, more than fail_on_error={share} allows;"
                f" {what}. The answers are kept; fix the cause and run the same command again"
            )

    def write(self, folder: ResultFolder, kept: Mapping[str, MetricInfo] | None = None) -> None:
        """Writes scores.parquet and summary.json.

        Args:
            folder: where to.
            kept: metric -> what it is, of rows that were taken over.

        Raises:
            ConfigError: the metric of a corpus metric's row is not declared.
            ResultError: a file could not be written.
        """
        config = self._config
        for key, scorer, rows in self._corpus_rows():
            check_declared(scorer, (score for _, _, score in rows), self._infos, key=key)
            for split, cluster, score in rows:
                self.book.add_cluster(cluster, split, score)
        self.book.write(folder.scores, benchmark=config.benchmark.name, model=config.model.name)
        infos = infos_for(self.book.metrics, self._infos, kept or {})
        folder.write_json("summary.json", summarise(self.book, config.benchmark.averages(), infos))

    def _corpus_rows(self) -> Iterator[tuple[str, Any, list[tuple[str, str, Score]]]]:
        if isinstance(self._config.benchmark, SelfScored):
            yield "benchmark", self._config.benchmark, list(self._config.benchmark.corpus_scores())
        for key, metric, collector in self._collectors:
            yield key, metric, collector.rows()


def failed_rows(metric: Metric, sample: Sample, error: Exception) -> list[Score]:
    """The rows that a metric has of a sample that could not be asked, with another status and the cause."""
    try:
        rows = list(metric.score(sample, Transcript(sample.id, "engine_failed", ())))
    except Exception:  # nothing can be scored: one row for each thing that it declares
        rows = [Score(name, None) for name in infos_of(metric)]
    return [as_failed(row, error) for row in rows]


def as_failed(row: Score, error: Exception) -> Score:
    """A row without its value, and why."""
    return replace(row, value=None, status="metric_failed", detail={"reason": cause_of(error)})


def _scorers(config: RunConfig) -> dict[str, Any]:
    """Key -> who scores."""
    if isinstance(config.benchmark, SelfScored):
        return {"benchmark": config.benchmark}
    return {f"metrics.{name}": metric for name, metric in config.metrics.items()}


def _declared(scorers: Mapping[str, Any]) -> dict[str, MetricInfo]:
    infos: dict[str, MetricInfo] = {}
    keys: dict[str, str] = {}
    for key, scorer in scorers.items():
        for name, info in infos_of(scorer, key=key).items():
            if name in infos:
                raise ConfigError(
                    f"{keys[name]} and {key} both declare the metric {name!r}; remove one of them ({key}=null)"
                )
            infos[name], keys[name] = info, key
    return infos


def rescore(config: RunConfig, folder: ResultFolder) -> RunOutcome:
    """Scores the transcripts of a folder; needs no engine, no model and no data.

    Raises:
        ResultError: there is no finished run, or its transcripts are damaged.
    """
    manifest = folder.manifest()
    if manifest is None:
        raise ResultError(
            f"{folder.path}: no finished run to score; generate first, with the same command and"
            " stages=[generate,score]"
        )
    if is_scored(folder, manifest, config):
        return RunOutcome(folder, skipped=True)
    scoring = Scoring(config, manifest.samples.planned)
    with make_progress(config.options.progress, "scoring", manifest.samples.planned, Usage()) as progress:
        samples = []
        for sample, transcript in read_transcripts(folder.transcripts):
            scoring.add(sample, transcript)
            samples.append(sample)
            progress.done(transcript)
    kept = kept_rows(manifest)
    folder.begin_changes(manifest)
    scoring.book.take_over(folder.scores, samples, lambda metric: metric.startswith(JUDGED) and kept(metric))
    scoring.write(folder, {**summary_infos(folder.summary()), **judge_infos(manifest)})
    folder.write_manifest(replace(manifest, stages={**manifest.stages, "score": metrics_hash(config)}))
    return RunOutcome(folder, skipped=False)


def is_scored(folder: ResultFolder, manifest: Manifest | None, config: RunConfig) -> bool:
    """Whether the folder has the scores that the configuration's metrics give."""
    there = folder.scores.is_file() and folder.summary() is not None
    return there and manifest is not None and manifest.stages.get("score") == metrics_hash(config)


def metrics_hash(config: RunConfig) -> str:
    """What a folder was scored with: this version's metrics and their options."""
    from roleeval import __version__

    metrics = {name: identity_of(metric) for name, metric in config.metrics.items()}
    return digest(__version__, None if isinstance(config.benchmark, SelfScored) else metrics)
