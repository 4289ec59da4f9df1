"""What models are expected to say: as in earlier results or a probe, as the benchmark's own texts, or nothing is known.

LOW       a tenth of the earlier replies are this short (half of it, of the benchmark's texts, which only stand for
          replies); episodes end at the first chance
EXPECTED  the source's replies themselves, those of the same sample where it has them
MOST      every reply as long as it may be; episodes as long as they may be
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from roleeval.benchmarks import Scripted
from roleeval.config import RunConfig
from roleeval.errors import RoleEvalError
from roleeval.hashing import digest
from roleeval.judging import Attempt, Judge, Judgement
from roleeval.results import ResultFolder, read_judgements, read_transcripts
from roleeval.results.manifest import Manifest
from roleeval.stages.plan._count import Counts, stand_in
from roleeval.stages.plan._rehearsal import MadeUp, Said, Says
from roleeval.stages.plan._schema import example
from roleeval.types import MODEL, WITHOUT_REPLY, Part, Request, Sample, Transcript, Turn

_READ = 2000  # episodes of earlier results
_UNKNOWN = 2  # the expected share of max_tokens where nothing is known: one half
_MANY = 10  # judgements, of which a tenth may be called the shortest
_FEW, _EXAMPLES = 5, 2  # beside fewer replies of a judge's own than that, so many as the schema has them are counted
Script = Mapping[str, Sequence[str]]


class Scenario(IntEnum):
    """Which of a range's three values is rehearsed."""

    LOW = 0
    EXPECTED = 1
    MOST = 2


@dataclass
class Earlier:
    """Replies of earlier results of the same benchmark, and of a probe.

    Attributes:
        origins: whose, for people.
        episodes: sample id -> part -> its replies in order.
        pool: part -> all of them, of parts that speak in the conversation.
        asides: the same, of parts that only decide how it goes on.
        turns: turns of a conversation on average; None is not known.
    """

    origins: list[str] = field(default_factory=list)
    episodes: dict[str, dict[Part, list[Turn]]] = field(default_factory=dict)
    pool: dict[Part, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    asides: dict[Part, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    _turns: list[int] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return " and ".join(self.origins)

    @property
    def turns(self) -> int | None:
        return round(sum(self._turns) / len(self._turns)) if self._turns else None

    def has(self, part: Part) -> bool:
        """Whether there are replies of a part."""
        return bool(self.pool.get(part) or self.asides.get(part))

    def add(self, sample: Sample, transcript: Transcript, *, only: Collection[str] | None = None) -> None:
        """One episode; one that was cut off tells how long its replies were, and not how many an episode has.

        Args:
            sample: what was played.
            transcript: of it.
            only: the texts that models wrote; others were made up. None is all.
        """
        spoken = 0
        for turn in transcript.turns:
            spoken += not turn.aside
            if turn.output_tokens and turn.logprob is None and (only is None or turn.raw in only):
                said = self.episodes.setdefault(sample.id, defaultdict(list))
                said[turn.part].append(turn)
                (self.asides if turn.aside else self.pool)[turn.part].append(turn)
        if transcript.status not in WITHOUT_REPLY:
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
    """Whether a run is one of the configuration's model; its folder may have been moved."""
    before = str(manifest.model.source.get("path", ""))
    same = Path(before).name == Path(config.model.source.path).name
    return same and manifest.model.name == config.model.name


def earlier(config: RunConfig) -> tuple[Earlier, Earlier]:
    """Earlier results of the same model, and those of any model: its helpers are what they were."""
    own, any_model = Earlier(), Earlier()
    for folder, manifest in finished(config):
        for found in [any_model, *([own] if is_of(manifest, config) else [])]:
            if len(found.episodes) < _READ:
                found.origins = found.origins or [f"earlier results ({folder.run_id})"]
                _read(folder, found)
    return own, any_model


def _read(folder: ResultFolder, found: Earlier) -> None:
    try:
        for sample, transcript in read_transcripts(folder.transcripts):
            found.add(sample, transcript)
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
        parts: helper's name -> the part of its turns, as far as it has spoken.
    """

    scenario: Scenario
    config: RunConfig
    own: Earlier
    others: Earlier
    parts: dict[str, Part] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    _lines: dict[str, Script] = field(default_factory=dict)
    _choices: dict[str, Script] = field(default_factory=dict)
    _shorts: dict[str, int] = field(default_factory=dict)

    def origin(self, helper: str = "") -> str:
        """Where the expected replies of a model come from."""
        found = self._earlier(helper)
        if found.has(self._part(helper)):
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

        def reply(request: Request, number: int) -> Said:
            most, part, found = request.sampling.max_tokens, self._part(helper), self._earlier(helper)
            if self.scenario is Scenario.MOST:
                return nothing_but(most)
            said = found.episodes.get(request.affinity, {}).get(part, ())
            if self.scenario is Scenario.EXPECTED and number < len(said):
                return _again(said[number], most, counts)
            place = int(digest(request.affinity, part, number)[:8], 16)
            if chosen := self._choices_of(request.affinity).get(helper):
                text = MadeUp(_cut(chosen[min(number, len(chosen) - 1)], most, counts))
                wordy = found.asides.get(part) if self.scenario is Scenario.EXPECTED else None
                return Said(text, wordy[place % len(wordy)].output_tokens if wordy else None)
            if pool := found.pool.get(part):
                turn = _short(pool) if self.scenario is Scenario.LOW else pool[place % len(pool)]
                return _again(turn, most, counts)
            if self.scenario is Scenario.LOW:
                return nothing_but(min(self._short(helper, counts), most))
            if texts := self._lines_of(request.affinity).get(helper):
                return Said(MadeUp(_cut(texts[place % len(texts)], most, counts)))
            return Said(MadeUp(stand_in(max(1, most // _UNKNOWN))))

        return reply

    def _part(self, helper: str) -> Part:
        return self.parts.get(helper, helper) if helper else MODEL

    def _earlier(self, helper: str) -> Earlier:
        return self.others if helper and not self.own.has(self._part(helper)) else self.own

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
        """Tokens of a short reply: half of the shortest tenth of texts that only stand for replies."""
        if helper not in self._shorts:
            texts = [text for name in self.samples for text in self._lines_of(name).get(helper, ())]
            short = tenth(counts.text(text) + 1 for text in texts[:_READ]) // 2 if texts else 1
            self._shorts[helper] = max(1, short)
        return self._shorts[helper]


def _short(turns: Sequence[Turn]) -> Turn:
    """The reply than which a tenth of them is shorter."""
    return sorted(turns, key=lambda turn: turn.output_tokens)[len(turns) // 10]


def tenth(lengths: Iterable[int]) -> int:
    """The length below which a tenth of them is."""
    ordered = sorted(lengths)
    return ordered[len(ordered) // 10] if ordered else 1


def nothing_but(tokens: int) -> Said:
    """A reply of which only the length is known."""
    return Said(MadeUp(stand_in(tokens)), tokens)


def _again(turn: Turn, most: int, counts: Counts) -> Said:
    """An earlier reply, as long as it was; cut where it may not be."""
    if turn.output_tokens <= most:
        return Said(turn.raw, turn.output_tokens, turn.finish_reason)
    return Said(_cut(turn.raw, most, counts), most, "length")


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
        low: tokens of a short reply; None where too few are known to say which is short.
        mean: tokens of a reply.
        replies: that it is the mean of.
        attempts: calls for a question.
    """

    origin: str = ""
    low: int | None = None
    mean: float = 1.0
    replies: int = 0
    attempts: float = 1.0

    @classmethod
    def of(cls, judge: Judge, config: RunConfig, probed: Sequence[Judgement] = ()) -> "JudgedBefore":
        """From judgements in results_dir by a judge of this name and these prompts, and from those of a probe."""
        questions, where = [_lengths(each) for each in probed], ["the probe"] if probed else []
        begins = f"judge/{judge.name}@{judge.prompts.sha256[:8]}"
        for folder, _ in finished(config):
            if not folder.judgements.is_file() or len(questions) > _READ:
                continue
            of_it = [_lengths(kept) for kept in read_judgements(folder.judgements) if kept.column.startswith(begins)]
            where += [folder.run_id] if any(of_it) else []
            questions += of_it
        lengths = [length for each in questions for length in each]
        if not lengths:
            return cls()
        count = len([each for each in questions if each])
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        return cls(
            f"{count} judgement{'' if count == 1 else 's'} ({where[0]}{more})",
            tenth(lengths) if count >= _MANY else None,
            sum(lengths) / len(lengths),
            len(lengths),
            len(lengths) / count,
        )

    def expected(self, example: int | None) -> int:
        """Tokens of a reply: the mean of those that are known and, beside few, of two as the schema has them.

        A judge mostly finds nothing and now and then much, so the mean of one or two replies is a worse guess than the
        schema's, and that of some more is a better one.

        Args:
            example: tokens of the schema's example; None is no schema.
        """
        if example is None or self.replies >= _FEW:
            return round(self.mean)
        return round((self.mean * self.replies + example * _EXAMPLES) / (self.replies + _EXAMPLES))


class _HasAttempts(Protocol):
    @property
    def attempts(self) -> Sequence[Attempt]: ...


def _lengths(judgement: _HasAttempts) -> list[int]:
    """Tokens of a judge's replies to one question."""
    return [attempt.output_tokens for attempt in judgement.attempts if attempt.output_tokens]


def judge_says(before: JudgedBefore, scenario: Scenario, counts: Counts) -> Says:
    """What a judge replies; as its schema has it where it has never judged here."""
    examples: dict[str, int] = {}  # schema -> tokens

    def reply(request: Request, number: int) -> Said:
        most, schema = request.sampling.max_tokens, request.json_schema
        if scenario is Scenario.MOST:
            return nothing_but(most)
        if scenario is Scenario.EXPECTED and before.origin:
            if schema is not None and schema not in examples:
                examples[schema] = min(most, counts.text(example(schema, shortest=False)) + 1)
            return nothing_but(before.expected(None if schema is None else examples[schema]))
        if scenario is Scenario.LOW and before.low is not None:
            return nothing_but(before.low)
        if schema is not None:
            return Said(MadeUp(example(schema, shortest=scenario is Scenario.LOW)))
        return nothing_but(1 if scenario is Scenario.LOW else max(1, most // 4))

    return reply
