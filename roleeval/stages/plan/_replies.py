"""What models are expected to say: as in earlier results, as the benchmark's own texts, or nothing is known.

LOW       a tenth of the earlier replies are this short (half of it, of the benchmark's texts, which only stand for
          replies); episodes end at the first chance
EXPECTED  the source's replies themselves, those of the same sample where it has them
MOST      every reply as long as it may be; episodes as long as they may be
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from roleeval.benchmarks import Scripted
from roleeval.config import RunConfig
from roleeval.errors import RoleEvalError
from roleeval.hashing import digest
from roleeval.judging import Judge
from roleeval.results import ResultFolder, read_judgements, read_transcripts
from roleeval.results.manifest import Manifest
from roleeval.stages.plan._count import Counts, stand_in
from roleeval.stages.plan._rehearsal import Says
from roleeval.stages.plan._schema import example
from roleeval.types import MODEL, Part, Request, Sample, Turn

_READ = 2000  # episodes of earlier results
_UNKNOWN = 2  # the expected share of max_tokens where nothing is known: one half
Script = Mapping[str, Sequence[str]]


class Scenario(IntEnum):
    """Which of a range's three values is rehearsed."""

    LOW = 0
    EXPECTED = 1
    MOST = 2


@dataclass
class Earlier:
    """Replies of earlier results of the same benchmark.

    Attributes:
        origin: whose, for people; "" is nobody's.
        episodes: sample id -> part -> its replies in order.
        pool: part -> all of them, of parts that speak in the conversation.
        turns: turns of a conversation on average; None is not known.
    """

    origin: str = ""
    episodes: dict[str, dict[Part, list[Turn]]] = field(default_factory=dict)
    pool: dict[Part, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    _turns: list[int] = field(default_factory=list)

    @property
    def turns(self) -> int | None:
        return round(sum(self._turns) / len(self._turns)) if self._turns else None

    def add(self, sample: Sample, turns: Sequence[Turn]) -> None:
        """One episode."""
        said = self.episodes.setdefault(sample.id, defaultdict(list))
        spoken = 0
        for turn in turns:
            spoken += not turn.aside
            if turn.output_tokens and turn.logprob is None:
                said[turn.part].append(turn)
                if not turn.aside:
                    self.pool[turn.part].append(turn)
        self._turns.append(spoken)


def finished(config: RunConfig) -> Iterator[tuple[ResultFolder, Manifest]]:
    """Finished runs of the configuration's benchmark in its results_dir."""
    for file in sorted(Path(config.options.results_dir, config.benchmark.name).glob("*/*/manifest.json")):
        folder = ResultFolder(file.parent)
        try:
            manifest = folder.manifest()
        except RoleEvalError:  # a damaged neighbour tells nothing
            continue
        if manifest is not None:
            yield folder, manifest


def is_of(manifest: Manifest, config: RunConfig) -> bool:
    """Whether a run is one of the configuration's model."""
    same = manifest.model.source.get("path") == config.model.source.path
    return same and manifest.model.name == config.model.name


def earlier(config: RunConfig) -> tuple[Earlier, Earlier]:
    """Earlier results of the same model, and those of any model: its helpers are what they were."""
    own, any_model = Earlier(), Earlier()
    for folder, manifest in finished(config):
        for found in [any_model, *([own] if is_of(manifest, config) else [])]:
            if len(found.episodes) < _READ:
                found.origin = found.origin or f"earlier results ({folder.run_id})"
                _read(folder, found)
    return own, any_model


def _read(folder: ResultFolder, found: Earlier) -> None:
    try:
        for sample, transcript in read_transcripts(folder.transcripts):
            if transcript.status == "ok":
                found.add(sample, transcript.turns)
            if len(found.episodes) >= _READ:
                return
    except RoleEvalError:  # what is damaged is said where it is used
        return


@dataclass
class Cast:
    """Who says what in the episodes of one run, in one scenario.

    Attributes:
        scenario: which.
        config: of the run.
        own, others: see `earlier`.
        parts: helper's name -> the part of its turns.
    """

    scenario: Scenario
    config: RunConfig
    own: Earlier
    others: Earlier
    parts: Mapping[str, Part]
    samples: dict[str, Sample] = field(default_factory=dict)
    _lines: dict[str, Script] = field(default_factory=dict)
    _choices: dict[str, Script] = field(default_factory=dict)

    def origin(self, helper: str = "") -> str:
        """Where the expected replies of a model come from."""
        found, part = self._earlier(helper), self._part(helper)
        if found.pool.get(part) or any(part in said for said in found.episodes.values()):
            return found.origin
        first = next(iter(self.samples), "")
        if self._lines_of(first).get(helper) or self._choices_of(first).get(helper):
            return "the benchmark's own texts"
        return "half of max_tokens: nothing is known of this model's replies"

    def is_observed(self) -> bool:
        """Whether the model under test has earlier results."""
        return bool(self.own.pool.get(MODEL))

    def says(self, helper: str, counts: Counts) -> Says:
        """What a model says: the model under test ("") or a helper."""
        part, found = self._part(helper), self._earlier(helper)
        short = self._short(helper, counts) if self.scenario is Scenario.LOW else 0

        def reply(request: Request, number: int) -> tuple[str, int | None]:
            most = request.sampling.max_tokens
            if self.scenario is Scenario.MOST:
                return stand_in(most), most
            said = found.episodes.get(request.affinity, {}).get(part, ())
            if self.scenario is Scenario.EXPECTED and number < len(said):
                return _again(said[number], most, counts)
            if chosen := self._choices_of(request.affinity).get(helper):
                return _cut(chosen[min(number, len(chosen) - 1)], most, counts), None
            if self.scenario is Scenario.LOW:
                return stand_in(min(short, most)), min(short, most)
            place = int(digest(request.affinity, part, number)[:8], 16)
            if pool := found.pool.get(part):
                return _again(pool[place % len(pool)], most, counts)
            if texts := self._lines_of(request.affinity).get(helper):
                return _cut(texts[place % len(texts)], most, counts), None
            return stand_in(max(1, most // _UNKNOWN)), None

        return reply

    def _part(self, helper: str) -> Part:
        return self.parts.get(helper, helper) if helper else MODEL

    def _earlier(self, helper: str) -> Earlier:
        return self.others if helper and not self.own.episodes else self.own

    def _lines_of(self, name: str) -> Script:
        """Texts as long as a sample's replies may be: the benchmark's word, or the first references."""
        if name not in self._lines and name in self.samples:
            sample, benchmark = self.samples[name], self.config.benchmark
            if isinstance(benchmark, Scripted):
                self._lines[name] = benchmark.lines(sample)
            else:
                self._lines[name] = {"": [texts[0] for texts in sample.references.values() if texts]}
        return self._lines.get(name, {})

    def _choices_of(self, name: str) -> Script:
        """The replies that decide how an episode goes on."""
        if name not in self._choices and name in self.samples and isinstance(self.config.benchmark, Scripted):
            turns = 1 if self.scenario is Scenario.LOW else (self.own.turns or self.others.turns)
            self._choices[name] = self.config.benchmark.choices(self.samples[name], turns=turns)
        return self._choices.get(name, {})

    def _short(self, helper: str, counts: Counts) -> int:
        """Tokens of a short reply: those of the shortest tenth; half of it, of texts that only stand for replies."""
        pool = self._earlier(helper).pool.get(self._part(helper))
        if pool:
            return tenth(turn.output_tokens for turn in pool)
        texts = [text for name in self.samples for text in self._lines_of(name).get(helper, ())]
        return max(1, tenth(counts.text(text) + 1 for text in texts[:_READ]) // 2) if texts else 1


def tenth(lengths: Iterable[int]) -> int:
    """The length below which a tenth of them is."""
    ordered = sorted(lengths)
    return ordered[len(ordered) // 10] if ordered else 1


def _again(turn: Turn, most: int, counts: Counts) -> tuple[str, int]:
    """An earlier reply, as long as it was."""
    return _cut(turn.raw, most, counts), turn.output_tokens


def _cut(text: str, most: int, counts: Counts) -> str:
    """A reply's beginning, where it is longer than it may be."""
    if len(text) <= most:
        return text
    tokens = counts.text(text)
    return text if tokens <= most else text[: int(len(text) * most / tokens)]


@dataclass(frozen=True)
class JudgedBefore:
    """What a judge's earlier replies were like.

    Attributes:
        origin: whose, for people; "" is nobody's.
        low, expected: tokens of a reply.
        attempts: calls for a question.
    """

    origin: str = ""
    low: int = 1
    expected: float = 1.0
    attempts: float = 1.0

    @classmethod
    def of(cls, judge: Judge, config: RunConfig) -> "JudgedBefore":
        """From judgements in results_dir by a judge of this name and these prompts."""
        lengths: list[int] = []
        questions, where = 0, ""
        begins = f"judge/{judge.name}@{judge.prompts.sha256[:8]}"
        for folder, _ in finished(config):
            if not folder.judgements.is_file() or len(lengths) > _READ:
                continue
            for kept in read_judgements(folder.judgements):
                replies = [attempt.output_tokens for attempt in kept.attempts if attempt.output_tokens]
                if kept.column.startswith(begins) and replies:
                    where, questions = where or folder.run_id, questions + 1
                    lengths += replies
        if not questions:
            return cls()
        mean = sum(lengths) / len(lengths)
        return cls(f"earlier judgements ({where})", tenth(lengths), mean, len(lengths) / questions)


def judge_says(before: JudgedBefore, scenario: Scenario) -> Says:
    """What a judge replies; as its schema has it where it has never judged here."""

    def reply(request: Request, number: int) -> tuple[str, int | None]:
        most, low = request.sampling.max_tokens, scenario is Scenario.LOW
        if scenario is not Scenario.MOST and request.json_schema is not None and not before.origin:
            return example(request.json_schema, shortest=low), None
        usual = round(before.expected) if before.origin else max(1, most // 4)
        tokens = most if scenario is Scenario.MOST else before.low if low else usual
        return stand_in(tokens), tokens

    return reply
