"""The judge `minimax_errors`: lists a session's errors chunk by chunk; only errors with a verified quote count.

Source: spec/minimax.md, "Judging"; what is MiniMax's and what is roleeval's own stands in docs/minimax.md.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from roleeval.benchmarks.minimax.calibrated import CALIBRATED, calibrated_points, calibrated_recipes, require_of
from roleeval.benchmarks.minimax.calibration import Calibration, read_calibration
from roleeval.benchmarks.minimax.errors import (
    CHUNK,
    EMPTY,
    Chunk,
    checked,
    chunks_of,
    empty_errors,
    first_round,
    points,
    quotes_of,
)
from roleeval.benchmarks.minimax.infos import diagnostic_infos, point_infos
from roleeval.benchmarks.minimax.rubric import Dimension, load_dimensions, subtypes_of
from roleeval.benchmarks.minimax.scores import (
    CATEGORIES,
    DIMENSIONS,
    OVERALL,
    RULES,
    category_scores,
    overall_score,
)
from roleeval.benchmarks.minimax.session import FIRST
from roleeval.errors import ConfigError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.judging import (
    Answer,
    Case,
    Judge,
    Judgement,
    Question,
    SeenTurn,
    fence_token,
    fenced,
    mean_or_none,
    read_schema,
    read_verdict,
)
from roleeval.metrics import MetricInfo
from roleeval.prompts import fill
from roleeval.types import Message, Sample, Sampling, Score, Status

PACK = "judges/minimax_errors"
_SEPARATOR = "|"


@dataclass(frozen=True, kw_only=True)
class MinimaxErrors(Judge):
    """Errors of the character, in chunks of 20 messages and six dimensions (conf/judge/minimax_errors.yaml).

    A session in which the character never said a word has 0 points without asking; it keeps its status.

    Attributes:
        context: earlier messages that are shown with a chunk: none, those of the previous chunk, or all.
        calls: one question for a chunk, or one for each category of dimensions.
        max_errors: longest list that a constrained reply may hold.
        quotes: of a constrained reply: free, or one of the sentences of the character's messages in the chunk. Small
            models cannot copy what they quote, and a quote that is nowhere does not count.
        messages: of a session; decides which chunks there are to score.
        calibration: calibration.json of `roleeval calibrate minimax`: adds the dimensions on the official scale, and
            the overall score by the rule that was found.
    """

    name: str = "minimax_errors"
    pack: str = PACK
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7, max_tokens=2048))
    samples_per_item: int = 3
    context: Literal["none", "previous", "all"] = "all"
    calls: Literal["one", "category"] = "one"
    max_errors: int = 60
    quotes: Literal["free", "sentences"] = "free"
    messages: int = 100
    calibration: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)

    hits: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "repeats_itself": ("basics", "diversity"),
        "wrong_language": ("basics",),
        "swaps_names": ("logic",),
        "forgets": ("logic",),
        "out_of_character": ("content_logic", "knowledge"),
        "reveals_ai": ("content_logic", "knowledge"),
        "speaks_for_user": ("interaction",),
        "refuses": ("interaction",),
    }

    def __post_init__(self) -> None:
        Judge.__post_init__(self)
        if self.max_errors < 1 or self.messages < 2:
            raise ConfigError("judge: max_errors must be a whole number of 1 or more, and messages of 2 or more")

    def identity(self) -> Mapping[str, Any]:
        """See Judge.identity; a calibration is in it by its contents."""
        found = self._calibration
        return {**Judge.identity(self), **({} if found is None else {"calibration": found.sha256})}

    @cached_property
    def _calibration(self) -> Calibration | None:
        """The calibration's contents.

        Raises:
            DataError: it is none.
            ConfigError: it is of another judge, or of other prompts.
        """
        if self.calibration is None:
            return None
        found = read_calibration(Path(self.calibration))
        require_of(found, f"judge/{self.name}@{self.prompts.sha256[:8]}-", file=self.calibration)
        return found

    @property
    def _dimensions(self) -> tuple[Dimension, ...]:
        return load_dimensions(self.prompts)

    @property
    def _asked(self) -> dict[str, tuple[str, ...]]:
        """The questions about a chunk: suffix of the item -> dimensions."""
        if self.calls == "one":
            return {"": DIMENSIONS}
        return {f"{_SEPARATOR}{category.name}": category.dimensions for category in CATEGORIES}

    def questions(self, case: Case) -> list[Question]:
        answer = case.answers[case.own]
        _check_material(case.sample)
        chunks = [chunk for chunk in chunks_of(answer) if not chunk.is_blank] if answer.given else []
        return [self._question(case, chunk, asked) for chunk in chunks for asked in self._asked.items()]

    def _question(self, case: Case, chunk: Chunk, asked: tuple[str, tuple[str, ...]]) -> Question:
        suffix, names = asked
        sample, pack, answer = case.sample, self.prompts, case.answers[case.own]
        language, persona = sample.persona.language, sample.persona
        dimensions = [dimension for dimension in self._dimensions if dimension.name in names]
        dimension_of = subtypes_of(dimensions)
        places = {
            "max_errors": str(self.max_errors),
            "first": str(chunk.first),
            "last": str(chunk.last),
            "dimensions": json.dumps(list(names)),
            "subtypes": json.dumps(list(dimension_of)),
        }
        schema = read_schema(fill(pack.template("schema.json"), **places), f"{pack.folder}/schema.json")
        if "errors" not in schema.get("properties", {}) or "errors" not in schema.get("required", ()):
            raise ConfigError(f"{pack.folder}/schema.json: a verdict needs errors, a list of objects")
        token = fence_token(self.seed, self.name, sample.id, chunk.number)
        shown = {
            **places,
            "criteria": "\n\n".join(dimension.described(language) for dimension in dimensions),
            "ai_name": persona.role,
            "ai_setting": persona.description,
            "user_name": sample.material["user_name"],
            "user_setting": sample.material["user_setting"],
            "context": fenced(_numbered(self._context(answer, chunk)), "context", token),
            "chunk": fenced(_numbered(chunk.turns), "messages", token),
        }
        judged = _numbered(chunk.turns)

        def read(reply: str) -> Mapping[str, Any]:
            listed = read_verdict(reply, schema, judged=judged)["errors"]
            found = checked(listed, chunk, dimension_of)
            counts = {"listed": len(listed), "unquoted": found.unquoted, "repeated": found.repeated}
            return {"errors": list(found.errors), **counts, "moved": found.moved}

        texts = [fill(pack.template(f"{name}.txt", language=language), **shown) for name in ("system", "user")]
        messages = (Message("system", texts[0]), Message("user", texts[1]))
        item = f"{sample.id}{_SEPARATOR}{chunk.number}{suffix}"
        return Question(item, sample.id, messages, json.dumps(self._written(schema, chunk)), read, (case.own,))

    def _written(self, schema: dict[str, Any], chunk: Chunk) -> dict[str, Any]:
        """The schema that a reply is constrained to; replies are read by the pack's own, whoever wrote them."""
        quotes = quotes_of(chunk) if self.quotes == "sentences" else []
        if not quotes:
            return schema
        found = deepcopy(schema)
        error = found["properties"]["errors"].get("items", {}).get("properties", {})
        if "quote" not in error:
            raise ConfigError(f"{self.prompts.folder}/schema.json: judge.quotes=sentences needs errors with a quote")
        error["quote"] = {"type": "string", "enum": quotes}
        return found

    def _context(self, answer: Answer, chunk: Chunk) -> list[SeenTurn]:
        """Earlier messages that are shown; rounds 0 and 1 always are."""
        earlier = [turn for turn in answer.turns if turn.number < chunk.first]
        start = {"all": 0, "previous": chunk.first - CHUNK, "none": chunk.first}[self.context]
        return [turn for turn in earlier if turn.number < FIRST or turn.number >= start]

    def excerpt(self, answer: Answer) -> Answer:
        """The first chunk: a control of a whole session would be asked about five times."""
        return replace(answer, turns=tuple(turn for turn in answer.turns if turn.number < FIRST + CHUNK))

    def numbers(self, verdict: Mapping[str, Any]) -> Mapping[str, float]:
        """The severities of each dimension, summed."""
        sums = dict.fromkeys(DIMENSIONS, 0.0)
        for error in verdict["errors"]:
            sums[error["dimension"]] += error["severity"]
        return sums

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case, judgements)) for case, judgements in judged]

    def _rows(self, case: Case, judgements: Sequence[Judgement]) -> list[Score]:
        answer = case.answers[case.own]
        if not answer.given:
            lowest = 0.0 if answer.happened else None
            names = (*_POINT_NAMES, *(CALIBRATED if self.calibration else ()))
            return [Score(name, lowest, answer.outcome) for name in names]
        chunks = [_Judged(chunk, self._verdicts(case, chunk, judgements), self) for chunk in chunks_of(answer)]
        dimensions = {name: mean_or_none([chunk.points(name) for chunk in chunks]) for name in DIMENSIONS}
        rows = [_scored(name, value, judgements) for name, value in _all_points(dimensions).items()]
        rows += self._calibrated(case.sample, dimensions, judgements)
        by_chunk = [chunk.overall for chunk in chunks]
        rows += [_scored(f"chunk_{chunk.chunk.number}", chunk.overall, judgements) for chunk in chunks]
        worst = min((value for value in by_chunk if value is not None), default=None)
        rows.append(_scored("worst_chunk", worst if None not in by_chunk else None, judgements))
        return rows + self._diagnostics(chunks)

    def _calibrated(
        self, sample: Sample, dimensions: Mapping[str, float | None], judgements: Sequence[Judgement]
    ) -> list[Score]:
        """The points on the official scale; missing where the calibration has none for the language."""
        if self._calibration is None:
            return []
        found = calibrated_points(self._calibration, dimensions, sample.persona.language)
        if found is None:
            reason = {"reason": f"the calibration has no scale for {sample.persona.language}"}
            return [Score(name, None, "judge_failed", detail=reason) for name in CALIBRATED]
        return [_scored(name, value, judgements) for name, value in found.items()]

    def _diagnostics(self, chunks: Sequence["_Judged"]) -> list[Score]:
        """What is counted of a session that was judged whole."""
        if any(chunk.unusable for chunk in chunks):
            return []
        rows = []
        samples = list(zip(*(chunk.samples for chunk in chunks), strict=False))  # as many as the chunk with the fewest
        firsts = [float(place) for errors in samples if (place := first_round(errors)) is not None]
        if (earliest := self.aggregated(firsts)) is not None:  # without an error there is no first one to miss
            rows.append(Score("first_error_round", earliest))
        for name in (*subtypes_of(self._dimensions), EMPTY):
            counts = [chunk.count(name) for chunk in chunks]
            rows.append(Score(f"errors/{name}", sum(counts)))
        listed = sum(chunk.listed for chunk in chunks)
        if listed:
            rows.append(Score("unquoted", sum(chunk.unquoted for chunk in chunks) / listed))
        return rows

    def _verdicts(self, case: Case, chunk: Chunk, judgements: Sequence[Judgement]) -> "dict[str, list[_Verdict]]":
        """Per question about a chunk its usable verdicts."""
        found: dict[str, list[_Verdict]] = {}
        for suffix in self._asked:
            item = f"{case.sample.id}{_SEPARATOR}{chunk.number}{suffix}"
            found[suffix] = [j.verdict for j in judgements if j.item == item and j.verdict is not None]
        return found

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        briefs = {dimension.name: dimension.briefs["en"] for dimension in self._dimensions}
        recipes = {} if self._calibration is None else calibrated_recipes(self._calibration)
        points = point_infos(briefs, messages=self.messages, calibrated=recipes)
        return [*points, *diagnostic_infos(subtypes_of(self._dimensions))]


_Verdict = Mapping[str, Any]
_POINT_NAMES = (
    *DIMENSIONS,
    *(f"{name}_{rule}" for rule in RULES for name in (*(category.name for category in CATEGORIES), OVERALL)),
)


@dataclass(frozen=True)
class _Judged:
    """A chunk with its verdicts: for each question about it one from every usable sample."""

    chunk: Chunk
    verdicts: Mapping[str, Sequence[_Verdict]]
    judge: MinimaxErrors

    @property
    def unusable(self) -> bool:
        """A question about it has no usable verdict."""
        return not self.chunk.is_blank and any(not verdicts for verdicts in self.verdicts.values())

    @property
    def samples(self) -> list[list[Mapping[str, Any]]]:
        """Errors of each sample, those of all questions together; a shorter question leaves its sample out."""
        fewest = min((len(verdicts) for verdicts in self.verdicts.values()), default=0)
        given = empty_errors(self.chunk)
        if self.chunk.is_blank:
            return [given]
        return [
            given + [error for verdicts in self.verdicts.values() for error in verdicts[number]["errors"]]
            for number in range(fewest)
        ]

    def points(self, dimension: str) -> float | None:
        """Points 0 to 100 in one dimension: the judge's aggregate over samples; None without a usable one."""
        if self.unusable:
            return None
        messages = len(self.chunk.own)
        return self.judge.aggregated([points(errors, dimension, messages) for errors in self._samples_of(dimension)])

    def _samples_of(self, dimension: str) -> list[list[Mapping[str, Any]]]:
        """Errors of each sample of the question that is about a dimension."""
        given = empty_errors(self.chunk)
        if self.chunk.is_blank:
            return [given]
        suffix = next(suffix for suffix, names in self.judge._asked.items() if dimension in names)
        return [given + list(verdict["errors"]) for verdict in self.verdicts[suffix]]

    @property
    def overall(self) -> float | None:
        """Points 0 to 100 of all dimensions, by the rule "sum"."""
        found: dict[str, float | None] = {name: self.points(name) for name in DIMENSIONS}
        return overall_score(category_scores(found, RULES[-1]))

    def count(self, subtype: str) -> float:
        """Errors of a subtype: the judge's aggregate over samples."""
        counted = [float(sum(error["subtype"] == subtype for error in errors)) for errors in self.samples]
        return self.judge.aggregated(counted) or 0.0

    @property
    def listed(self) -> int:
        """Errors that all replies listed."""
        return sum(verdict["listed"] for verdicts in self.verdicts.values() for verdict in verdicts)

    @property
    def unquoted(self) -> int:
        """Errors that were dropped, because their quote is in no message."""
        return sum(verdict["unquoted"] for verdicts in self.verdicts.values() for verdict in verdicts)


def _all_points(dimensions: Mapping[str, float | None]) -> dict[str, float | None]:
    """The six dimensions, and categories and overall by each rule."""
    found = dict(dimensions)
    for rule in RULES:
        categories = category_scores(dimensions, rule)
        found |= {f"{name}_{rule}": value for name, value in categories.items()}
        found[f"{OVERALL}_{rule}"] = overall_score(categories)
    return found


def _scored(name: str, value: float | None, judgements: Sequence[Judgement]) -> Score:
    if value is not None:
        return Score(name, value)
    status: Status = "judge_failed"
    failed = next((judgement.reason for judgement in judgements if judgement.verdict is None), "no verdict")
    return Score(name, None, status, detail={"reason": failed})


def _numbered(turns: Sequence[SeenTurn]) -> str:
    """Messages as the judge reads them: "[12] Name: text"."""
    return "\n\n".join(f"[{turn.number}] {turn.speaker}: {turn.text}" for turn in turns)


def _check_material(sample: Sample) -> None:
    if absent := [key for key in ("user_name", "user_setting") if key not in sample.material]:
        raise ConfigError(
            f"judge: sample {sample.id} has no material {absent[0]!r}; minimax_errors judges sessions: use it with"
            " benchmark=minimax"
        )
