"""The protocol of a metric, and the only place that turns text values into Score rows.

A metric is a frozen dataclass whose fields are its options (Hydra reaches it by `_target_`). Reference metrics and
text statistics implement TextMetric; `score_texts` applies the rules for missing and empty answers to all of
them, and `read` selects the turns of an episode that are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from roleeval.metrics.info import MetricInfo
from roleeval.types import MODEL, Language, Sample, Score, Status, Transcript

# The model (or its server) was asked and gave nothing to score: an outcome, worth 0 and counted.
ANSWERLESS = frozenset({"no_answer", "truncated_reasoning", "refused"})

# Which turns of the model under test a text metric reads: the last one, each by itself, or all as one text.
Reads = Literal["last", "each", "all"]
_ENDINGS: Mapping[Reads, str] = {"last": "", "each": "_each_turn", "all": "_all_turns"}
_LABELS: Mapping[Reads, str] = {"last": "", "each": ", each turn", "all": ", all turns"}
_RECIPES: Mapping[Reads, str] = {
    "last": "",
    "each": " The mean over the turns of the model under test.",
    "all": " Read from all turns of the model under test, joined by line breaks.",
}


@runtime_checkable
class Metric(Protocol):
    """Scores one finished episode; returns one row per recipe and reference group."""

    def infos(self) -> Sequence[MetricInfo]:
        """Declares every metric that `score` may return a row of."""
        ...

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]: ...


class Collector(Protocol):
    """What a corpus metric has seen of one run."""

    def add(self, sample: Sample, transcript: Transcript) -> None: ...

    def rows(self) -> list[tuple[str, str, Score]]:
        """Returns (split, cluster, row) triples of what was added."""
        ...


@runtime_checkable
class CorpusMetric(Protocol):
    """A metric with values per cluster, known once all samples are seen (distinct-n). It holds nothing itself."""

    def infos(self) -> Sequence[MetricInfo]:
        """Declares every metric that `Collector.rows` may return a row of."""
        ...

    def collector(self) -> Collector:
        """Returns an empty one, for one run."""
        ...


class TextMetric(Protocol):
    """A metric of one answer against its references."""

    @property
    def uses_references(self) -> bool: ...

    @property
    def reads(self) -> Reads: ...

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns recipe name -> value. Must not raise on any text."""
        ...


class Text(NamedTuple):
    """What the model under test said in a turn (or in several), and how that ended."""

    visible: str
    status: Status


def reading(reads: Reads, infos: Iterable[MetricInfo]) -> list[MetricInfo]:
    """The infos of a metric's default reading, named and explained as those of the reading that it has."""
    return [
        replace(
            info,
            name=info.name + _ENDINGS[reads],
            label=info.label + _LABELS[reads],
            recipe=info.recipe + _RECIPES[reads],
            read_with=tuple(name + _ENDINGS[reads] for name in info.read_with),
        )
        for info in infos
    ]


def named(reads: Reads, recipe: str) -> str:
    """A recipe's name, with the reading where it is not the default one."""
    return recipe + _ENDINGS[reads]


def read(transcript: Transcript, reads: Reads) -> list[Text]:
    """What a metric reads of an episode: the visible texts of the model under test, one for each value.

    Turns of others (environment, next speaker, reference) are not read. A turn that is not ok is the empty text, and so
    is an episode in which the model had no turn. The list has one text unless `reads` is "each".
    """
    status = transcript.status
    if reads == "last":
        for turn in reversed(transcript.turns) if status == "ok" else ():
            if turn.part == MODEL:
                return [Text(turn.visible, status)]
        return [Text("", status)]
    turns = [turn for turn in transcript.turns if turn.part == MODEL]
    if reads == "each" and turns:
        return [Text(turn.visible if turn.status == "ok" else "", turn.status) for turn in turns]
    said = [turn.visible for turn in turns if turn.status == "ok" and turn.visible.strip()]
    return [Text("\n".join(said), _missing(status, *(turn.status for turn in turns)) or status)]


def score_texts(
    metric: TextMetric, sample: Sample, transcript: Transcript, *, refused: float | None = None
) -> list[Score]:
    """Scores a transcript with a TextMetric.

    An episode that did not happen (engine_failed, unsupported_role), or a turn of one, has missing values. One that
    ended without an answer (no_answer, truncated_reasoning, refused) is scored as the empty string and keeps its
    status. What is read is the visible text: thoughts never reach a metric. References without a letter or a digit
    leave nothing to compare with: the value is missing, and not the 0 that any answer would get.

    Args:
        metric: what to compute, and from which turns.
        sample: its references are compared with.
        transcript: the episode.
        refused: the value where a server refused; None: that of the empty text.
    """
    groups: Mapping[str, Sequence[str]] = sample.references if metric.uses_references else {"": ()}
    texts, language, ending = read(transcript, metric.reads), sample.persona.language, _ENDINGS[metric.reads]
    status = texts[0].status
    if metric.reads == "each":
        status = _missing(transcript.status, *(text.status for text in texts)) or transcript.status
    scored = happened(status)
    rows: list[Score] = []
    for group, references in groups.items():
        comparable = not metric.uses_references or any(has_words(reference) for reference in references)
        found = [metric.values(text.visible, references, language) for text in texts]
        if refused is not None:
            found = [
                dict.fromkeys(values, refused) if text.status == "refused" else values
                for text, values in zip(texts, found, strict=True)
            ]
        for name, first in found[0].items():
            value = first if len(found) == 1 else sum(values[name] for values in found) / len(found)
            rows.append(Score(name + ending, value if scored and comparable else None, status, group))
    return rows


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit of any script."""
    return any(character.isalnum() for character in text)


def _missing(*statuses: Status) -> Status | None:
    return next((status for status in statuses if not happened(status)), None)


def happened(status: Status) -> bool:
    """Whether the model was asked, and answered or gave nothing to score."""
    return status == "ok" or status in ANSWERLESS
