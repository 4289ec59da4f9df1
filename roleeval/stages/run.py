"""One run: play a benchmark's episodes with a model, score them, leave a result folder.

A run is idempotent. What it would generate is named by a hash (data, prompts, model and adapter contents, engine,
seed); a folder that already holds it is not generated again, and texts come from the completion store where they can.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from roleeval.benchmarks import Actor, SelfScored
from roleeval.config import RunConfig, RunOptions, masked
from roleeval.engines import Engine, StoredEngine, Usage
from roleeval.errors import ConfigError, EngineError, ResultError, RoleEvalError
from roleeval.hashing import digest
from roleeval.metrics import CorpusMetric, Metric, MetricInfo, check_declared, infos_of
from roleeval.models import base_parameters
from roleeval.results import (
    ResultFolder,
    ScoreBook,
    infos_for,
    judge_infos,
    read_transcripts,
    summarise,
    summary_infos,
)
from roleeval.results.folder import TranscriptWriter
from roleeval.results.provenance import provenance
from roleeval.stages import cast
from roleeval.stages.ahead import JudgingAhead
from roleeval.stages.judge import JUDGED, judge_folder, kept_rows
from roleeval.stages.progress import Progress, make_progress
from roleeval.stages.runtime import Runtime
from roleeval.types import Sample, Score, Transcript

log = logging.getLogger("roleeval")

# Where parts of a model lie. Their contents are in the identity, as fingerprints.
_PLACES = ("source", "adapter_path", "adapters_dir", "adapters_map", "checkpoint", "roles", "cache_dir")

_DATA_PLACES = ("data_dir", "data_file", "prompt_pack", "include_path")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        folder: its result folder.
        skipped: True when everything asked for was there already.
        failed_samples: samples whose engine call failed for good.
    """

    folder: ResultFolder
    skipped: bool
    failed_samples: int = 0


async def run(config: RunConfig, runtime: Runtime) -> Outcome:
    """Does what a configuration asks for and is not done yet.

    Raises:
        RoleEvalError: bad input, a dead engine, too many failed samples, a write that failed. What was generated
            is in the store; the same command goes on from there.
    """
    self_scored = isinstance(config.benchmark, SelfScored)
    if config.judge is not None and self_scored:
        raise ConfigError(f"judge: {config.benchmark.name} scores itself and has nothing for a judge; leave judge=null")
    outcome = await _generate_and_score(config, runtime)
    if config.judge is None or "judge" not in config.options.stages:
        return outcome
    judged = await judge_folder(config, runtime, outcome.folder)
    return replace(outcome, skipped=outcome.skipped and not judged)


async def _generate_and_score(config: RunConfig, runtime: Runtime) -> Outcome:
    options = config.options
    wants_generate, wants_score = "generate" in options.stages, "score" in options.stages
    self_scored = isinstance(config.benchmark, SelfScored)
    if self_scored and not wants_generate:
        raise ConfigError(
            f"stages: {config.benchmark.name} scores while it generates; use stages=[generate,score] (what was"
            " generated comes from the store)"
        )
    if not wants_generate and options.run_name is not None:
        folder = _folder(config, options.run_name)
        return _rescore(config, folder) if wants_score else Outcome(folder, skipped=True)
    runtime.expect(*cast.everyone(config))
    engine = await runtime.engine(config.engine, config.model)
    identity = _identity(config, engine)
    if others := cast.helpers(config):
        identity["helpers"] = {
            name: {
                "engine": (await runtime.engine(*asked)).fingerprint,
                "adapters": [adapter.fingerprint for adapter in asked[1].adapters()],
                "sampling": {**asdict(asked[1].sampling), "stop": list(asked[1].sampling.stop)},  # as JSON reads it
            }
            for name, asked in others.items()
        }
    folder = _folder(config, options.run_name or f"seed{options.seed}-{digest(identity)[:8]}")
    manifest = folder.manifest()
    if manifest is not None and manifest["identity"] != identity:
        raise ResultError(_another_run(folder, manifest["identity"], identity))
    if not wants_generate:
        return _rescore(config, folder) if wants_score else Outcome(folder, skipped=True)
    complete = manifest is not None and not manifest["samples"]["statuses"].get("engine_failed")
    if complete and (not wants_score or _scored(folder, manifest, config)):
        return Outcome(folder, skipped=True)
    if complete and not self_scored:
        return _rescore(config, folder)
    return await _generate(config, runtime, engine, folder, identity)


async def _helper(asked: cast.Asked, runtime: Runtime, options: RunOptions, usage: Usage) -> Actor:
    served, model = asked
    engine = await runtime.engine(served, model)
    for adapter in model.adapters():
        engine.check(adapter)
    return Actor(model, StoredEngine(engine, runtime.store(options), usage), options.seed)


def _folder(config: RunConfig, name: str) -> ResultFolder:
    return ResultFolder(Path(config.options.results_dir) / config.benchmark.name / config.model.name / name)


def _identity(config: RunConfig, engine: Engine) -> dict[str, Any]:
    """Everything that determines the transcripts. Paths are left out: contents are hashed instead."""
    facts = config.benchmark.describe()
    return {
        "benchmark": _without_places(config.resolved["benchmark"]),
        "data_hash": facts["data_hash"],
        "prompt_packs": {name: pack["sha256"] for name, pack in facts["prompt_packs"].items()},
        "model": {k: v for k, v in config.resolved["model"].items() if k not in _PLACES},
        # with their names: two roles whose adapters are swapped are another model
        "adapters": sorted([adapter.name, adapter.fingerprint] for adapter in config.model.adapters()),
        "engine": engine.fingerprint,
        "seed": config.options.seed,
        "limit": config.options.limit,
    }


def _without_places(node: Mapping[str, Any]) -> dict[str, Any]:
    """A benchmark's options without where things lie, and without the engines of its helpers."""
    left_out = (*_DATA_PLACES, *_PLACES, "engine")
    return {
        key: _without_places(value) if isinstance(value, Mapping) else value
        for key, value in node.items()
        if key not in left_out
    }


def _metrics_hash(config: RunConfig) -> str:
    from roleeval import __version__

    return digest(__version__, None if isinstance(config.benchmark, SelfScored) else config.resolved["metrics"])


def _scored(folder: ResultFolder, manifest: Mapping[str, Any] | None, config: RunConfig) -> bool:
    there = folder.scores.is_file() and folder.summary() is not None
    return there and manifest is not None and manifest["stages"].get("score") == _metrics_hash(config)


def _another_run(folder: ResultFolder, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    keys = ", ".join(key for key in wanted if there.get(key) != wanted[key])
    return f"{folder.path} holds another run (different: {keys}); choose another run_name or move the folder away"


async def _generate(
    config: RunConfig, runtime: Runtime, engine: Engine, folder: ResultFolder, identity: dict[str, Any]
) -> Outcome:
    options, benchmark, model = config.options, config.benchmark, config.model
    begin = time.perf_counter()
    for adapter in model.adapters():
        engine.check(adapter)
    total = benchmark.count(limit=options.limit)
    if total == 0:
        raise ConfigError("nothing to do: the benchmark has no samples")
    parameters = {"base": base_parameters(model.source), "adapters": asdict(model.adapter_parameters())}
    book = _Scoring(config, enabled="score" in options.stages)
    stored = StoredEngine(engine, runtime.store(options))
    helpers = {
        name: await _helper(asked, runtime, options, stored.usage) for name, asked in cast.helpers(config).items()
    }
    actor = Actor(model, stored, options.seed, helpers)
    statuses: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    allowed = int(options.fail_on_error * total)

    def finished(sample: Sample, transcript: Transcript, scores: tuple[Score, ...] | None = None) -> None:
        writer.add(sample, transcript)
        book.add(sample, transcript, scores)
        statuses[transcript.status] += 1
        for turn in transcript.turns:
            tokens["prompt"] += turn.prompt_tokens
            tokens["output"] += turn.output_tokens
        if transcript.status == "engine_failed" and statuses["engine_failed"] > allowed:
            raise EngineError(_too_many(statuses["engine_failed"], total, options.fail_on_error, transcript))
        progress.done(transcript, stored.usage)
        ahead.add(sample, transcript)

    ahead = await JudgingAhead.of(config, runtime)
    progress: Progress = make_progress(options.progress, f"{benchmark.name} {model.name}", total)
    folder.write_yaml("config.yaml", masked(dict(config.resolved)))
    try:
        with TranscriptWriter(folder.transcripts) as writer, progress:
            if isinstance(benchmark, SelfScored):
                async for played in benchmark.evaluate(actor, limit=options.limit, in_flight=options.max_in_flight):
                    finished(*played)
            else:
                samples = benchmark.samples(limit=options.limit)
                await _play(samples, benchmark.episode, actor, finished, options.max_in_flight)
            writer.finish()
        await ahead.close()
    finally:
        await ahead.cancel()
        for each in (stored, *(helper.engine for helper in helpers.values())):
            await each.close()
    folder.judgements.unlink(missing_ok=True)  # of older answers
    seconds = time.perf_counter() - begin
    manifest = {
        "identity": identity,
        "benchmark": {"name": benchmark.name, **benchmark.describe()},
        "model": {
            "name": model.name,
            "family": model.family,
            "source": masked(asdict(model.source)),
            "adapters": {a.name: a.fingerprint for a in model.adapters()},
            "sampling": asdict(model.sampling),
            "parameters": parameters,
        },
        "engine": {"fingerprint": engine.fingerprint, **engine.describe()},
        "samples": {"planned": total, "statuses": dict(sorted(statuses.items()))},
        "tokens": dict(sorted(tokens.items())),
        "session": {
            "seconds": round(seconds, 2),
            "samples_per_s": round(total / seconds, 2),
            "from_store": stored.usage.stored,
            "generated": stored.usage.requests - stored.usage.stored - stored.usage.failed,
            "generated_output_tokens": stored.usage.output_tokens,
            "output_tokens_per_s": round(stored.usage.output_tokens / seconds, 1),
        },
        "provenance": provenance(),
        "stages": {"generate": "done"},
    }
    if "score" in options.stages:
        book.write(folder, config)
        manifest["stages"]["score"] = _metrics_hash(config)
    folder.write_json("manifest.json", manifest)
    return Outcome(folder, skipped=False, failed_samples=statuses["engine_failed"])


async def _play(
    samples: Iterator[Sample],
    episode: Callable[[Sample, Actor], Any],
    actor: Actor,
    finished: Callable[[Sample, Transcript], None],
    in_flight: int,
) -> None:
    """Keeps `in_flight` episodes under way until the samples end; the first error stops all of them."""

    async def worker() -> None:
        for sample in samples:
            finished(sample, await episode(sample, actor))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(worker())
    except* RoleEvalError as errors:
        raise _first(errors) from None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _too_many(failed: int, total: int, share: float, transcript: Transcript) -> str:
    why = transcript.turns[-1].error if transcript.turns else ""
    return (
        f"{failed} of {total} samples failed, more than fail_on_error={share} allows; the last one: {why}."
        " What was generated is kept; run the same command again when the cause is mended"
    )


class _Scoring:
    """Scores transcripts as they come, or takes the scores that came with them; every row's metric is declared."""

    def __init__(self, config: RunConfig, *, enabled: bool) -> None:
        self.book = ScoreBook()
        self._benchmark = config.benchmark
        scorers = [config.benchmark] if isinstance(config.benchmark, SelfScored) else list(config.metrics.values())
        scorers = scorers if enabled else []
        self._infos = {name: info for scorer in scorers for name, info in infos_of(scorer).items()}
        self._metrics = [scorer for scorer in scorers if isinstance(scorer, Metric)]
        self._collectors = [(scorer, scorer.collector()) for scorer in scorers if isinstance(scorer, CorpusMetric)]

    def add(self, sample: Sample, transcript: Transcript, scores: tuple[Score, ...] | None = None) -> None:
        if not self._infos:
            return  # nothing is to be scored
        if scores is not None:
            self._add(self._benchmark, sample, scores)
            return
        for metric in self._metrics:
            self._add(metric, sample, metric.score(sample, transcript))
        for _, collector in self._collectors:
            collector.add(sample, transcript)

    def _add(self, scorer: Any, sample: Sample, scores: Sequence[Score]) -> None:
        check_declared(scorer, scores, self._infos)
        self.book.add(sample, scores)

    def write(self, folder: ResultFolder, config: RunConfig, kept: Mapping[str, MetricInfo] | None = None) -> None:
        """Writes scores and summary; `kept` has the infos of rows that were taken over."""
        for scorer, rows in self._corpus_rows():
            check_declared(scorer, (score for _, _, score in rows), self._infos)
            for split, cluster, score in rows:
                self.book.add_cluster(cluster, split, score)
        self.book.write(folder.scores, benchmark=config.benchmark.name, model=config.model.name)
        infos = infos_for(self.book.metrics, self._infos, kept or {})
        folder.write_json("summary.json", summarise(self.book, config.benchmark.averages(), infos))

    def _corpus_rows(self) -> Iterator[tuple[Any, list[tuple[str, str, Score]]]]:
        if isinstance(self._benchmark, SelfScored):
            yield self._benchmark, list(self._benchmark.corpus_scores())
        for metric, collector in self._collectors:
            yield metric, collector.rows()


def _rescore(config: RunConfig, folder: ResultFolder) -> Outcome:
    """Scores the transcripts of a folder; needs no engine, no model and no data."""
    manifest = folder.manifest()
    if manifest is None:
        raise ResultError(
            f"{folder.path}: no finished run there to score; generate first, with the same command and"
            " stages=[generate,score]"
        )
    if _scored(folder, manifest, config):
        return Outcome(folder, skipped=True)
    book = _Scoring(config, enabled=True)
    with make_progress(config.options.progress, "scoring", manifest["samples"]["planned"]) as progress:
        usage, samples = Usage(), []
        for sample, transcript in read_transcripts(folder.transcripts):
            book.add(sample, transcript)
            samples.append(sample)
            progress.done(transcript, usage)
    kept = kept_rows(manifest)
    book.book.take_over(folder.scores, samples, lambda metric: metric.startswith(JUDGED) and kept(metric))
    book.write(folder, config, {**summary_infos(folder.summary()), **judge_infos(manifest)})
    manifest["stages"]["score"] = _metrics_hash(config)
    folder.write_json("manifest.json", manifest)
    return Outcome(folder, skipped=False)
