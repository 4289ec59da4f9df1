"""The judge stage: reads a result folder's transcripts, asks judges about them, and adds their scores to the folder.

    metric of a judge:   judge/<judge>@<pack hash>-<model and settings hash>[:<hash of the runs compared>]/<criterion>

The hashes separate columns of other judges, prompts, judge models and sets of opponents. Nothing is generated; the only
model that may be loaded is a judge's, when the store lacks a reply.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from roleeval.config import RunConfig, RunOptions
from roleeval.errors import EngineError, ResultError, cause_of, concerns_one_item
from roleeval.hashing import digest, file_hash
from roleeval.identity import class_name
from roleeval.judging import (
    OVER_BUDGET,
    TOO_LONG,
    Answer,
    Case,
    Control,
    Judge,
    Judgement,
    Panel,
    Question,
    ask,
    control_record,
    controls,
    members,
)
from roleeval.metrics import MetricInfo, check_declared, infos_of
from roleeval.models import base_parameters
from roleeval.results import (
    ResultFolder,
    ScoreBook,
    infos_for,
    judgement_line,
    read_transcripts,
    summarise,
    summary_infos,
    write_judgements,
)
from roleeval.results.infos import JUDGED
from roleeval.results.judge_columns import judge_infos, kept_rows
from roleeval.results.manifest import JudgeRecord, Manifest, PanelRecord
from roleeval.stages.cast import judge_model
from roleeval.stages.judge_check import check_judge, one_per_language
from roleeval.stages.judge_record import JudgeRows, Task, counted, judge_record, pooled_rows, shared_infos
from roleeval.stages.opponents import Opponents
from roleeval.stages.plan_file import outcome
from roleeval.stages.progress import make_progress
from roleeval.stages.runtime import Runtime
from roleeval.types import Sample, Score, Status, Transcript
from roleeval.workers import in_flight

log = logging.getLogger("roleeval")

Played = Sequence[tuple[Sample, Transcript]]


async def judge_folder(config: RunConfig, runtime: Runtime, folder: ResultFolder) -> bool:
    """Does what the configuration's judges have not done yet in a folder; False where that is nothing.

    A judge that compares and has no opponents yet is left for later, and so is its panel's pooled column; the panel's
    other judges are asked.

    Raises:
        RoleEvalError: the folder is unfinished, an engine is dead, too many calls had no reply. Replies are in the
            store; the same command goes on from there.
    """
    manifest = folder.manifest()
    if manifest is None:
        raise ResultError(f"{folder.path}: no finished run to judge; generate first, with stages=[generate]")
    everyone = [await _task(judge, config, runtime, folder, manifest) for judge in members(config.judge)]
    waiting = [task for task in everyone if task.judge.compares and not task.opponents.ids]
    for task in waiting:
        if set(getattr(task.judge, "against", None) or ()) == {manifest.model.name}:
            log.info("%s: judge %s compares others with this model", folder.path, task.judge.name)
            continue
        log.warning(
            "%s: judge %s waits for opponents: there is no other comparable run yet. Run the same command again when"
            " there is one",
            folder.path,
            task.judge.name,
        )
    tasks = [task for task in everyone if task not in waiting]
    panel = config.judge if isinstance(config.judge, Panel) and not waiting else None
    pooled = f"{JUDGED}{panel.name}@{digest(sorted(task.prefix for task in tasks))[:8]}" if panel else ""
    summary = folder.summary()
    if all(task.is_done(manifest, summary) for task in tasks) and (not panel or pooled in manifest.judges):
        return False
    played = list(read_transcripts(folder.transcripts))
    folder.begin_changes(manifest)
    judges = dict(manifest.judges)
    found: dict[str, JudgeRows] = {}
    for task in tasks:
        found[task.prefix], judges[task.column] = await _judged(task, config, folder, played)
    if panel is not None:
        infos = shared_infos([judges[task.column].infos for task in tasks])
        if not infos:
            log.warning("judge %s: its judges have no metric on the same scale, so no mean is computed", panel.name)
        judges[pooled] = PanelRecord(judge=panel.name, prefix=pooled, members=tuple(sorted(found)), infos=infos)
        found[pooled] = pooled_rows(found, infos, pooled)
    _write(config, folder, replace(manifest, judges=judges), [sample for sample, _ in played], found)
    return True


async def _task(judge: Judge, config: RunConfig, runtime: Runtime, folder: ResultFolder, manifest: Manifest) -> Task:
    options, model = judge_model(judge, config)
    engine = await runtime.stored(options, model, config.options, prices=judge.prices)
    adapter = next(iter(model.adapters()), None)
    adapters = [adapter.fingerprint] if adapter else []
    who = digest(class_name(type(judge)), engine.fingerprint, judge.identity(), *adapters)
    column = f"{JUDGED}{judge.name}@{judge.prompts.sha256[:8]}-{who[:8]}"
    opponents = Opponents.find(config, folder, manifest, getattr(judge, "against", None) if judge.compares else ())
    pool = digest(sorted([folder.run_id, *opponents.ids]))[:8]
    transcripts = [file_hash(each.transcripts) for each in (folder, *opponents.folders)]
    work = digest(column, opponents.ids, transcripts, judge.attempts)
    prefix = f"{column}:{pool}" if judge.compares else column
    price = {**config.options.prices, **judge.prices}.get(judge.source.path) if judge.source else None
    return Task(judge, engine, adapter, opponents, column, prefix, work, base_parameters(model.source), price)


async def _judged(task: Task, config: RunConfig, folder: ResultFolder, played: Played) -> tuple[JudgeRows, JudgeRecord]:
    """Asks one judge about everything; writes its judgements, returns its rows and its record for the manifest."""
    judge, options, begin = task.judge, config.options, time.perf_counter()
    infos = infos_of(judge, tuple(task.opponents.ids))
    cases = _cases(task, folder, played)
    check_judge(judge, config, task.engine, list(one_per_language(case.sample for case in cases)))
    spoilt = _controls(judge, folder, cases)
    unasked: dict[int, str] = {}
    try:
        judgements = await _ask_all(task, [*cases, *(control.case for control in spoilt)], options, unasked)
    finally:
        await task.engine.close()
    judged = judgements[: len(cases)]
    controlled = list(zip(spoilt, judgements[len(cases) :], strict=True))
    found = None
    if judge.controls:
        asked = [judgement for _, per_case in controlled for judgement in per_case]
        found = _control_record(judge, controlled) | counted(asked, task.price)
    usage = task.engine.usage
    attempts = [attempt for per_case in judgements for judgement in per_case for attempt in judgement.attempts]
    actual = {
        "calls": len(attempts),
        "prompt_tokens": sum(attempt.prompt_tokens for attempt in attempts),
        "new_tokens": sum(attempt.output_tokens for attempt in attempts),
    }
    who = f"judge {judge.name}"
    record = judge_record(
        task,
        [judgement for per_case in judged for judgement in per_case],
        infos=infos,
        controls=found,
        session={
            "seconds": round(time.perf_counter() - begin, 2),
            "calls": usage.requests - usage.stored,
            "from_store": usage.stored,
        }
        | outcome(config, [who, f"{who}, controls"], actual),
    )
    _write_judgements(task, folder, record, judged, controlled)
    rows = _scored(judge, list(zip(cases, judged, strict=True)), unasked, infos)
    check_declared(judge, (row for _, each in rows for row in each), infos, key="judge")
    return [(s, [replace(r, metric=f"{task.prefix}/{r.metric}") for r in each]) for s, each in rows], record


def _scored(
    judge: Judge,
    judged: Sequence[tuple[Case, Sequence[Judgement]]],
    unasked: Mapping[int, str],
    infos: Mapping[str, MetricInfo],
) -> JudgeRows:
    """The judge's rows; a case that it cannot ask about, or not score, is missing with the cause.

    Args:
        judge: who scores.
        judged: cases with their judgements.
        unasked: number of a case that could not be asked about -> why.
        infos: metric -> what it is.
    """

    def missing(case: Case, reason: str) -> tuple[Sample, list[Score]]:
        return case.sample, [Score(name, None, "judge_failed", detail={"reason": reason}) for name in infos]

    asked = [each for number, each in enumerate(judged) if number not in unasked]
    try:
        rows = judge.scores(asked)
    except Exception as error:
        if not concerns_one_item(error):
            raise
        log.debug("judge %s: scores of all cases together failed", judge.name, exc_info=error)
        rows = [row for each in asked for row in _alone(judge, each, missing)]
    found = {sample.id: (sample, scores) for sample, scores in rows}
    for number, reason in unasked.items():
        if number < len(judged):
            found[judged[number][0].sample.id] = missing(judged[number][0], reason)
    order = [case.sample.id for case, _ in judged]
    return [found[name] for name in order if name in found]


def _alone(
    judge: Judge,
    judged: tuple[Case, Sequence[Judgement]],
    missing: Callable[[Case, str], tuple[Sample, list[Score]]],
) -> JudgeRows:
    try:
        return judge.scores([judged])
    except Exception as error:
        if not concerns_one_item(error):
            raise
        log.warning("judge %s: %s could not be scored: %s", judge.name, judged[0].sample.id, cause_of(error))
        log.debug("judge %s: %s", judge.name, judged[0].sample.id, exc_info=error)
        return [missing(judged[0], cause_of(error))]


def _control_record(judge: Judge, controlled: Sequence[tuple[Control, Sequence[Judgement]]]) -> dict[str, Any]:
    try:
        return control_record(judge, controlled)
    except Exception as error:
        if not concerns_one_item(error):
            raise
        log.warning("judge %s: its controls could not be measured: %s", judge.name, cause_of(error))
        log.debug("judge %s", judge.name, exc_info=error)
        return control_record(judge, [])


def _questions(judge: Judge, number: int, case: Case, unasked: dict[int, str]) -> list[Question]:
    """The judge's questions about a case; none where it cannot ask, which `unasked` then says."""
    try:
        return list(judge.questions(case))
    except Exception as error:
        if not concerns_one_item(error):
            raise
        log.debug("judge %s: no question about %s", judge.name, case.sample.id, exc_info=error)
        unasked[number] = cause_of(error)
        return []


def _cases(task: Task, folder: ResultFolder, played: Played) -> list[Case]:
    """What the judge is asked about: each sample's answer, with those of the opponents."""
    own, view = folder.run_id, task.judge.view
    others = task.opponents.answers(view)
    cases = []
    for sample, transcript in played:
        answers: dict[str, Answer] = {own: view.of(transcript)}
        for run_id, known in others.items():
            if sample.id not in known:
                raise ResultError(
                    f"{run_id}: has no answer to {sample.id}; run it again, or remove it from judge.against"
                )
            answers[run_id] = known[sample.id]
        cases.append(Case(sample, own, answers))
    return cases


def _controls(judge: Judge, folder: ResultFolder, cases: Sequence[Case]) -> list[Control]:
    spoilt = controls(cases, judge) if judge.controls else []
    if judge.controls and not spoilt:
        log.warning(
            "judge.controls: no controls for %s, which has neither references nor answers of its own", folder.path
        )
    return spoilt


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question of one case, asked for the n-th time."""

    number: int
    case: int
    question: Question
    repeat: int


async def _ask_all(
    task: Task, cases: Sequence[Case], options: RunOptions, unasked: dict[int, str]
) -> list[list[Judgement]]:
    """Per case its judgements, in the order of its questions; `max_in_flight` questions run in parallel.

    Raises:
        EngineError: more questions had no reply, or more cases no question, than `fail_on_error` allows.
    """
    judge, progress_title = task.judge, f"judge {task.judge.name}"
    asked = [
        (case, question, repeat)
        for case, each in enumerate(cases)
        for question in _questions(judge, case, each, unasked)
        for repeat in range(judge.samples_per_item)
    ]
    if len(unasked) > options.failures_allowed(len(cases)):
        raise EngineError(
            f"judge {judge.name} could not ask about {len(unasked)} of {len(cases)} samples, more than"
            f" fail_on_error={options.fail_on_error} allows; the last one: {[*unasked.values()][-1]}"
        )
    jobs = [_Asking(number, *each) for number, each in enumerate(asked)]
    found: list[Judgement | None] = [None] * len(jobs)
    allowed, unanswered = options.failures_allowed(len(jobs)), 0

    async def settle(job: _Asking) -> None:
        nonlocal unanswered
        judgement = await ask(job.question, judge, task.engine, repeat=job.repeat, adapter=task.adapter)
        found[job.number] = judgement
        unanswered += not judgement.answered and judgement.reason not in (TOO_LONG, OVER_BUDGET)
        if unanswered > allowed:
            raise EngineError(_too_many(unanswered, len(jobs), options.fail_on_error, judgement))
        status: Status = "ok" if judgement.status == "ok" else "engine_failed"
        progress.done(Transcript(job.question.sample_id, status, ()))

    with make_progress(options.progress, progress_title, len(jobs), task.engine.usage, longest=1) as progress:
        await in_flight(jobs, settle, most=judge.max_in_flight)
    per_case: list[list[Judgement]] = [[] for _ in cases]
    for job, judgement in zip(jobs, found, strict=True):
        assert judgement is not None
        per_case[job.case].append(judgement)
    return per_case


def _too_many(failed: int, total: int, share: float, judgement: Judgement) -> str:
    return (
        f"{failed} of {total} questions to the judge had no reply, more than fail_on_error={share} allows; the last one"
        f" had: {judgement.attempts[-1].error}. What was answered is kept; fix the cause and run the same"
        " command again"
    )


def _write_judgements(
    task: Task,
    folder: ResultFolder,
    record: JudgeRecord,
    judged: Sequence[Sequence[Judgement]],
    controlled: Sequence[tuple[Control, Sequence[Judgement]]],
) -> None:
    data = record.to_json()
    source = {name: data[name] for name in ("judge", "pack", "model")}

    def line(judgement: Judgement, **control: Any) -> bytes:
        numbers = None if judgement.verdict is None else task.judge.numbers(judgement.verdict)
        return judgement_line(judgement, column=task.column, numbers=numbers, source=source | control, price=task.price)

    lines = [line(judgement) for per_case in judged for judgement in per_case]
    lines += [line(each, control=control.identity) for control, per_case in controlled for each in per_case]
    write_judgements(folder.judgements, task.column, lines)


def _write(
    config: RunConfig,
    folder: ResultFolder,
    manifest: Manifest,
    samples: Sequence[Sample],
    found: Mapping[str, JudgeRows],
) -> None:
    """Adds rows to the folder's scores, replacing older rows of the same columns."""
    manifest = _without_stale_panels(manifest)
    book, kept = ScoreBook(), kept_rows(manifest)
    book.take_over(folder.scores, samples, lambda metric: kept(metric) and not metric.startswith(tuple(found)))
    for rows in found.values():
        for sample, scores in rows:
            book.add(sample, scores)
    book.write(folder.scores, benchmark=config.benchmark.name, model=config.model.name)
    scored = {name: info for metric in config.metrics.values() for name, info in infos_of(metric).items()}
    infos = infos_for(book.metrics, judge_infos(manifest), summary_infos(folder.summary()), scored)
    folder.write_json("summary.json", summarise(book, config.benchmark.averages(), infos))
    folder.write_manifest(manifest)


def _without_stale_panels(manifest: Manifest) -> Manifest:
    """Without the panels that pool judgements which have been replaced."""
    there = {record.prefix for record in manifest.judges.values()}
    return replace(
        manifest,
        judges={
            column: record
            for column, record in manifest.judges.items()
            if not isinstance(record, PanelRecord) or there.issuperset(record.members)
        },
    )
