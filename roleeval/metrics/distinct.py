"""Distinct-n: how varied a role's answers are, over all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from roleeval.metrics._protocol import Reads, Text, happened, named, read, reading
from roleeval.metrics._tokens import units
from roleeval.metrics.info import MetricInfo
from roleeval.types import Sample, Score, Status, Transcript

_SOURCE = "Li et al., arXiv 1510.03055, section 5.2"


@dataclass(frozen=True)
class DistinctPerRole:
    """`distinct1_role` and `distinct2_role`: distinct 1-grams and 2-grams of a role's answers in a split.

    Both are divided by the number of tokens, as in the paper; others divide by the number of n-grams. Tokens are
    lower-case words in English and characters in Chinese, without punctuation; a 2-gram never spans two answers. The
    value falls as text is added, so compare models over the same questions and look at `tokens` in the detail.
    Episodes that did not happen (engine_failed, unsupported_role) are left out; without an answer they add nothing.

    Attributes:
        reads: which turns of the model under test; of "each" every turn is an answer.

    Source: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", arXiv 1510.03055,
    section 5.2 ("scaled by total number of generated tokens").
    """

    reads: Reads = "last"

    def infos(self) -> Sequence[MetricInfo]:
        """See CorpusMetric.infos."""
        return reading(self.reads, [_info(order) for order in (1, 2)])

    def collector(self) -> "DistinctCollector":
        """See CorpusMetric.collector."""
        return DistinctCollector(self.reads)


def _info(order: int) -> MetricInfo:
    return MetricInfo(
        f"distinct{order}_role",
        label=f"Distinct-{order} per role",
        unit="fraction",
        recipe=f"Distinct {order}-grams over tokens, of all answers of a role in a split.",
        source=_SOURCE,
        low=0.0,
        high=1.0,
        higher_is_better=True,
        per="cluster",
        position=300 + order,
    )


class DistinctCollector:
    """The roles of one run; see Collector."""

    def __init__(self, reads: Reads) -> None:
        """`reads`: see DistinctPerRole."""
        self._reads = reads
        self._roles: dict[tuple[str, str], _Seen] = {}

    def add(self, sample: Sample, transcript: Transcript) -> None:
        """Takes the n-grams of the answers; their text is not kept."""
        seen = self._roles.setdefault((sample.split, sample.cluster), _Seen())
        texts = read(transcript, self._reads) if happened(transcript.status) else [Text("", transcript.status)]
        for text in texts:
            if text.status == "ok":
                seen.add(units(text.visible, sample.persona.language))
            elif happened(text.status):
                seen.answers += 1
            else:
                seen.missing = text.status

    def rows(self) -> list[tuple[str, str, Score]]:
        """Returns (split, role, row) triples in the order the roles came up.

        A role of which no episode happened has missing values; one that never said a word has 0 and "no_answer".
        """
        return [(*key, score) for key, seen in self._roles.items() for score in seen.scores(self._reads)]


@dataclass
class _Seen:
    """The answers of one role so far: their n-grams, not their text."""

    unigrams: set[str] = field(default_factory=set)
    bigrams: set[tuple[str, str]] = field(default_factory=set)
    tokens: int = 0
    answers: int = 0
    missing: Status = "ok"

    def add(self, tokens: list[str]) -> None:
        self.answers += 1
        self.tokens += len(tokens)
        self.unigrams.update(tokens)
        self.bigrams.update(pairwise(tokens))

    def scores(self, reads: Reads) -> list[Score]:
        return [
            self._score(named(reads, "distinct1_role"), len(self.unigrams)),
            self._score(named(reads, "distinct2_role"), len(self.bigrams)),
        ]

    def _score(self, name: str, distinct: int) -> Score:
        if not self.answers:
            return Score(metric=name, value=None, status=self.missing)
        value = distinct / self.tokens if self.tokens else 0.0
        status: Status = "ok" if self.tokens else "no_answer"
        detail = {"distinct": distinct, "tokens": self.tokens, "answers": self.answers}
        return Score(metric=name, value=value, status=status, detail=detail)
