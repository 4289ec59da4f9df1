"""Scores a file of predictions against a file of references, both in RoleBench's row format, from any system.

Rows are joined on the exact (role, question): stripping would merge questions with different answers, and the released
files differ in order. A prediction is generated[0], unchanged except that reasoning is removed first.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roleeval.benchmarks.rolebench.data import Row, read_rows
from roleeval.errors import DataError
from roleeval.metrics import CorpusMetric, Metric, MetricInfo, default_metrics, has_words, infos_of
from roleeval.models import nfc, parse_plain
from roleeval.models.marks import AUTO, checked_marks, split_reasoning
from roleeval.results import ScoreBook, summarise
from roleeval.types import Language, Persona, Sample, Status, Transcript, Turn

Key = tuple[str, str]
EXAMPLES = 10
_SPLIT = "file"
_FIELDS = ("mean", "ci_low", "ci_high", "n", "missing", "method")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was matched and what was not. Counts are of distinct (role, question) keys.

    Attributes:
        references: keys of the references file.
        predictions: keys of the predictions file.
        matched: keys in both; the means are over these.
        unmatched_references: keys without a prediction; their values are missing.
        unmatched_predictions: keys without a reference.
        differ_in_white_space: unmatched predictions that a reference equals but for white space, wherever it stands.
        differ_in_form: further ones that a reference equals but for white space, letter case and Unicode form.
        wordless_references: matched keys whose references hold no letter and no digit; what compares with references
            is missing there.
        repeated_references: reference rows whose key came before; their references are united with the first row's.
        repeated_predictions: prediction rows that repeat an earlier one word for word.
        further_texts: matched prediction rows with more than one text; the first is scored.
        reasoning_removed: matched predictions that held reasoning; it is not scored.
        reasoning_unclosed: matched predictions cut off inside their reasoning: no answer, worth 0.
        no_answer: matched predictions without an answer, the unclosed ones not among them: worth 0.
        reasoning_marks: the marks that reasoning stood in -> matched predictions.
        examples: the first keys that are unmatched on either side.
    """

    references: int
    predictions: int
    matched: int
    unmatched_references: int
    unmatched_predictions: int
    differ_in_white_space: int
    differ_in_form: int
    wordless_references: int
    repeated_references: int
    repeated_predictions: int
    further_texts: int
    reasoning_removed: int
    reasoning_unclosed: int
    no_answer: int
    reasoning_marks: Mapping[str, int]
    examples: Mapping[str, tuple[Key, ...]]


@dataclass(frozen=True, slots=True)
class FileScores:
    """Metric -> mean, ci_low, ci_high, n, missing, method; the coverage they rest on; and what the metrics are."""

    metrics: Mapping[str, Mapping[str, Any]]
    coverage: Coverage
    infos: Mapping[str, MetricInfo]

    def to_json(self) -> dict[str, Any]:
        """The form that `roleeval score rolebench --json` prints."""
        coverage = {name: getattr(self.coverage, name) for name in Coverage.__slots__ if name != "examples"}
        examples = {
            side: [{"role": role, "question": question} for role, question in keys]
            for side, keys in self.coverage.examples.items()
        }
        return {"metrics": dict(self.metrics), "coverage": {**coverage, "examples": examples}}


@dataclass(frozen=True, slots=True)
class _Prediction:
    """The answer of a prediction row, without reasoning."""

    answer: str
    status: Status
    marks: tuple[str, ...]
    further_texts: bool


def score_rolebench(
    references: Path,
    predictions: Path,
    language: Language,
    *,
    metrics: Sequence[Metric | CorpusMetric] | None = None,
    marks: str = AUTO,
) -> FileScores:
    """Scores the predictions that have references, with role-clustered intervals; references without one are missing.

    Args:
        references: RoleBench rows; rows of the same key have their references united, since nothing tells which of
            them a prediction answers.
        predictions: RoleBench rows; generated[0] is scored.
        language: decides the tokens.
        metrics: what to compute; None is every metric that needs no judge.
        marks: what encloses reasoning (models.marks.checked_marks).

    Raises:
        ConfigError: `marks` is not possible.
        DataError: a file is missing or malformed, a key is predicted twice with different texts, or nothing matches.
    """
    checked_marks(marks)
    united, repeated_references = _read_references(references)
    predicted, repeated_predictions = _read_predictions(predictions)
    matched = [key for key in united if key in predicted]
    no_prediction = [key for key in united if key not in predicted]
    no_reference = [key for key in predicted if key not in united]
    loose = {_without_white_space(key) for key in united}
    nearly = sum(_without_white_space(key) in loose for key in no_reference)
    forms = {_without_form(key) for key in united}
    alike = sum(_without_form(key) in forms for key in no_reference)
    if not matched:
        hint = f"; {nearly} would match without white space, which belongs to the key" if nearly else ""
        if alike > nearly:
            hint += f"; {alike - nearly} would match in another letter case or Unicode form, which must be equal too"
        raise DataError(
            f"{predictions}: none of its (role, question) pairs is in {references}{hint}; are both files of the same"
            " split?"
        )
    answers = [_answer(predicted[key], marks) for key in matched]
    statuses = [answer.status for answer in answers]
    coverage = Coverage(
        references=len(united),
        predictions=len(predicted),
        matched=len(matched),
        unmatched_references=len(no_prediction),
        unmatched_predictions=len(no_reference),
        differ_in_white_space=nearly,
        differ_in_form=alike - nearly,
        wordless_references=sum(not any(map(has_words, united[key])) for key in matched),
        repeated_references=repeated_references,
        repeated_predictions=repeated_predictions,
        further_texts=sum(answer.further_texts for answer in answers),
        reasoning_removed=sum(bool(answer.marks) and answer.status != "truncated_reasoning" for answer in answers),
        reasoning_unclosed=statuses.count("truncated_reasoning"),
        no_answer=statuses.count("no_answer"),
        reasoning_marks=dict(sorted(Counter(name for answer in answers for name in answer.marks).items())),
        examples={
            "unmatched_references": tuple(no_prediction[:EXAMPLES]),
            "unmatched_predictions": tuple(no_reference[:EXAMPLES]),
        },
    )
    unanswered = [_Prediction("", "engine_failed", marks=(), further_texts=False)] * len(no_prediction)
    pairs = _episodes([*matched, *no_prediction], united, [*answers, *unanswered], language)
    chosen = default_metrics() if metrics is None else metrics
    infos = {name: info for metric in chosen for name, info in infos_of(metric).items()}
    return FileScores(_scores(pairs, chosen, infos), coverage, infos)


def _without_white_space(key: Key) -> Key:
    role, question = ("".join(text.split()) for text in key)
    return role, question


def _without_form(key: Key) -> Key:
    role, question = (nfc(text).casefold() for text in _without_white_space(key))
    return role, question


def _rows(file: Path) -> list[Row]:
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    malformed: list[str] = []
    rows = list(read_rows(file, on_error="skip", skipped=malformed))
    if malformed:
        more = f" ({len(malformed) - 1} more lines are malformed)" if len(malformed) > 1 else ""
        raise DataError(f"{malformed[0]}{more}; a row is {{role, question, generated: [text, ...]}}")
    return rows


def _read_references(file: Path) -> tuple[dict[Key, tuple[str, ...]], int]:
    united: dict[Key, tuple[str, ...]] = {}
    repeated = 0
    for row in _rows(file):
        key = (row.role, row.question)
        repeated += key in united
        united[key] = tuple(dict.fromkeys((*united.get(key, ()), *row.generated)))
    return united, repeated


def _read_predictions(file: Path) -> tuple[dict[Key, Row], int]:
    predicted: dict[Key, Row] = {}
    repeated = 0
    for row in _rows(file):
        first = predicted.setdefault((row.role, row.question), row)
        if first is row:
            continue
        if first.generated[0] != row.generated[0]:
            raise DataError(
                f"{file}, lines {first.number} and {row.number}: two different predictions for the same role and"
                f" question ({row.role!r}, {row.question[:60]!r}); keep one"
            )
        repeated += 1
    return predicted, repeated


def _answer(row: Row, marks: str) -> _Prediction:
    text, further = row.generated[0], len(row.generated) > 1
    reply, found = parse_plain(text, "stop", marks=marks), split_reasoning(text, marks).found
    if found or reply.status != "ok":
        return _Prediction(reply.visible, reply.status, found, further)
    return _Prediction(text, "ok", marks=(), further_texts=further)


def _episodes(
    keys: Sequence[Key], references: Mapping[Key, tuple[str, ...]], answers: Sequence[_Prediction], language: Language
) -> Iterator[tuple[Sample, Transcript]]:
    """Each reference as the episode that a run would have recorded, so that the same metric objects score it.

    One without a prediction is an episode that did not happen.
    """
    for index, (key, answer) in enumerate(zip(keys, answers, strict=True)):
        role, question = key
        name = f"{_SPLIT}/{index:05d}"
        turn = Turn(
            speaker=role,
            messages=(),
            raw=answer.answer,
            visible=answer.answer,
            thoughts="",
            status=answer.status,
            finish_reason="stop",
            prompt_tokens=0,
            output_tokens=0,
            adapter="",
        )
        sample = Sample(
            id=name,
            index=index,
            split=_SPLIT,
            cluster=role,
            persona=Persona(role, "", language),
            question=question,
            references={"REF": references[key]},
        )
        yield sample, Transcript(name, answer.status, (turn,))


def _scores(
    episodes: Iterator[tuple[Sample, Transcript]],
    metrics: Sequence[Metric | CorpusMetric],
    infos: Mapping[str, MetricInfo],
) -> dict[str, dict[str, Any]]:
    book = ScoreBook()
    of_answers = [metric for metric in metrics if isinstance(metric, Metric)]
    collectors = [metric.collector() for metric in metrics if isinstance(metric, CorpusMetric)]
    for sample, transcript in episodes:
        for metric in of_answers:
            book.add(sample, metric.score(sample, transcript))
        for collector in collectors:
            collector.add(sample, transcript)
    for collector in collectors:
        for split, cluster, score in collector.rows():
            book.add_cluster(cluster, split, score)
    summary = summarise(book, {}, infos)["metrics"]
    return {
        name: {field: entry[field] for field in _FIELDS}
        for name, groups in summary.items()
        for entry in groups.values()
    }
