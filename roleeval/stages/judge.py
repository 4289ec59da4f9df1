"""The judge stage: reads a result folder's transcripts, asks judges about them, adds their scores to the folder.

    metric of a judge:   judge/<judge>@<pack hash>-<model and settings hash>[:<hash of the runs compared>]/<criterion>

Hashes in the names keep other judges, prompts, judge models and sets of opponents out of a column. Nothing is
generated, and no model is loaded but a judge's, when the store lacks a reply.
"""

import asyncio
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from roleeval.config import RunConfig, RunOptions, masked
from roleeval.engines import Engine, StoredEngine
from roleeval.errors import EngineError, ResultError, RoleEvalError
from roleeval.hashing import digest, file_hash
from roleeval.judging import (
    Answer,
    Case,
    Judge,
    Judgement,
    Panel,
    Price,
    Question,
    answer_of,
    ask,
    control_record,
    controls,
    mean_or_none,
    members,
)
from roleeval.metrics import MetricInfo, check_declared, infos_of
from roleeval.models import base_parameters
from roleeval.results import (
    ResultFolder,
    ScoreBook,
    infos_for,
    judge_infos,
    judgement_line,
    read_transcripts,
    record_infos,
    summarise,
    summary_infos,
    write_judgements,
)
from roleeval.stages.cast import judge_model
from roleeval.stages.opponents import Opponents
from roleeval.stages.progress import make_progress
from roleeval.stages.runtime import Runtime
from roleeval.types import AdapterRef, Sample, Score, Status, Transcript

log = logging.getLogger("roleeval")

JUDGED = "judge/"
# What says who is asked, how often in vain and at what price, and not what comes back.
_OUTSIDE = (
    "name",
    "pack",
    "source",
    "adapter_path",
    "engine",
    "attempts",
    "max_in_flight",
    "prices",
    "against",
    "controls",
)

Rows = list[tuple[Sample, list[Score]]]


@dataclass(frozen=True)
class _Task:
    """A judge and all that it needs for one folder."""

    judge: Judge
    engine: Engine
    adapter: AdapterRef | None
    opponents: Opponents
    column: str
    prefix: str
    work: str
    parameters: int | None

    @property
    def price(self) -> Price | None:
        return self.judge.prices.get(self.judge.source.path) if self.judge.source else None

    def is_done(self, manifest: Mapping[str, Any], summary: Mapping[str, Any] | None) -> bool:
        rows = (summary or {}).get("metrics", {})
        if not any(name.startswith(f"{self.prefix}/") for name in rows):
            return False
        record = manifest.get("judges", {}).get(self.column)
        if record is None or record["work"] != self.work or record["unanswered"]:
            return False
        controls = record.get("controls") or {"asked": 0, "unanswered": 0}
        return not self.judge.controls or (controls["asked"] == self.judge.controls and not controls["unanswered"])


async def judge_folder(config: RunConfig, runtime: Runtime, folder: ResultFolder) -> bool:
    """Does what the configuration's judges have not done yet in a folder; False where that is nothing.

    Raises:
        RoleEvalError: the folder is unfinished, an engine is dead, too many calls had no reply. Replies are in the
            store; the same command goes on from there.
    """
    manifest = folder.manifest()
    if manifest is None:
        raise ResultError(f"{folder.path}: no finished run there to judge; generate first, with stages=[generate]")
    tasks = []
    for judge in members(config.judge):
        task = await _task(judge, config, runtime, folder, manifest)
        if judge.compares and not task.opponents.labels:
            log.warning("%s: judge %s has no other comparable run to compare it with yet", folder.path, judge.name)
            return False
        tasks.append(task)
    summary = folder.summary()
    if all(task.is_done(manifest, summary) for task in tasks):
        return False
    transcripts = list(read_transcripts(folder.transcripts))
    judges: dict[str, Any] = manifest.setdefault("judges", {})
    found: dict[str, Rows] = {}
    for task in tasks:
        found[task.prefix], record = await _judged(task, config.options, runtime, folder, transcripts)
        judges[task.column] = record
    if isinstance(config.judge, Panel):
        column = f"{JUDGED}{config.judge.name}@{digest(sorted(found))[:8]}"
        shared = _shared([record_infos(judges[task.column]) for task in tasks])
        infos = {name: info.to_json() for name, info in shared.items()}
        judges[column] = {"judge": config.judge.name, "members": sorted(found), "infos": infos, "prefix": column}
        found[column] = _pooled(found, shared, column)
    _write(config, folder, manifest, [sample for sample, _ in transcripts], found)
    return True


async def _task(
    judge: Judge, config: RunConfig, runtime: Runtime, folder: ResultFolder, manifest: Mapping[str, Any]
) -> _Task:
    options, model = judge_model(judge, config)
    engine = await runtime.engine(options, model)
    adapter = next(iter(model.adapters()), None)
    if adapter is not None:
        engine.check(adapter)
    settings = {f.name: getattr(judge, f.name) for f in dataclasses.fields(judge) if f.name not in _OUTSIDE}
    settings["sampling"] = asdict(judge.sampling)
    who = digest(type(judge).__qualname__, engine.fingerprint, settings, *([adapter.fingerprint] if adapter else []))
    column = f"{JUDGED}{judge.name}@{judge.prompts.sha256[:8]}-{who[:8]}"
    opponents = Opponents.find(config, folder, manifest, getattr(judge, "against", None) if judge.compares else ())
    pool = digest(sorted([folder.label, *opponents.labels]))[:8]
    transcripts = [file_hash(each.transcripts) for each in (folder, *opponents.folders)]
    work = digest(column, opponents.labels, transcripts, judge.attempts)
    prefix = f"{column}:{pool}" if judge.compares else column
    return _Task(judge, engine, adapter, opponents, column, prefix, work, base_parameters(model.source))


async def _judged(
    task: _Task,
    options: RunOptions,
    runtime: Runtime,
    folder: ResultFolder,
    transcripts: Sequence[tuple[Sample, Transcript]],
) -> tuple[Rows, dict[str, Any]]:
    """Asks one judge about everything; writes its judgements, returns its rows and its record for the manifest."""
    judge, begin = task.judge, time.perf_counter()
    infos = infos_of(judge, tuple(task.opponents.labels))
    own = folder.label
    others = task.opponents.answers(judge.thoughts)
    cases = [_case(sample, transcript, own, others, judge) for sample, transcript in transcripts]
    spoilt = controls([sample for sample, _ in transcripts], judge) if judge.controls else []
    if judge.controls and not spoilt:
        log.warning("judge.controls: no sample of %s has a reference answer to put faults into", folder.path)
    questions = [judge.questions(case) for case in (*cases, *(control.case for control in spoilt))]
    stored = StoredEngine(task.engine, runtime.store(options))
    try:
        judgements = await _ask_all(questions, judge, stored, options, task.adapter)
    finally:
        await stored.close()
    judged, controlled = judgements[: len(cases)], list(zip(spoilt, judgements[len(cases) :], strict=True))
    everything = [judgement for per_case in judged for judgement in per_case]
    record = _record(task, everything, infos)
    if judge.controls:
        asked = [judgement for _, per_case in controlled for judgement in per_case]
        record["controls"] = control_record(judge, controlled) | _counted(asked, task.price)
    record["session"] = {
        "seconds": round(time.perf_counter() - begin, 2),
        "calls": stored.usage.requests - stored.usage.stored,
        "from_store": stored.usage.stored,
    }
    source = {name: record[name] for name in ("judge", "pack", "model")}
    line = partial(judgement_line, column=task.column, price=task.price)
    lines = [line(each, source=source) for each in everything]
    for control, per_case in controlled:
        lines += [line(each, source=source | {"control": control.identity}) for each in per_case]
    write_judgements(folder.judgements, task.column, lines)
    rows = judge.scores(list(zip(cases, judged, strict=True)))
    check_declared(judge, (row for _, each in rows for row in each), infos)
    return [(s, [dataclasses.replace(r, metric=f"{task.prefix}/{r.metric}") for r in each]) for s, each in rows], record


def _case(
    sample: Sample, transcript: Transcript, own: str, others: Mapping[str, Mapping[str, Answer]], judge: Judge
) -> Case:
    answers = {own: answer_of(transcript, judge.thoughts)}
    for label, known in others.items():
        if sample.id not in known:
            raise ResultError(f"{label}: has no answer to {sample.id}; run it again, or leave it out of judge.against")
        answers[label] = known[sample.id]
    return Case(sample, own, answers)


async def _ask_all(
    questions: Sequence[Sequence[Question]],
    judge: Judge,
    engine: StoredEngine,
    options: RunOptions,
    adapter: AdapterRef | None,
) -> list[list[Judgement]]:
    """Per case its judgements, in the order of its questions; `max_in_flight` questions are under way at once."""
    jobs = [(c, q, r) for c, each in enumerate(questions) for q in each for r in range(judge.samples_per_item)]
    found: list[Judgement | None] = [None] * len(jobs)
    allowed = int(options.fail_on_error * len(jobs))
    unanswered = 0
    waiting: Iterator[int] = iter(range(len(jobs)))

    async def worker() -> None:
        nonlocal unanswered
        for number in waiting:
            _, question, repeat = jobs[number]
            judgement = found[number] = await ask(question, judge, engine, repeat=repeat, adapter=adapter)
            unanswered += not judgement.answered
            if unanswered > allowed:
                raise EngineError(_too_many(unanswered, len(jobs), options.fail_on_error, judgement))
            status: Status = "ok" if judgement.status == "ok" else "engine_failed"
            progress.done(Transcript(question.sample_id, status, ()), engine.usage)

    with make_progress(options.progress, f"judge {judge.name}", len(jobs)) as progress:
        await _in_parallel(worker, judge.max_in_flight)
    per_case: list[list[Judgement]] = [[] for _ in questions]
    for (case, _, _), judgement in zip(jobs, found, strict=True):
        assert judgement is not None
        per_case[case].append(judgement)
    return per_case


async def _in_parallel(worker: Callable[[], Any], count: int) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())
    except* RoleEvalError as errors:
        raise errors.exceptions[0] from None


def _too_many(failed: int, total: int, share: float, judgement: Judgement) -> str:
    return (
        f"{failed} of {total} questions to the judge had no reply, more than fail_on_error={share} allows; the last one"
        f" had: {judgement.attempts[-1].error}. What was answered is kept; run the same command again when the cause is"
        " mended"
    )


def _record(task: _Task, judgements: Sequence[Judgement], infos: Mapping[str, MetricInfo]) -> dict[str, Any]:
    judge, pack = task.judge, task.judge.prompts
    source = masked(asdict(judge.source)) if judge.source else "the run's own base model"
    return {
        "judge": judge.name,
        "prefix": task.prefix,
        "work": task.work,
        "pack": {"name": pack.name, "version": pack.version, "sha256": pack.sha256},
        "model": {
            "source": source,
            "fingerprint": task.engine.fingerprint,
            "parameters": task.parameters,
            "adapter": task.adapter.fingerprint if task.adapter else None,
        },
        "engine": dict(task.engine.describe()),
        "sampling": asdict(judge.sampling),
        "attempts": judge.attempts,
        "samples_per_item": judge.samples_per_item,
        "aggregate": judge.aggregate,
        "seed": judge.seed,
        "opponents": list(task.opponents.labels),
        **_counted(judgements, task.price),
        "infos": {name: info.to_json() for name, info in infos.items()},
    }


def _counted(judgements: Sequence[Judgement], price: Price | None) -> dict[str, Any]:
    """What became of judgements, and what they took."""
    attempts = [attempt for judgement in judgements for attempt in judgement.attempts]
    prompt, output = sum(a.prompt_tokens for a in attempts), sum(a.output_tokens for a in attempts)
    return {
        "questions": len(judgements),
        "statuses": dict(sorted(Counter(j.status for j in judgements).items())),
        "unanswered": sum(not j.answered for j in judgements),
        "failures": dict(sorted(Counter(j.reason for j in judgements if j.status != "ok").items())),
        "unusable_replies": dict(
            sorted(Counter(a.error for a in attempts if a.error and a.finish_reason != "error").items())
        ),
        "tokens": {"prompt": prompt, "output": output},
        "cost": None if price is None else (prompt * price.input + output * price.output) / 1e6,
    }


def _shared(infos: Sequence[Mapping[str, MetricInfo]]) -> dict[str, MetricInfo]:
    """What all of a panel's judges score on the same scale."""
    scales = [{name: info.ends for name, info in each.items() if info.ends and not info.habit} for each in infos]
    return {name: infos[0][name] for name, ends in scales[0].items() if all(each.get(name) == ends for each in scales)}


def _pooled(found: Mapping[str, Rows], names: Iterable[str], column: str) -> Rows:
    """The mean over a panel's judges; missing where one of them has none."""
    pooled: Rows = []
    for parts in zip(*found.values(), strict=True):
        by_judge = [{score.metric: score for score in scores} for _, scores in parts]
        rows = []
        for name in names:
            each = [scores[f"{prefix}/{name}"] for prefix, scores in zip(found, by_judge, strict=True)]
            status: Status = next((score.status for score in each if score.status != "ok"), "ok")
            rows.append(Score(f"{column}/{name}", mean_or_none([score.value for score in each]), status))
        pooled.append((parts[0][0], rows))
    return pooled


def _write(
    config: RunConfig,
    folder: ResultFolder,
    manifest: dict[str, Any],
    samples: Sequence[Sample],
    found: Mapping[str, Rows],
) -> None:
    """Adds rows to the folder's scores in the place of the same columns' older ones."""
    judges = manifest["judges"]
    there = {record["prefix"] for record in judges.values()}
    for column in [c for c, record in judges.items() if not there.issuperset(record.get("members", ()))]:
        del judges[column]  # pools judgements that have been replaced
    book, kept = ScoreBook(), kept_rows(manifest)
    book.take_over(folder.scores, samples, lambda metric: kept(metric) and not metric.startswith(tuple(found)))
    for rows in found.values():
        for sample, scores in rows:
            book.add(sample, scores)
    book.write(folder.scores, benchmark=config.benchmark.name, model=config.model.name)
    scored = {name: info for metric in config.metrics.values() for name, info in infos_of(metric).items()}
    infos = infos_for(book.metrics, judge_infos(manifest), summary_infos(folder.summary()), scored)
    folder.write_json("summary.json", summarise(book, config.benchmark.averages(), infos))
    folder.write_json("manifest.json", manifest)


def kept_rows(manifest: Mapping[str, Any]) -> Callable[[str], bool]:
    """Says of a metric's name whether the rows that lie in the folder are of its present transcripts and judgements."""
    scored = "score" in manifest["stages"]
    judged = tuple(f"{record['prefix']}/" for record in manifest.get("judges", {}).values())
    return lambda metric: metric.startswith(judged) if metric.startswith(JUDGED) else scored
