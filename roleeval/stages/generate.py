"""The generate stage: plays a benchmark's episodes and writes the result folder, including scores."""

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from roleeval.benchmarks import Actor, Foreseen, SelfScored
from roleeval.config import RunConfig, RunOptions, as_config
from roleeval.engines import Engine, Usage
from roleeval.errors import ConfigError, EngineError, cause_of, concerns_one_item
from roleeval.identity import places
from roleeval.models import base_parameters
from roleeval.results import ResultFolder
from roleeval.results.folder import TranscriptWriter
from roleeval.results.manifest import FORMAT, Manifest, read_manifest
from roleeval.results.provenance import provenance
from roleeval.secrets import masked
from roleeval.stages import cast
from roleeval.stages.ahead import JudgingAhead
from roleeval.stages.asked import asked_count, asked_samples
from roleeval.stages.capability import capability
from roleeval.stages.cut_off import CutOff
from roleeval.stages.foresee import Foresight, foresee
from roleeval.stages.judge_check import check_judges
from roleeval.stages.notices import notices
from roleeval.stages.outcome import RunOutcome
from roleeval.stages.plan_file import outcome
from roleeval.stages.progress import make_progress
from roleeval.stages.reasoning import ReasoningSeen
from roleeval.stages.runtime import Runtime
from roleeval.stages.score import Scoring, metrics_hash
from roleeval.stages.together import require_together
from roleeval.types import WITHOUT_REPLY, Sample, Score, Transcript, Turn
from roleeval.workers import in_flight

log = logging.getLogger("roleeval")

# Takes a finished episode; the scores are those of a benchmark that scores itself.
Finished = Callable[[Sample, Transcript, tuple[Score, ...] | None], None]


@dataclass(frozen=True)
class Job:
    """A run that is known by its identity, and the folder that it belongs into."""

    config: RunConfig
    runtime: Runtime
    engine: Engine
    identity: Mapping[str, Any]
    folder: ResultFolder


@dataclass
class _Tally:
    """Counts the episodes' outcomes; raises if more failed than are allowed (RunOptions.failures_allowed)."""

    planned: int
    options: RunOptions
    cut_off: CutOff
    statuses: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    reasoning: ReasoningSeen = field(default_factory=ReasoningSeen)
    calls: int = 0
    written: int = 0  # tokens of replies, without texts that were scored
    overflow: str = ""  # the first sample that outgrew the context, and by how much

    def add(self, transcript: Transcript) -> None:
        self.statuses[transcript.status] += 1
        self.reasoning.add(transcript)
        self.cut_off.add(transcript)
        for turn in transcript.turns:
            self.tokens["prompt"] += turn.prompt_tokens
            self.tokens["output"] += turn.output_tokens
            self.calls += turn.attempts * bool(turn.prompt_tokens)
            self.written += turn.output_tokens if turn.logprob is None else 0
        failed = self.statuses["engine_failed"]
        if transcript.status == "engine_failed" and failed > self.options.failures_allowed(self.planned):
            raise EngineError(self._too_many(failed, transcript))
        if transcript.status == "context_overflow" and not self.overflow:
            self.overflow = f"{transcript.sample_id}: {_error(transcript)}"

    @property
    def asked(self) -> dict[str, int]:
        """What a plan is compared with (plan_file.COMPARED)."""
        return {"calls": self.calls, "prompt_tokens": self.tokens["prompt"], "new_tokens": self.written}

    def _too_many(self, failed: int, transcript: Transcript) -> str:
        kept = "What was generated is kept; fix" if self.cut_off.turns else "Fix"
        return (
            f"{failed} of {self.planned} samples failed, more than fail_on_error={self.options.fail_on_error} allows;"
            f" the last one: {_error(transcript)}. {kept} the cause and run the same command again"
        )

    def warn(self, actor: Actor) -> None:
        """Says what a reader of the scores has to know of the answers."""
        self.reasoning.warn(actor.model)
        self.cut_off.warn(actor)
        if self.overflow:
            log.warning(
                "%d of %d samples outgrew the model's context (context_overflow): what was played is kept, their scores"
                " are missing. The first: %s",
                self.statuses["context_overflow"],
                self.planned,
                self.overflow,
            )


async def generate(job: Job) -> RunOutcome:
    """Plays every sample and writes the folder; its manifest comes last.

    Raises:
        ConfigError: the benchmark has no samples, or none of a chosen cluster.
        RoleEvalError: an engine is dead, too many samples failed, a file could not be written.
    """
    config, begin = job.config, time.perf_counter()
    tally = _Tally(_planned(config), config.options, CutOff(tasks=isinstance(config.benchmark, SelfScored)))
    if not isinstance(config.benchmark, SelfScored):
        await check_judges(config, job.runtime)
    parameters = {"base": base_parameters(config.model.source), "adapters": asdict(config.model.adapter_parameters())}
    scoring = Scoring(config, tally.planned)
    for notice in notices(config):
        log.warning("%s", notice)
    await require_together(config, job.runtime)
    read_before, loading_before = _prompts_read(job), _loading(job)
    async with _actor(job) as (actor, usage):
        foresight = foresee(config, actor)
        if able := capability(actor, foresight.longest):
            able.log()
        await _play(job, actor, usage, tally, scoring, foresight)
    tally.warn(actor)
    job.folder.judgements.unlink(missing_ok=True)  # of older answers
    stages = {"generate": "done"}
    if "score" in config.options.stages:
        scoring.write(job.folder)
        stages["score"] = metrics_hash(config)
    session = _session(tally, usage, time.perf_counter() - begin, loading=_loading(job) - loading_before)
    session |= _from_prefix_cache(read_before, _prompts_read(job))
    session |= outcome(config, ["model", *cast.helpers(config)], tally.asked)
    job.folder.write_manifest(_manifest(job, tally, parameters, session, stages))
    statuses = tally.statuses
    return RunOutcome(
        job.folder,
        skipped=False,
        failed_samples=statuses["engine_failed"],
        unasked_samples=statuses["over_budget"],
    )


def _planned(config: RunConfig) -> int:
    total = asked_count(config.benchmark, limit=config.options.limit, clusters=config.options.clusters)
    if total == 0:
        raise ConfigError("nothing to do: the benchmark has no samples")
    return total


@asynccontextmanager
async def _actor(job: Job) -> AsyncIterator[tuple[Actor, Usage]]:
    """The model under test with the benchmark's helpers; all of them count into one usage."""
    config, usage = job.config, Usage()
    model = await job.runtime.stored(config.engine, config.model, config.options, usage)
    helpers: dict[str, Actor] = {}
    keys = cast.helper_keys(config)
    for name, (options, helper) in cast.helpers(config).items():
        engine = await job.runtime.stored(options, helper, config.options, usage)
        helpers[name] = Actor(helper, engine, config.options.seed, keys=keys[name])
    try:
        yield Actor(config.model, model, config.options.seed, helpers), usage
    finally:
        for each in (model, *(helper.engine for helper in helpers.values())):
            await each.close()


async def _play(job: Job, actor: Actor, usage: Usage, tally: _Tally, scoring: Scoring, foresight: Foresight) -> None:
    """Plays all episodes, with judges of single answers asked meanwhile, and writes config.yaml and the transcripts."""
    config = job.config
    ahead = await JudgingAhead.of(config, job.runtime)
    title = f"{config.benchmark.name} {config.model.name}"
    longest = config.benchmark.longest if isinstance(config.benchmark, Foreseen) else None
    progress = make_progress(config.options.progress, title, tally.planned, usage, longest=longest)
    job.folder.write_yaml("config.yaml", masked(as_config(config)))
    try:
        with TranscriptWriter(job.folder.transcripts) as writer, progress:

            def finished(sample: Sample, transcript: Transcript, scores: tuple[Score, ...] | None = None) -> None:
                transcript = _kept(writer, sample, transcript)
                if transcript.status in WITHOUT_REPLY and scores is not None:
                    scores = tuple(replace(score, value=None, status=transcript.status) for score in scores)
                scoring.add(sample, transcript, scores)
                tally.add(transcript)
                progress.done(transcript)
                ahead.add(sample, transcript)

            await _episodes(config, actor, foresight, finished, most=_most(job, foresight))
            writer.finish()
        await ahead.close()
    finally:
        await ahead.cancel()


def _most(job: Job, foresight: Foresight) -> int:
    """Episodes at once. A budget's last calls are not spread over more long episodes than they can finish."""
    options, benchmark = job.config.options, job.config.benchmark
    most = min(options.max_in_flight, foresight.in_flight or options.max_in_flight)
    longest = benchmark.longest if isinstance(benchmark, Foreseen) else 1
    if options.budget.calls is None or longest == 1:
        return most
    left = options.budget.calls - job.runtime.budget(options).calls
    return max(1, min(most, left // (2 * longest)))


async def _episodes(config: RunConfig, actor: Actor, foresight: Foresight, finished: Finished, *, most: int) -> None:
    benchmark, limit, clusters = config.benchmark, config.options.limit, config.options.clusters
    if isinstance(benchmark, SelfScored):
        async for played in benchmark.evaluate(actor, limit=limit, in_flight=most):
            finished(*played)
        return

    async def play(sample: Sample) -> None:
        try:
            transcript = foresight.not_played(sample) or await benchmark.episode(sample, actor)
        except Exception as error:
            if not concerns_one_item(error):
                raise
            transcript = _not_played(sample, error)
        finished(sample, transcript, None)

    await in_flight(_told_apart(asked_samples(benchmark, limit=limit, clusters=clusters)), play, most=most)


def _told_apart(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same samples; refuses those that result files could not tell apart."""
    ids, splits = set[str](), set[str]()
    first, later = 0, set[int]()  # every index below `first` was there, and some above
    for sample in samples:
        if sample.id in ids or 0 <= sample.index < first or sample.index in later:
            raise ConfigError(
                f"benchmark: the sample {sample.id!r} has the same id or index ({sample.index}) as another one; samples"
                " need unique ids and the indices 0, 1, ..."
            )
        if sample.split not in splits and {"/", "+"} & set(sample.split):
            raise ConfigError(f"benchmark: {sample.split!r} is not a valid name of a split; use a name without / and +")
        splits.add(sample.split)
        ids.add(sample.id)
        if sample.index == first:
            first += 1
        else:
            later.add(sample.index)
        while later and first in later:
            later.remove(first)
            first += 1
        yield sample


def _kept(writer: TranscriptWriter, sample: Sample, transcript: Transcript) -> Transcript:
    """Writes an episode; one that no file can hold becomes a failed one."""
    try:
        writer.add(sample, transcript)
    except (TypeError, ValueError, RecursionError) as error:
        transcript = _not_played(sample, error)
        writer.add(sample, transcript)
    return transcript


def _not_played(sample: Sample, error: Exception) -> Transcript:
    """The record of an episode that an error ended; the traceback is in the log file."""
    log.debug("%s: %s", sample.id, cause_of(error), exc_info=error)
    turn = Turn(
        speaker=sample.persona.role,
        messages=(),
        raw="",
        visible="",
        thoughts="",
        status="engine_failed",
        finish_reason="error",
        prompt_tokens=0,
        output_tokens=0,
        adapter="",
        error=cause_of(error),
    )
    return Transcript(sample.id, "engine_failed", (turn,))


def _manifest(
    job: Job, tally: _Tally, parameters: Mapping[str, Any], session: Mapping[str, Any], stages: Mapping[str, str]
) -> Manifest:
    benchmark, model = job.config.benchmark, job.config.model
    return read_manifest(
        {
            "format": FORMAT,
            "identity": job.identity,
            "benchmark": {"name": benchmark.name, **benchmark.describe()},
            "model": {
                "name": model.name,
                "family": model.family,
                "source": masked(asdict(model.source)),
                "adapters": {a.name: a.fingerprint for a in model.adapters()},
                "places": masked(places(model)),
                "sampling": asdict(model.sampling),
                "parameters": parameters,
                **tally.reasoning.facts(),
            },
            "engine": {"fingerprint": job.engine.fingerprint, **job.engine.describe()},
            "samples": {"planned": tally.planned, "statuses": dict(sorted(tally.statuses.items()))},
            "tokens": dict(sorted(tally.tokens.items())),
            "session": session,
            "provenance": provenance(),
            "stages": stages,
        },
        "the run's manifest",
    )


def _session(tally: _Tally, usage: Usage, seconds: float, *, loading: float) -> dict[str, Any]:
    """Time and counts. Speeds are without the `loading` of the engine, which only the first run of a sweep has."""
    speed = 1 / max(seconds - loading, 0.01)
    return {
        "seconds": round(seconds, 2),
        "loading_s": round(loading, 2),
        "samples_per_s": round(tally.planned * speed, 2),
        "from_store": usage.stored,
        "generated": usage.requests - usage.stored - usage.failed,
        "generated_output_tokens": usage.output_tokens,
        "output_tokens_per_s": round(usage.output_tokens * speed, 1),
    }


def _loading(job: Job) -> float:
    """Seconds that the engine of the model under test has taken to load; 0 before it did, or where it does not say."""
    return float(job.engine.describe().get("load_s") or 0)


def _prompts_read(job: Job) -> Mapping[str, int]:
    """Prompt tokens that the engine of the model under test has read in its life; {} where it does not count them."""
    counted: Mapping[str, int] = job.engine.describe().get("prefix_cache") or {}
    return counted


def _from_prefix_cache(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
    """The share of this run's prompt tokens that did not have to be read again, its helpers' on that engine included.

    Episodes live on it: each call's prompt is the last one's and a little more.
    """
    read, cached = (after.get(key, 0) - before.get(key, 0) for key in ("prompt_tokens", "cached_tokens"))
    if not read:
        return {}
    log.info("%.1f %% of the prompt tokens came from the prefix cache", 100 * cached / read)
    return {"from_prefix_cache": round(cached / read, 4)}


def _error(transcript: Transcript) -> str:
    return transcript.turns[-1].error if transcript.turns else ""
