"""What can be said of an answer without a reference: its length, and whether it is one at all.

Printed beside every ROUGE, because recall rewards length. Rates are 0 or 1 per row; their mean is the rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from roleeval.metrics._phrases import Phrases, load_phrases
from roleeval.metrics._protocol import score_texts
from roleeval.metrics._tokens import characters
from roleeval.types import Language, Sample, Score, Transcript


@dataclass(frozen=True)
class AnswerLength:
    """The length of the visible answer: `answer_words` and `answer_chars`.

    Words are separated by white space in English; in Chinese every character but white space is one. Characters are
    Unicode code points without outer white space. No answer has length 0.
    """

    uses_references: ClassVar[bool] = False

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns both lengths."""
        words = characters(answer) if language == "zh" else answer.split()
        return {"answer_words": float(len(words)), "answer_chars": float(len(answer.strip()))}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns both rows."""
        return score_texts(self, sample, transcript)


@dataclass(frozen=True)
class EmptyRate:
    """`empty_rate`: 1 where nothing visible but white space was said, whatever the reason (the row's status says)."""

    uses_references: ClassVar[bool] = False

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
    """

    phrases: str = ""
    uses_references: ClassVar[bool] = False

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns 1 for an answer that opens with a refusal, else 0."""
        return {"refusal_rate": float(self._phrases.is_refusal(answer))}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the row; 1 for an episode that ended as "refused", whose text is not an answer."""
        rows = score_texts(self, sample, transcript)
        if transcript.status == "refused":
            return [replace(row, value=1.0) for row in rows]
        return rows

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
    """

    phrases: str = ""
    plain_ai: bool = True
    uses_references: ClassVar[bool] = False

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
