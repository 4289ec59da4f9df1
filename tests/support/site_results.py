"""Result folders as runs write them, from texts of the test's own: for the site, and for its measurements in bench/."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roleeval.judging import Attempt, Judgement
from roleeval.metrics import MetricInfo
from roleeval.results import ResultFolder, ScoreBook, judgement_line, summarise
from roleeval.results.folder import TranscriptWriter
from roleeval.results.manifest import (
    BenchmarkRecord,
    JudgeModel,
    JudgeRecord,
    Manifest,
    ModelRecord,
    Pack,
    SampleCounts,
)
from roleeval.types import MODEL, Message, Persona, Sample, Score, Status, Transcript, Turn

WORDS = MetricInfo("words", label="Answer length in words", unit="words", recipe="Words.", low=0.0, headline=True)
LIKENESS = MetricInfo(
    "likeness",
    label="Likeness",
    unit="fraction",
    recipe="How like the reference it is.",
    low=0.0,
    high=1.0,
    higher_is_better=True,
    headline=True,
    primary=True,
)
OVERALL = MetricInfo(
    "overall",
    label="Overall (points)",
    unit="points",
    recipe="Points that the judge's errors leave.",
    low=0.0,
    high=10.0,
    higher_is_better=True,
    headline=True,
    primary=True,
)
PREFIX = "judge/errors@11111111-22222222"
PACK = Pack(version="1", sha256="1" * 64, name="errors")
HER = Persona("Elizabeth Bennet", "Quick, warm and fearless.", "en")
HIM = Persona("Sherlock Holmes", "A consulting detective.", "en")
DAIYU = Persona("林黛玉", "敏感多思。", "zh")


@dataclass(frozen=True)
class Episode:
    """One sample with all that a folder holds of it; `errors` are the judge's, None is a failed judgement."""

    sample: Sample
    transcript: Transcript
    scores: Sequence[Score] = ()
    errors: Sequence[Mapping[str, Any]] | None = ()
    judged: bool = True


@dataclass(frozen=True)
class Run:
    """A run to write."""

    benchmark: str
    model: str
    episodes: Iterable[Episode]
    family: str = "base"
    run: str = "seed1-0123abcd"
    seed: int = 1
    splits: Mapping[str, int] = field(default_factory=lambda: {"eng": 4})
    cluster: tuple[str, str] = ("role", "roles")
    averages: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    judge: bool = True


def write(results: Path, run: Run) -> Path:
    """Writes the folder, one episode at a time."""
    folder = ResultFolder(results / run.benchmark / run.model / run.run)
    book, lines, planned = ScoreBook(), folder.path / "judgements.jsonl", 0
    folder.path.mkdir(parents=True)
    with TranscriptWriter(folder.transcripts) as transcripts, lines.open("wb") as judgements:
        for episode in run.episodes:
            planned += 1
            transcripts.add(episode.sample, episode.transcript)
            book.add(episode.sample, episode.scores)
            if run.judge and episode.judged:
                book.add(episode.sample, [_judged(episode)])
                judgements.write(_line(episode, folder.run_id))
        transcripts.finish()
    book.write(folder.scores, benchmark=run.benchmark, model=run.model)
    infos = {info.name: info for info in (WORDS, LIKENESS, OVERALL.of_judge(PREFIX))}
    folder.write_json("summary.json", summarise(book, run.averages, infos))
    folder.write_manifest(_manifest(run, planned))
    return folder.path


def _judged(episode: Episode) -> Score:
    name = f"{PREFIX}/overall"
    if episode.errors is None:
        return Score(name, None, "judge_failed")
    return Score(name, max(0.0, 10.0 - sum(error["severity"] for error in episode.errors)))


def _line(episode: Episode, run_id: str) -> bytes:
    failed = episode.errors is None
    attempts = (
        Attempt(
            seed=1,
            temperature=0.0,
            raw="{not json",
            finish_reason="stop",
            prompt_tokens=9,
            output_tokens=3,
            error="no JSON",
        ),
    )
    if not failed:
        attempts += (
            Attempt(
                seed=2, temperature=0.7, raw="{...}", finish_reason="stop", prompt_tokens=9, output_tokens=3, error=""
            ),
        )
    judgement = Judgement(
        item=f"{episode.sample.id}|1",
        sample_id=episode.sample.id,
        slots=(run_id,),
        repeat=0,
        verdict=None if failed else {"errors": [dict(error) for error in episode.errors or ()]},
        status="judge_failed" if failed else "ok",
        reason="no JSON in the reply" if failed else "",
        answered=True,
        attempts=attempts,
    )
    source = {"judge": "errors", "pack": {"name": "errors", "version": "1", "sha256": PACK.sha256}, "model": {}}
    return judgement_line(judgement, column=PREFIX, numbers={}, source=source, price=None)


def _manifest(run: Run, planned: int) -> Manifest:
    judge = JudgeRecord(
        judge="errors",
        prefix=PREFIX,
        work="0" * 64,
        pack=PACK,
        model=JudgeModel(source={"path": "some/judge-model"}, parameters=8_000_000_000),
        infos={OVERALL.name: OVERALL},
        questions=planned,
        statuses={"ok": planned},
    )
    return Manifest(
        identity={"seed": run.seed, "limit": None, "data_hash": "d" * 64, "model": {"name": run.model}},
        benchmark=BenchmarkRecord(
            name=run.benchmark, data="embedded", data_hash="d" * 64, splits=run.splits, cluster=run.cluster
        ),
        model=ModelRecord(name=run.model, family=run.family, source={"path": f"/home/me/{run.model}"}),
        samples=SampleCounts(planned=planned, statuses={"ok": planned}),
        stages={"generate": "done", "score": "s" * 64},
        judges={PREFIX: judge} if run.judge else {},
    )


def turn(text: str, *, speaker: str = "", part: str = MODEL, **more: Any) -> Turn:
    """A turn with what tests do not look at filled in."""
    facts: dict[str, Any] = {
        "messages": (),
        "raw": text,
        "thoughts": "",
        "status": "ok",
        "finish_reason": "stop",
        "prompt_tokens": 9,
        "output_tokens": 9,
        "adapter": "",
    }
    return Turn(speaker=speaker, visible=text, part=part, **facts | more)


def single(
    number: int,
    answer: str,
    *,
    persona: Persona = HER,
    likeness: float | None = 0.5,
    errors: Sequence[Mapping[str, Any]] | None = (),
    question: str = "Who are you?",
    status: Status = "ok",
    thoughts: str = "",
    split: str = "eng",
) -> Episode:
    """A single answer."""
    sample = Sample(
        f"{split}/{number:05}", number, split, persona.role, persona, question, {"CUS": (f"Reference {number}.",)}
    )
    said = turn(
        answer,
        speaker=persona.role,
        status=status,
        thoughts=thoughts,
        messages=(Message("system", f"You are {persona.role}."), Message("user", question)),
    )
    scores = [
        Score("words", float(len(answer.split()))),
        Score("likeness", likeness, "ok" if likeness is not None else "engine_failed", "CUS"),
    ]
    return Episode(sample, Transcript(sample.id, status, (said,)), scores, errors)


def conversation(
    name: str, number: int, turns: Sequence[Turn], *, errors: Sequence[Mapping[str, Any]] | None = (), cluster: str = ""
) -> Episode:
    """A scene or a session."""
    sample = Sample(
        name, number, "eng", cluster or name, HER, "An inn by night.", {}, {}, {"plot": "A key is missing."}
    )
    return Episode(sample, Transcript(name, "ok", tuple(turns)), [Score("words", 9.0)], errors)


def error(
    quote: str, severity: int, *, turn: int | None = None, why: str = "It does not fit.", kind: str = "lapse"
) -> dict[str, Any]:
    """An error as a judge lists it."""
    place = {} if turn is None else {"round": turn}
    return {**place, "dimension": "logic", "subtype": kind, "severity": severity, "quote": quote, "reason": why}
