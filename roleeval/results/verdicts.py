"""Judges' results in finished folders: the judgements of each column, and the outcomes of pairwise columns.

Two runs that were compared with each other both keep the judgement, so each is counted once. Pairs that no judge was
asked about (equal answers, or a missing answer) have outcomes as well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

from roleeval.errors import ResultError
from roleeval.judging import REFERENCES, Answer, Form, View, reference
from roleeval.metrics import MetricInfo
from roleeval.results import KeptJudgement, ResultFolder, read_judgements, read_transcripts
from roleeval.results.integrity import JUDGEMENTS, TRANSCRIPTS, require_sound
from roleeval.results.manifest import JudgeRecord, Manifest
from roleeval.stats import Aggregate, Outcome, Verdict, Winner, settle
from roleeval.types import Sample

_SLOTS: Mapping[str, Winner] = {"A": "a", "B": "b", "tie": "tie"}
_TURNED: Mapping[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class JudgedRun:
    """A finished run whose answers were judged.

    Attributes:
        folder: its result folder.
        manifest: its manifest.
    """

    folder: ResultFolder
    manifest: Manifest

    @property
    def run_id(self) -> str:
        return self.folder.run_id

    @property
    def seed(self) -> int | None:
        return self.manifest.seed

    @cached_property
    def items(self) -> dict[str, tuple[Sample, Answer]]:
        """Sample id -> sample and answer.

        Raises:
            ResultError: the transcripts are missing or damaged.
        """
        return {s.id: (s, View().of(t)) for s, t in read_transcripts(self.folder.transcripts)}

    def sample(self, name: str) -> Sample:
        """One of its samples.

        Raises:
            ResultError: the transcripts do not have it.
        """
        if name not in self.items:
            raise ResultError(
                f"{self.folder.judgements}: judges {name}, which is not in transcripts.jsonl; judge again"
            )
        return self.items[name][0]


@dataclass(frozen=True)
class JudgeColumn:
    """One judge with its prompts, model and settings, over all folders that it judged.

    Attributes:
        name: "judge/<judge>@<prompts>-<model and settings>".
        benchmark: whose samples.
        records: run id of a judged run -> what its manifest says of this judge.
        runs: run id -> run, of all finished runs of the benchmark; opponents are among them.
        judgements: each question once, with the run that it was read from; without controls.
    """

    name: str
    benchmark: str
    records: Mapping[str, JudgeRecord]
    runs: Mapping[str, JudgedRun]
    judgements: tuple[KeptJudgement, ...]

    @cached_property
    def infos(self) -> Mapping[str, MetricInfo]:
        """Metric without the column's name -> what it is."""
        return {name: info for record in self.records.values() for name, info in record.infos.items()}

    @cached_property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Metric -> (worst, best) possible value; habits of the judge are left out."""
        infos = self.infos.values()
        return {info.name: info.ends for info in infos if info.ends is not None and not info.habit}

    @property
    def aggregate(self) -> Aggregate:
        """Of repeats; the same in all records, because a column's name holds it."""
        return next((record.aggregate for record in self.records.values()), "median")

    @property
    def form(self) -> Form:
        """What its verdicts are; see Judge.form."""
        return next((record.form for record in self.records.values()), "points")

    @property
    def is_pairwise(self) -> bool:
        return self.form == "pairs"

    def answer(self, run_id: str, sample: Sample) -> Answer | None:
        """A run's (or the reference's) answer to a sample; None if its folder is not available."""
        if run_id == REFERENCES:
            return Answer.said(reference(sample))
        found = self.runs[run_id].items.get(sample.id) if run_id in self.runs else None
        return found[1] if found else None


@dataclass(frozen=True)
class Pairs:
    """A pairwise column as statistics need it.

    Attributes:
        names: the models compared; a run's name is added where one seed has several runs of a model.
        verdicts: criterion -> verdicts of pairs that have both orders.
        unasked: criterion -> outcomes that needed no judge.
        name_of: run id -> name.
        absent: compared runs whose folders are not available: outcomes of theirs that needed no judge are
            not known here.
        aggregate: of repeats.
    """

    names: tuple[str, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]
    unasked: Mapping[str, tuple[Outcome, ...]]
    name_of: Mapping[str, str]
    absent: tuple[str, ...]
    aggregate: Aggregate

    @property
    def all_verdicts(self) -> list[Verdict]:
        return [verdict for each in self.verdicts.values() for verdict in each]

    def settled(self, criterion: str) -> list[Outcome]:
        """Who won on one criterion where a judge was asked; the numbers of the judge's own scores."""
        return settle(self.verdicts[criterion], aggregate=self.aggregate)

    def outcomes(self, criterion: str | None = None) -> list[Outcome]:
        """Who won, of one criterion or of all; an item of theirs is a sample's criterion."""
        chosen = [criterion] if criterion else list(self.verdicts)
        return [o for name in chosen for o in (*self.settled(name), *self.unasked[name])]


def judge_columns(folders: Iterable[ResultFolder]) -> list[JudgeColumn]:
    """Every judge's column in finished folders, by benchmark and name.

    Raises:
        ResultError: a folder's files are damaged.
    """
    runs: dict[str, dict[str, JudgedRun]] = {}
    for folder in folders:
        manifest = folder.manifest()
        if manifest is not None:
            require_sound(folder, manifest, sizes_of=(TRANSCRIPTS, JUDGEMENTS))
            runs.setdefault(manifest.benchmark.name, {})[folder.run_id] = JudgedRun(folder, manifest)
    return [column for benchmark in sorted(runs) for column in _of_benchmark(benchmark, runs[benchmark])]


def _of_benchmark(benchmark: str, runs: Mapping[str, JudgedRun]) -> Iterator[JudgeColumn]:
    lines: dict[str, dict[tuple[object, ...], KeptJudgement]] = {}
    records: dict[str, dict[str, JudgeRecord]] = {}
    for run_id, run in runs.items():
        for name, record in run.manifest.judge_records.items():
            records.setdefault(name, {})[run_id] = record
        for row in read_judgements(run.folder.judgements):
            if row.control is None:
                # two runs that are compared share a question; an answer alone is asked about once for each run
                key = (row.item, row.repeat, *row.slots)
                lines.setdefault(row.column, {}).setdefault(key, replace(row, run=run_id))
    for name in sorted(records):
        yield JudgeColumn(name, benchmark, records[name], runs, tuple(lines.get(name, {}).values()))


def pairs(column: JudgeColumn, labels: Mapping[str, str] | None = None) -> Pairs:
    """The compared pairs of a pairwise column, and their outcomes.

    Args:
        column: the judge's.
        labels: run id -> what its model is called; None and others: the model's name.

    Raises:
        ResultError: a run's transcripts are damaged.
    """
    names = _names(column, labels or {})
    criteria = sorted({name for row in column.judgements for name in row.verdict or ()}) or ["overall"]
    verdicts: dict[str, list[Verdict]] = {name: [] for name in criteria}
    usable = {(row.sample_id, *row.slots) for row in column.judgements if row.verdict}
    for row in column.judgements:
        run, (first, second) = column.runs[row.run], row.slots
        orders = {(row.sample_id, *order) for order in permutations(row.slots)}
        if row.verdict is None or not orders <= usable:
            continue  # one order alone carries the judge's preference for a slot
        cluster = run.sample(row.sample_id).cluster
        for name in criteria:
            winner = _SLOTS[row.verdict[name]["winner"]]
            item = _item(run, row.sample_id, name)
            verdicts[name].append(Verdict(item, cluster, names[first], names[second], "a", winner))
    unasked = {name: tuple(_unasked(column, names, name)) for name in criteria}
    return Pairs(
        names=tuple(sorted(set(names.values()))),
        verdicts={name: tuple(each) for name, each in verdicts.items()},
        unasked=unasked,
        name_of=names,
        absent=tuple(sorted(run_id for run_id in names if run_id != REFERENCES and run_id not in column.runs)),
        aggregate=column.aggregate,
    )


def met(column: JudgeColumn) -> list[tuple[str, str]]:
    """Run ids of every two candidates that a pairwise column compares; references come second."""
    found = {frozenset((run_id, other)) for run_id, record in column.records.items() for other in record.opponents}
    several = [sorted(pair, key=lambda run_id: (run_id == REFERENCES, run_id)) for pair in found]
    return sorted((one, other) for one, other in several)


def _item(run: JudgedRun, sample: str, criterion: str) -> str:
    return f"seed {run.seed}|{sample}|{criterion}"


def _names(column: JudgeColumn, labels: Mapping[str, str]) -> dict[str, str]:
    """Run id -> name: the model's, where no seed has two runs of it."""
    seeds: dict[str, int | None] = {}
    for run_id, record in column.records.items():
        for each in (run_id, *record.opponents):
            seeds[each] = None if each == REFERENCES else column.runs[run_id].seed
    models = {run_id: labels.get(run_id, run_id.partition("/")[0]) for run_id in seeds}
    runs = Counter((models[run_id], seed) for run_id, seed in seeds.items())
    crowded = {model for (model, _), count in runs.items() if count > 1}
    return {run_id: run_id if models[run_id] in crowded else models[run_id] for run_id in seeds}


def _unasked(column: JudgeColumn, names: Mapping[str, str], criterion: str) -> Iterator[Outcome]:
    """Pairs whose outcome needed no judge: equal answers are a tie, an answer beats none."""
    asked = {(row.sample_id, frozenset(row.slots)) for row in column.judgements}
    for one, other in met(column):
        run = column.runs.get(one)
        for sample, own in run.items.values() if run else ():
            theirs = column.answer(other, sample)
            if theirs is None or (sample.id, frozenset((one, other))) in asked:
                continue
            if run and own.happened and theirs.happened:
                winner: Winner = "tie" if own.given == theirs.given else "a" if own.given else "b"
                item = _item(run, sample.id, criterion)
                yield _outcome(item, sample.cluster, names[one], names[other], winner)


def _outcome(item: str, cluster: str, one: str, other: str, winner: Winner) -> Outcome:
    """Its model_a is the first in the alphabet, as `settle` has it."""
    if one <= other:
        return Outcome(item, cluster, one, other, winner)
    return Outcome(item, cluster, other, one, _TURNED[winner])
