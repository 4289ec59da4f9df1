"""Turns results of CoSER's own evaluation code into a result folder that reports show.

    <out>/
      transcripts.jsonl   the simulated scenes
      judgements.jsonl    the file's flaws, a line per scene and dimension
      scores.parquet, summary.json
      manifest.json       `imported`: which files, and every difference between stored and recomputed scores

Points are recomputed from the flaws; the stored ones are only compared. BLEU and ROUGE-L are copied as stored. Source:
spec/coser.md, section 3.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from roleeval.benchmarks.coser import Coser, CoserOverlap, gca_infos, gca_numbers, gca_points, read_severity
from roleeval.benchmarks.coser.scene import ENVIRONMENT_PART, PREDICTOR_PART
from roleeval.benchmarks.coser.text import character_turn, without_name
from roleeval.errors import DataError, ResultError
from roleeval.hashing import digest, file_hash
from roleeval.integrations.coser._official import (
    AVERAGE,
    DIMENSIONS,
    ENVIRONMENT,
    NEXT_SPEAKER,
    OVERLAPS,
    Evaluation,
    OfficialCase,
    OfficialVerdict,
    read_evaluation,
)
from roleeval.judging import Judgement, UnusableReplyError, mean_or_none
from roleeval.metrics import infos_of
from roleeval.models._her_reply import parse_her
from roleeval.results import ResultFolder, ScoreBook, infos_for, judgement_line, summarise, write_judgements
from roleeval.results.folder import TranscriptWriter
from roleeval.results.judge_columns import judge_infos
from roleeval.results.manifest import (
    BenchmarkRecord,
    JudgeModel,
    JudgeRecord,
    Manifest,
    ModelRecord,
    Pack,
    SampleCounts,
)
from roleeval.results.provenance import provenance
from roleeval.stages.lock import locked
from roleeval.types import MODEL, Part, Persona, Sample, Score, Transcript, Turn

Protocol = Literal["paper", "feb25", "head", "her"]

_PREFIX = "coser"
_TOLERANCE = 1e-6  # stored values are sums of halves, and means of them
_MOST_ROUNDS = 20  # of a scene, in every protocol
_AVERAGE = AVERAGE.removeprefix(f"{_PREFIX}/")
_FIRST_PLACE = 130  # of the imported points among a table's columns
_TITLES = {metric: title for title, metric in {**DIMENSIONS, "average": AVERAGE, **OVERLAPS}.items()}
# Another way of averaging: over rows where "+" joins the groups (results/summary.py).
_GROUPS, _CASES = ("id", "ood"), ("id+ood",)


@dataclass(frozen=True, slots=True)
class Difference:
    """A score that the file holds and that its own flaws do not give; `case` is "" for the means over all cases."""

    case: str
    dimension: str
    stored: float
    recomputed: float | None


@dataclass(frozen=True, slots=True)
class Remark:
    """A flaw whose severity is not a whole number from 1 to 10, and how it was read."""

    case: str
    dimension: str
    text: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported: numbers of scenes, verdicts and verdicts without a score, and all that has to be told."""

    cases: int
    verdicts: int
    missing: int
    differences: tuple[Difference, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class _Scene:
    """A case with its recomputed rows.

    Attributes:
        case: as the file has it.
        severities: metric -> severities of its flaws; None where one cannot be read.
        remarks: on severities.
        rows: metric -> row.
    """

    case: OfficialCase
    severities: Mapping[str, tuple[float, ...] | None]
    remarks: tuple[Remark, ...]
    rows: Mapping[str, Score]


def import_coser(
    evaluation: Path,
    out: Path,
    *,
    model: str,
    simulation: Path | None = None,
    data: Path | None = None,
    judge: str = "not named by the file",
    protocol: Protocol = "head",
) -> Imported:
    """Writes a result folder out of an official evaluation file.

    Args:
        evaluation: the file.
        out: the result folder; one of an earlier import is replaced.
        model: what the simulated model is called in reports.
        simulation: the simulations' file, where the evaluation file does not hold them.
        data: CoSER's test_set.json, which tells id from ood scenes; None: all scenes are one group, "all".
        judge: what the judge model is called in reports.
        protocol: "paper" does not cap scores at 100 and averages the means of id and ood.

    Raises:
        DataError: a file is malformed (names case and key), or a case is not in the data.
        ResultError: the folder holds another run, or cannot be written.
    """
    folder = ResultFolder(out)
    found = read_evaluation(evaluation, simulation)
    benchmark = None if data is None else Coser(data_file=str(data), on_error="skip")
    samples = _samples(found, benchmark)
    cap = None if protocol == "paper" else 100.0
    scenes = [_scene(case, cap) for case in found.cases]
    differences = (*_case_differences(scenes), *_mean_differences(found, scenes))
    remarks = tuple(remark for scene in scenes for remark in scene.remarks)
    files = {"evaluation": evaluation, "simulation": simulation, "data": data}
    record = _judge_record(scenes, judge, cap=cap)
    # as prompt packs of measured runs do, another judge or protocol keeps imports out of each other's tables
    who = Pack(version=f"judge {judge}, protocol {protocol}", sha256=digest("official", judge, protocol))
    column = f"{_PREFIX}@{who.sha256[:8]}"
    imported = {
        "files": {key: {"name": file.name, "sha256": file_hash(file)} for key, file in files.items() if file},
        "protocol": protocol,
        "differences": [asdict(difference) for difference in differences],
        "remarks": [asdict(remark) for remark in remarks],
    }
    manifest = replace(_manifest(samples, benchmark, model, who), judges={column: record}, more={"imported": imported})
    averages = {"all": (_GROUPS if protocol == "paper" else _CASES,)}
    asyncio.run(_write_alone(folder, lambda: _write(folder, samples, scenes, manifest, averages=averages)))
    return Imported(
        cases=len(scenes),
        verdicts=sum(len(scene.case.verdicts) for scene in scenes),
        missing=sum(scene.rows[metric].value is None for scene in scenes for metric in DIMENSIONS.values()),
        differences=differences,
        remarks=remarks,
    )


def _samples(found: Evaluation, benchmark: Coser | None) -> list[Sample]:
    """A sample for each case, in the file's order; with all its texts where the test set is given."""
    known = {} if benchmark is None else {sample.id: sample for sample in benchmark.samples(limit=None)}
    samples = []
    for index, case in enumerate(found.cases):
        if benchmark is not None and case.id not in known:
            raise DataError(f"{benchmark.data_file}: no case {case.id!r}; is this the test set of the evaluation?")
        texts = {"book": case.book, "scenario": case.scenario}
        bare = Sample(case.id, index, "all", case.book, Persona("", "", "en"), case.scenario, {}, {}, texts)
        samples.append(replace(known.get(case.id, bare), index=index))
    return samples


def _scene(case: OfficialCase, cap: float | None) -> _Scene:
    severities: dict[str, tuple[float, ...] | None] = {}
    rows: dict[str, Score] = {}
    remarks: list[Remark] = []
    for metric in DIMENSIONS.values():
        verdict = case.verdicts.get(metric)
        if verdict is None:
            severities[metric] = None
            rows[metric] = Score(metric, None, "judge_failed", detail={"reason": "the scene was not evaluated"})
            continue
        read, lenient, unusable = _severities(verdict)
        remarks += [Remark(case.id, _TITLES[metric], text) for text in (*lenient, *unusable)]
        if unusable:
            severities[metric] = None
            rows[metric] = Score(metric, None, "judge_failed", detail={"reason": unusable[0]})
        else:
            severities[metric] = read
            detail = {"severities": read, "rounds": case.rounds}
            rows[metric] = Score(metric, gca_points(read, case.rounds, cap=cap), detail=detail)
    average = mean_or_none([row.value for row in rows.values()])
    for metric, read_of in severities.items():
        count = None if read_of is None else float(len(read_of))
        rows[f"{metric}/flaws"] = Score(f"{metric}/flaws", count, rows[metric].status)
    rows[AVERAGE] = Score(AVERAGE, average, "ok" if average is not None else "judge_failed")
    rows |= {metric: Score(metric, value) for metric, value in case.overlaps.items()}
    return _Scene(case, severities, tuple(remarks), rows)


def _severities(verdict: OfficialVerdict) -> tuple[tuple[float, ...], list[str], list[str]]:
    """The severities of a verdict's flaws; which were read with leniency, and which are none."""
    read: list[float] = []
    lenient: list[str] = []
    unusable: list[str] = []
    for number, flaw in enumerate(verdict.flaws, start=1):
        value = flaw.get("severity") if isinstance(flaw, Mapping) else None
        try:
            severity, coerced = read_severity(value)
        except UnusableReplyError as error:
            unusable.append(f"flaw {number}: {error}; the dimension has no score")
            continue
        read.append(severity)
        if coerced:
            lenient.append(f"flaw {number}: severity {value!r} taken as {severity:g}")
    return tuple(read), lenient, unusable


def _case_differences(scenes: Sequence[_Scene]) -> Iterator[Difference]:
    for scene in scenes:
        stored = {metric: verdict.stored for metric, verdict in scene.case.verdicts.items()}
        stored[AVERAGE] = scene.case.stored
        for metric, value in stored.items():
            if value is not None and _differ(value, scene.rows[metric].value):
                yield Difference(scene.case.id, _TITLES[metric], value, scene.rows[metric].value)


def _mean_differences(found: Evaluation, scenes: Sequence[_Scene]) -> Iterator[Difference]:
    """Of the means that the file holds, over all cases that have a value."""
    for metric, stored in found.means.items():
        rows = [scene.rows[metric] for scene in scenes if metric in scene.rows]
        mean = mean_or_none([row.value for row in rows if row.value is not None])
        if _differ(stored, mean):
            yield Difference("", _TITLES[metric], stored, mean)


def _differ(stored: float, recomputed: float | None) -> bool:
    return recomputed is None or abs(stored - recomputed) > _TOLERANCE


def _judge_record(scenes: Sequence[_Scene], judge: str, *, cap: float | None) -> JudgeRecord:
    """A judge's record for the manifest, as far as the file has it; its metrics come first in their tables."""
    briefs = {metric.removeprefix(f"{_PREFIX}/"): title for title, metric in DIMENSIONS.items()}
    infos = gca_infos(briefs, rounds=_MOST_ROUNDS, cap=cap)
    first = sorted(infos, key=lambda info: (info.name != _AVERAGE, info.name))
    places = {info.name: place for place, info in enumerate(first, start=_FIRST_PLACE)}
    statuses = Counter(scene.rows[metric].status for scene in scenes for metric in DIMENSIONS.values())
    return JudgeRecord(
        judge="official",
        prefix=_PREFIX,
        work="imported",
        pack=Pack(name="official", version="(version unknown)", sha256=""),
        model=JudgeModel(source={"path": judge}),
        questions=sum(statuses.values()),
        statuses=dict(sorted(statuses.items())),
        infos={info.name: replace(info, position=places[info.name]) for info in infos},
    )


def _manifest(samples: Sequence[Sample], benchmark: Coser | None, model: str, who: Pack) -> Manifest:
    ids = digest(sorted(sample.id for sample in samples))
    return Manifest(
        identity={"imported": "coser", "data_hash": ids, "model": model, "seed": None, "limit": None},
        benchmark=BenchmarkRecord(
            name="coser",
            data="the cases of an evaluation file" if benchmark is None else str(benchmark.data_file),
            data_hash=ids,
            splits=dict(sorted(Counter(sample.split for sample in samples).items())),
            prompt_packs={"official evaluation": who},
            cluster=("book", "books"),
        ),
        model=ModelRecord(name=model, family="imported", source={"path": model}),
        engine={"kind": "imported"},
        samples=SampleCounts(planned=len(samples), statuses={"ok": len(samples)}),
        provenance=provenance(),
        stages={"generate": "imported", "score": "imported"},
    )


async def _write_alone(folder: ResultFolder, write: Callable[[], None]) -> None:
    """Writes the folder when no other process works on it, unless it holds a run."""
    async with locked(folder.path):
        there = folder.manifest()
        if there is not None and "imported" not in there.more:
            raise ResultError(f"{folder.path}: contains a run that was not imported; choose another folder")
        write()


def _write(
    folder: ResultFolder,
    samples: Sequence[Sample],
    scenes: Sequence[_Scene],
    manifest: Manifest,
    *,
    averages: Mapping[str, tuple[tuple[str, ...], ...]],
) -> None:
    book = ScoreBook()
    with TranscriptWriter(folder.transcripts) as writer:
        for sample, scene in zip(samples, scenes, strict=True):
            writer.add(sample, Transcript(sample.id, "ok", tuple(_turn(*turn) for turn in scene.case.turns)))
            book.add(sample, scene.rows.values())
        writer.finish()
    ((column, record),) = manifest.judge_records.items()
    data = record.to_json()
    source = {key: data[key] for key in ("judge", "pack", "model")}
    lines = [
        judgement_line(
            judgement,
            column=column,
            numbers=None if judgement.verdict is None else gca_numbers(judgement.verdict),
            source=source,
            price=None,
        )
        for scene in scenes
        for judgement in _judgements(scene, folder.run_id)
    ]
    folder.judgements.unlink(missing_ok=True)  # of an earlier import
    write_judgements(folder.judgements, column, lines)
    book.write(folder.scores, benchmark="coser", model=manifest.model.name)
    infos = infos_for(book.metrics, judge_infos(manifest), infos_of(CoserOverlap()))
    folder.write_json("summary.json", summarise(book, averages, infos))
    folder.write_manifest(manifest)


def _turn(role: str, content: str) -> Turn:
    """A turn of the simulation; a character's thoughts, in brackets or in tags, are told from what is heard."""
    parts: dict[str, Part] = {NEXT_SPEAKER: PREDICTOR_PART, ENVIRONMENT: ENVIRONMENT_PART}
    part = parts.get(role, MODEL)
    plain = Turn(role, (), content, content, "", "ok", "stop", 0, 0, "", part=part, aside=part == PREDICTOR_PART)
    if part != MODEL:
        return replace(plain, visible=without_name(content, role).strip())
    reply = parse_her(content, "stop")
    said = replace(plain, visible=reply.visible, thoughts=reply.thoughts, status=reply.status, shown=reply.shown)
    return character_turn(said)


def _judgements(scene: _Scene, label: str) -> Iterator[Judgement]:
    """The file's verdicts; how they were asked for it does not say, so they have no attempts."""
    for metric, verdict in scene.case.verdicts.items():
        read = scene.severities[metric]
        flaws = [] if read is None else [{**f, "severity": s} for f, s in zip(verdict.flaws, read, strict=True)]
        yield Judgement(
            item=f"{scene.case.id}:{metric.removeprefix('coser/')}",
            sample_id=scene.case.id,
            slots=(label,),
            repeat=0,
            verdict=None if read is None else {"flaws": flaws, "stored": verdict.stored},
            status="judge_failed" if read is None else "ok",
            reason=str(scene.rows[metric].detail["reason"]) if read is None else "",
            answered=True,
            attempts=(),
        )
