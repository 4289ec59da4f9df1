"""Metrics of an answer that need no reference: its length, and whether there is an answer.

Printed next to every ROUGE, because recall rewards length. Rates are 0 or 1 per row; their mean is the rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from roleeval.metrics._phrases import Phrases, load_phrases
from roleeval.metrics._protocol import Reads, reading, score_texts
from roleeval.metrics._tokens import characters
from roleeval.metrics.info import MetricInfo
from roleeval.types import Language, Sample, Score, Transcript


@dataclass(frozen=True)
class AnswerLength:
    """The length of the visible answer: `answer_words` and `answer_chars`.

    Words are separated by white space in English; in Chinese every character but white space is one. Characters are
    Unicode code points without outer white space. No answer has length 0.

    Attributes:
        reads: which turns of the model under test.
    """

    reads: Reads = "last"
    uses_references: ClassVar[bool] = False

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        words = MetricInfo(
            "answer_words",
            label="Answer length in words",
            unit="words",
            recipe="Words between white space; in Chinese every character but white space.",
            low=0.0,
            headline=True,
            position=30,
        )
        chars = MetricInfo(
            "answer_chars",
            label="Answer length in characters",
            unit="characters",
            recipe="Unicode code points without outer white space.",
            low=0.0,
            position=90,
        )
        return reading(self.reads, [words, chars])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns both lengths."""
        words = characters(answer) if language == "zh" else answer.split()
        return {"answer_words": float(len(words)), "answer_chars": float(len(answer.strip()))}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns both rows."""
        return score_texts(self, sample, transcript)


@dataclass(frozen=True)
class EmptyRate:
    """`empty_rate`: 1 where nothing visible but white space was said, whatever the reason (the row's status says).

    Attributes:
        reads: which turns of the model under test.
    """

    reads: Reads = "last"
    uses_references: ClassVar[bool] = False

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        return reading(self.reads, [_rate("empty_rate", "Empty answers", "nothing visible was said", 100)])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns 1 for a blank answer, else 0."""
        return {"empty_rate": float(not answer.strip())}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the row."""
        return score_texts(self, sample, transcript)


@dataclass(frozen=True)
class RefusalRate:
    """`refusal_rate`: 1 where the answer opens by declining the request, or a server refused it (status "refused").

    It says that the request was declined, not why: a character who will not answer a question counts too. Patterns
    of both languages are tried, since models fall out of the persona's language when they refuse.

    Attributes:
        phrases: a YAML file in the format of metrics/phrases.yaml; "" is that file.
        reads: which turns of the model under test.
    """

    phrases: str = ""
    reads: Reads = "last"
    uses_references: ClassVar[bool] = False

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        what = "the answer opens by declining the request, or a server refused it"
        return reading(self.reads, [_rate("refusal_rate", "Refusals", what, 110)])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns 1 for an answer that opens with a refusal, else 0."""
        return {"refusal_rate": float(self._phrases.is_refusal(answer))}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the row; 1 where a server refused (status "refused"), whose text is not an answer."""
        return score_texts(self, sample, transcript, refused=1.0)

    @property
    def _phrases(self) -> Phrases:
        return load_phrases(self.phrases)


@dataclass(frozen=True)
class AiSelfReferenceRate:
    """`ai_self_reference_rate`: 1 where the answer speaks of itself as an AI ("As an AI language model, ...").

    Roles that are machines in their own story (`machine_roles` in the phrases file) may call themselves an AI; for
    them only what no story says counts ("language model", "trained by OpenAI").

    Attributes:
        phrases: a YAML file in the format of metrics/phrases.yaml; "" is that file.
        plain_ai: whether "I am an AI" counts; `score` turns it off for machine roles.
        reads: which turns of the model under test.
    """

    phrases: str = ""
    plain_ai: bool = True
    reads: Reads = "last"
    uses_references: ClassVar[bool] = False

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        what = "the answer speaks of itself as an AI"
        return reading(self.reads, [_rate("ai_self_reference_rate", "AI self-references", what, 120)])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns 1 for an answer that breaks the role as an AI, else 0."""
        return {"ai_self_reference_rate": float(self._phrases.is_ai_self_reference(answer, plain_ai=self.plain_ai))}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the row."""
        if self.plain_ai and sample.persona.role in self._phrases.machine_roles:
            return replace(self, plain_ai=False).score(sample, transcript)
        return score_texts(self, sample, transcript)

    @property
    def _phrases(self) -> Phrases:
        return load_phrases(self.phrases)


def _rate(name: str, label: str, what: str, position: int) -> MetricInfo:
    return MetricInfo(
        name,
        label=label,
        unit="fraction",
        recipe=f"1 where {what}, else 0; the mean is the share of answers.",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        headline=True,
        position=position,
    )
