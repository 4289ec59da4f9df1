"""Turns the Role-play Bench's official sessions and scores into result folders: browsed, judged again, compared.

    <out>/<model>/official_<language>/
      transcripts.jsonl   the sessions, seed by seed
      scores.parquet      minimax_official/...: the file's six scores, categories and overall by both rules
      summary.json
      manifest.json       `imported`: which files, and what was left out

Sessions are read one at a time. Nothing is put in its place before every file is read and every session has its score.
Source: spec/minimax.md.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.benchmarks.minimax.data import (
    LANGUAGES,
    ROUNDS,
    RUN_IDS,
    Dialogue,
    Evaluation,
    Key,
    OnError,
    Round,
    Seed,
    language_of,
    read_dialogues,
    read_evaluations,
    read_seeds,
    unpaired,
)
from roleeval.benchmarks.minimax.session import FIRST, GIVEN, USER
from roleeval.errors import DataError, ResultError
from roleeval.hashing import digest, file_hash
from roleeval.integrations.minimax.metrics import official_infos, official_rows
from roleeval.models import parse_plain
from roleeval.models.marks import AUTO, split_reasoning
from roleeval.results import ResultFolder, ScoreBook, summarise
from roleeval.results.folder import TranscriptWriter
from roleeval.results.manifest import BenchmarkRecord, Manifest, ModelRecord, Pack, SampleCounts
from roleeval.results.provenance import provenance
from roleeval.types import MODEL, Language, Part, Persona, Sample, Status, Transcript, Turn

_LISTED = 5
_UNSAFE = re.compile(r"[^\w.()+-]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported.

    Attributes:
        folders: one for each model.
        language: of all sessions.
        sessions, seeds: how many.
        skipped: rows that were left out, and why.
        unpaired: sessions without a score and scores without a session; left out.
        other_openings: sessions whose first two messages are not their seed's.
        empty: messages of models that hold nothing.
        reasoning_removed: messages that held reasoning in marks; it is kept apart, nobody hears it.
    """

    folders: tuple[Path, ...]
    language: Language
    sessions: int
    seeds: int
    skipped: tuple[str, ...]
    unpaired: tuple[str, ...]
    other_openings: tuple[str, ...]
    empty: int
    reasoning_removed: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be imported, before any session is read.

    Attributes:
        dialogues, evaluations, seeds: the files.
        language: of all of them.
        scores: session -> official scores.
        known: seed's id -> seed; {} without a file of seeds.
        places: session -> its place among its model's: by seed, as their file has them or else by name, then by run.
        skipped: malformed rows so far.
    """

    dialogues: Path
    evaluations: Path
    seeds: Path | None
    language: Language
    scores: Mapping[Key, Evaluation]
    known: Mapping[str, Seed]
    places: Mapping[Key, int]
    skipped: list[str]

    @property
    def models(self) -> list[str]:
        return sorted({model for _, model, _ in self.scores})

    def sample(self, key: Key, rounds: Sequence[Round] = ()) -> Sample:
        """A session's sample; its texts are left out where no rounds are given."""
        seed_id, _, run = key
        seed = self.known.get(seed_id)
        user = {} if seed is None else {"user_name": seed.user_name, "user_setting": seed.user_setting}
        return Sample(
            id=f"{seed_id}/{run}",
            index=self.places[key],
            split=self.language,
            cluster=seed_id,
            persona=Persona(seed.ai_name if seed else "", seed.ai_setting if seed else "", self.language),
            question=rounds[1].text if rounds else "",
            references={},
            labels={"run": run},
            material={**user, "prologue": rounds[0].text} if rounds else {},
        )

    def record(self) -> dict[str, Any]:
        """What the manifest says of the import."""
        files = {"dialogues": self.dialogues, "evaluations": self.evaluations, "seeds": self.seeds}
        hashed = {key: {"name": file.name, "sha256": file_hash(file)} for key, file in files.items() if file}
        return {"benchmark": "minimax", "language": self.language, "cards": bool(self.known), "files": hashed}


def import_minimax(
    dialogues: Path,
    evaluations: Path,
    *,
    out: Path,
    seeds: Path | None = None,
    language: Language | None = None,
    on_error: OnError = "raise",
) -> Imported:
    """Writes a result folder for each model of one language's files.

    Args:
        dialogues, evaluations: the tables, jsonl or parquet.
        out: the folder for the models' folders; those of an earlier import are replaced.
        seeds: the table of seeds; without it a session has no card, and a judge cannot be shown one.
        language: of the files; None: as their seeds' ids say, or the name of the folder that they are in.
        on_error: "skip" leaves out malformed rows, and sessions and scores without their counterpart.

    Raises:
        DataError: a row is malformed, sessions and scores are not one to one, or the language is not known.
        ResultError: a folder holds a run that was not imported, or cannot be written.
    """
    skipped: list[str] = []
    scores = {each.key: each for each in read_evaluations(evaluations, on_error=on_error, skipped=skipped)}
    if not scores:
        raise DataError(f"{evaluations}: every row is malformed; the first: {skipped[0]}")
    spoken = _language(evaluations, {seed for seed, _, _ in scores}, language)
    known = {} if seeds is None else {s.id: s for s in read_seeds(seeds, spoken, on_error=on_error, skipped=skipped)}
    if seeds and (absent := sorted({seed for seed, _, _ in scores} - known.keys())):
        raise DataError(f"{seeds}: lacks the seed {absent[0]!r} of {evaluations} ({len(absent)} in all)")
    plan = _Plan(dialogues, evaluations, seeds, spoken, scores, known, _places(scores, known), skipped)
    folders = _folders(out, plan)
    tally, alone = _play(plan, folders, on_error)
    kept = {name: [key for key in plan.places if key in tally.played and key[1] == name] for name in folders}
    for name, keys in kept.items():
        if keys:
            _write(folders[name], plan, keys, tally.statuses[name])
    return Imported(
        folders=tuple(folders[name].path for name, keys in kept.items() if keys),
        language=spoken,
        sessions=len(tally.played),
        seeds=len({seed for seed, _, _ in tally.played}),
        skipped=tuple(skipped),
        unpaired=tuple(alone),
        other_openings=tuple(tally.other_openings),
        empty=tally.empty,
        reasoning_removed=tally.reasoning,
    )


def _language(file: Path, seeds: Collection[str], asked: Language | None) -> Language:
    named = {language_of(seed) for seed in seeds} - {None}
    if len(named) > 1:
        raise DataError(f"{file}: has sessions of en and of zh; import each language's files by themselves")
    folder = next((language for language in LANGUAGES if file.resolve().parent.name == language), None)
    found = next(iter(named), None) or asked or folder
    if found is None:
        raise DataError(f"{file}: its seeds' ids name no language; give --language en or zh")
    if asked not in (None, found):
        raise DataError(f"{file}: its seeds are of {found}, not of {asked}; leave out --language")
    return found


def _places(scores: Mapping[Key, Evaluation], known: Mapping[str, Seed]) -> dict[Key, int]:
    names = {seed: place for place, seed in enumerate(known or sorted({seed for seed, _, _ in scores}))}
    places = {key: names[key[0]] * len(RUN_IDS) + RUN_IDS.index(key[2]) for key in scores}
    return dict(sorted(places.items(), key=lambda item: item[1]))


def _folders(out: Path, plan: _Plan) -> dict[str, ResultFolder]:
    names = {model: _UNSAFE.sub("_", model).strip("._") or "model" for model in plan.models}
    if twice := [model for model, name in names.items() if [*names.values()].count(name) > 1]:
        raise DataError(f"models {twice} would share the folder {names[twice[0]]!r}; rename one of them in both files")
    folders = {model: ResultFolder(out / name / f"official_{plan.language}") for model, name in names.items()}
    for folder in folders.values():
        there = folder.manifest()
        if there is not None and "imported" not in there.more:
            raise ResultError(f"{folder.path}: contains a run that was not imported; choose another folder")
    return folders


def _play(plan: _Plan, folders: Mapping[str, ResultFolder], on_error: OnError) -> "tuple[_Tally, list[str]]":
    """Writes every session's transcript; nothing is in its place before all of them are read.

    Returns:
        What was found, and the sessions and scores without their counterpart.
    """
    tally = _Tally()
    alone: list[str] = []
    with ExitStack() as stack:
        writers = {name: stack.enter_context(TranscriptWriter(f.transcripts)) for name, f in folders.items()}
        for dialogue in read_dialogues(plan.dialogues, on_error=on_error, skipped=plan.skipped):
            if dialogue.key not in plan.scores:
                alone += unpaired([dialogue.key], [])
                continue
            sample = plan.sample(dialogue.key, dialogue.rounds)
            writers[dialogue.model_name].add(sample, tally.transcript(sample, dialogue, plan.known))
        alone += unpaired([], plan.scores.keys() - tally.played)
        if alone and on_error == "raise":
            more = f"; and {len(alone) - _LISTED} more" if len(alone) > _LISTED else ""
            raise DataError(
                f"{plan.dialogues} and {plan.evaluations} are not one to one: {'; '.join(alone[:_LISTED])}{more}; are"
                " both of the same language and release? --on-error skip leaves these out"
            )
        if not tally.played:
            raise DataError(f"{plan.dialogues}: no session of it has a score in {plan.evaluations}")
        for name in {model for _, model, _ in tally.played}:
            writers[name].finish()
    return tally, alone


class _Tally:
    """Makes transcripts, and counts what has to be told about them."""

    def __init__(self) -> None:
        self.played: set[Key] = set()
        self.statuses: dict[str, Counter[str]] = {}
        self.other_openings: list[str] = []
        self.empty = self.reasoning = 0

    def transcript(self, sample: Sample, dialogue: Dialogue, known: Mapping[str, Seed]) -> Transcript:
        """One session as an episode."""
        seed = known.get(dialogue.seed_id)
        names = {"ai": seed.ai_name, "user": seed.user_name} if seed else {"ai": "ai", "user": "user"}
        turns = tuple(self._turn(each, names[each.role]) for each in dialogue.rounds)
        if seed and (seed.ai_prologue, seed.initial_user_input) != tuple(e.text for e in dialogue.rounds[:FIRST]):
            self.other_openings.append(f"{dialogue.model_name}, {sample.id}")
        said = any(turn.visible.strip() for turn in turns if turn.part == MODEL)
        status: Status = "ok" if said else "no_answer"
        self.played.add(dialogue.key)
        self.statuses.setdefault(dialogue.model_name, Counter())[status] += 1
        return Transcript(sample.id, status, turns)

    def _turn(self, each: Round, name: str) -> Turn:
        part: Part = GIVEN if each.round < FIRST else MODEL if each.role == "ai" else USER
        visible, thoughts = each.text, ""
        status: Status = "ok" if visible.strip() else "no_answer"
        if part != GIVEN and split_reasoning(each.text, AUTO).found:
            reply = parse_plain(each.text, "stop")
            visible, thoughts, status = reply.visible, reply.thoughts, reply.status
            self.reasoning += 1
        self.empty += part == MODEL and not visible.strip()
        return Turn(name, (), each.text, visible, thoughts, status, "stop", 0, 0, "", part=part)


def _write(folder: ResultFolder, plan: _Plan, keys: Sequence[Key], statuses: Mapping[str, int]) -> None:
    model = keys[0][1]
    book = ScoreBook()
    for key in keys:
        book.add(plan.sample(key), official_rows(plan.scores[key].scores))
    folder.judgements.unlink(missing_ok=True)  # of an earlier import
    book.write(folder.scores, benchmark="minimax", model=model)
    folder.write_json("summary.json", summarise(book, {}, official_infos()))
    ids = digest(sorted(f"{seed}/{run}" for seed, _, run in keys))
    manifest = Manifest(
        identity={"imported": "minimax", "data_hash": ids, "model": model, "seed": None, "limit": None},
        benchmark=BenchmarkRecord(
            name="minimax",
            data=f"official sessions ({plan.language})",
            data_hash=ids,
            splits={plan.language: len(keys)},
            rows_skipped=len(plan.skipped),
            prompt_packs={"official sessions": Pack(version="not published", sha256=digest("official", "minimax"))},
            setup={"messages": str(ROUNDS - FIRST), "user": "as in the official sessions"},
            cluster=("seed", "seeds"),
        ),
        model=ModelRecord(name=model, family="imported", source={"path": model}),
        engine={"kind": "imported"},
        samples=SampleCounts(planned=len(keys), statuses=dict(statuses)),
        provenance=provenance(),
        stages={"generate": "imported", "score": "imported"},
        more={"imported": plan.record()},
    )
    folder.write_manifest(manifest)
