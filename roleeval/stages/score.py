"""The score stage: metrics over transcripts, as they come or from a finished folder."""

from collections.abc import Mapping
from dataclasses import replace

from roleeval.benchmarks import SelfScored
from roleeval.config import RunConfig
from roleeval.engines import Usage
from roleeval.errors import ResultError
from roleeval.hashing import digest
from roleeval.identity import identity_of
from roleeval.metrics import CorpusMetric
from roleeval.results import ResultFolder, ScoreBook, read_transcripts, summarise
from roleeval.results.judge_columns import JUDGED, judge_ranges, kept_rows
from roleeval.results.manifest import Manifest
from roleeval.stages.outcome import Outcome
from roleeval.stages.progress import make_progress
from roleeval.types import Sample, Score, Transcript


class Scoring:
    """Scores transcripts as they come, or takes the scores that came with them."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        scores_itself = isinstance(config.benchmark, SelfScored)
        self._metrics = [] if scores_itself or "score" not in config.options.stages else list(config.metrics.values())
        self.book = ScoreBook()

    def add(self, sample: Sample, transcript: Transcript, scores: tuple[Score, ...] | None = None) -> None:
        """Takes a finished episode; `scores` are those of a benchmark that scores itself."""
        if scores is not None:
            self.book.add(sample, scores)
            return
        for metric in self._metrics:
            self.book.add(sample, metric.score(sample, transcript))

    def write(self, folder: ResultFolder, ranges: Mapping[str, tuple[float, float]] | None = None) -> None:
        """Writes scores.parquet and summary.json.

        Raises:
            ResultError: one of them could not be written.
        """
        config = self._config
        if isinstance(config.benchmark, SelfScored):
            for split, cluster, score in config.benchmark.corpus_scores():
                self.book.add_cluster(cluster, split, score)
        for metric in self._metrics:
            if isinstance(metric, CorpusMetric):
                for split, cluster, score in metric.finish():
                    self.book.add_cluster(cluster, split, score)
        self.book.write(folder.scores, benchmark=config.benchmark.name, model=config.model.name)
        folder.write_json("summary.json", summarise(self.book, config.benchmark.averages(), ranges))


def rescore(config: RunConfig, folder: ResultFolder) -> Outcome:
    """Scores the transcripts of a folder; needs no engine, no model and no data.

    Raises:
        ResultError: there is no finished run, or its transcripts are damaged.
    """
    manifest = folder.manifest()
    if manifest is None:
        raise ResultError(
            f"{folder.path}: no finished run there to score; generate first, with the same command and"
            " stages=[generate,score]"
        )
    if is_scored(folder, manifest, config):
        return Outcome(folder, skipped=True)
    scoring = Scoring(config)
    with make_progress(config.options.progress, "scoring", manifest.samples.planned) as progress:
        usage, samples = Usage(), []
        for sample, transcript in read_transcripts(folder.transcripts):
            scoring.add(sample, transcript)
            samples.append(sample)
            progress.done(transcript, usage)
    kept = kept_rows(manifest)
    scoring.book.take_over(folder.scores, samples, lambda metric: metric.startswith(JUDGED) and kept(metric))
    scoring.write(folder, judge_ranges(manifest))
    folder.write_manifest(replace(manifest, stages={**manifest.stages, "score": metrics_hash(config)}))
    return Outcome(folder, skipped=False)


def is_scored(folder: ResultFolder, manifest: Manifest | None, config: RunConfig) -> bool:
    """Whether the folder has the scores that the configuration's metrics give."""
    there = folder.scores.is_file() and folder.summary() is not None
    return there and manifest is not None and manifest.stages.get("score") == metrics_hash(config)


def metrics_hash(config: RunConfig) -> str:
    """What a folder was scored with: this version's metrics and their options."""
    from roleeval import __version__

    metrics = {name: identity_of(metric) for name, metric in config.metrics.items()}
    return digest(__version__, None if isinstance(config.benchmark, SelfScored) else metrics)
