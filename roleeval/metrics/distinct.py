"""Distinct-n: how varied a role's answers are, over all of them together."""

from dataclasses import dataclass, field
from itertools import pairwise

from roleeval.metrics._protocol import ANSWERLESS
from roleeval.metrics._tokens import units
from roleeval.types import Sample, Score, Status, Transcript


@dataclass
class DistinctPerRole:
    """`distinct1_role` and `distinct2_role`: distinct 1-grams and 2-grams of a role's answers in a split.

    Both are divided by the number of tokens, as in the paper; others divide by the number of n-grams. Tokens are
    lower-case words in English and characters in Chinese, without punctuation; a 2-gram never spans two answers. The
    value falls as text is added, so compare models over the same questions and look at `tokens` in the detail.
    Episodes that did not happen (engine_failed, unsupported_role) are left out; without an answer they add nothing.

    Source: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", arXiv 1510.03055,
    section 5.2 ("scaled by total number of generated tokens").
    """

    _roles: dict[tuple[str, str], "_Seen"] = field(default_factory=dict, init=False, repr=False)

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Remembers the answer; returns no row, because the values are the role's."""
        seen = self._roles.setdefault((sample.split, sample.cluster), _Seen())
        status = transcript.status
        if status == "ok":
            seen.add(units(transcript.answer, sample.persona.language))
        elif status in ANSWERLESS:
            seen.answers += 1
        else:
            seen.missing = status
        return []

    def finish(self) -> list[tuple[str, str, Score]]:
        """Returns (split, role, row) triples in the order the roles came up, and forgets them.

        A role of which no episode happened has missing values; one that never said a word has 0 and "no_answer".
        """
        rows = [(*key, score) for key, seen in self._roles.items() for score in seen.scores()]
        self._roles.clear()
        return rows


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

    def scores(self) -> list[Score]:
        return [
            self._score("distinct1_role", len(self.unigrams)),
            self._score("distinct2_role", len(self.bigrams)),
        ]

    def _score(self, name: str, distinct: int) -> Score:
        if not self.answers:
            return Score(metric=name, value=None, status=self.missing)
        value = distinct / self.tokens if self.tokens else 0.0
        status: Status = "ok" if self.tokens else "no_answer"
        detail = {"distinct": distinct, "tokens": self.tokens, "answers": self.answers}
        return Score(metric=name, value=value, status=status, detail=detail)
