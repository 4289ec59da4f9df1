"""What a metric is, and the one place that turns text values into Score rows.

A metric is a frozen dataclass whose fields are its options (Hydra reaches it by `_target_`). Reference metrics and
text statistics implement TextMetric; `score_texts` applies the rules on missing and empty answers once for all.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from roleeval.types import Language, Sample, Score, Transcript

# The model (or its server) was asked and gave nothing to score: an outcome, worth 0 and counted.
ANSWERLESS = frozenset({"no_answer", "truncated_reasoning", "refused"})


@runtime_checkable
class Metric(Protocol):
    """Scores one finished episode; returns one row per recipe and reference group."""

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]: ...


@runtime_checkable
class CorpusMetric(Metric, Protocol):
    """A metric that also has values per cluster, known once all samples are seen (distinct-n)."""

    def finish(self) -> list[tuple[str, str, Score]]:
        """Returns (split, cluster, row) triples and forgets what it has seen."""
        ...


class TextMetric(Protocol):
    """A metric of one answer against its references."""

    @property
    def uses_references(self) -> bool: ...

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns recipe name -> value. Must not raise on any text."""
        ...


def score_texts(metric: TextMetric, sample: Sample, transcript: Transcript) -> list[Score]:
    """Scores a transcript's answer with a TextMetric.

    An episode that did not happen (engine_failed, unsupported_role) has missing values. One that ended without an
    answer (no_answer, truncated_reasoning, refused) is scored as the empty string and keeps its status. The answer is
    the visible text: thoughts never reach a metric.
    """
    groups: Mapping[str, Sequence[str]] = sample.references if metric.uses_references else {"": ()}
    status = transcript.status
    missing = status != "ok" and status not in ANSWERLESS
    answer = "" if missing or status in ANSWERLESS else transcript.answer
    rows: list[Score] = []
    for group, references in groups.items():
        for name, value in metric.values(answer, references, sample.persona.language).items():
            rows.append(Score(metric=name, value=None if missing else value, status=status, group=group))
    return rows
