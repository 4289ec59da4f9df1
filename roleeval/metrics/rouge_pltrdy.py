"""The ROUGE-L behind RoleBench's published numbers: that of the PyPI package `rouge` 1.0.1 (pltrdy), exact and fast.

Differs from every textbook ROUGE-L: tokens are counted as sets, and what matters is *which* longest common subsequence
is read, not its length. The package itself raises on empty answers and overflows the stack on long sentences;
this code does neither.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from roleeval.metrics._protocol import Reads, reading, score_texts
from roleeval.metrics.info import MetricInfo
from roleeval.types import Language, Sample, Score, Transcript

RECALL = "rougeL_recall_pltrdy_max"
F1 = "rougeL_f1_pltrdy_max"


@dataclass(frozen=True)
class RougePltrdy:
    """ROUGE-L recall and F1 of `rouge` 1.0.1 on raw text, each the maximum over the references on its own.

    Chinese texts are scored with a space between every two characters. The recall is the number RoleBench publishes;
    it rewards length, so both statistics always come together.

    Attributes:
        reads: which turns of the model under test.

    Source: rolebench.md, "The metric behind the published numbers"; RoleLLM, arXiv 2310.00746.
    """

    reads: Reads = "last"
    uses_references: ClassVar[bool] = True

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        source = "RoleLLM (arXiv 2310.00746); PyPI package rouge 1.0.1"
        recall = MetricInfo(
            RECALL,
            label="ROUGE-L recall (published recipe)",
            unit="fraction",
            recipe="Distinct tokens of the longest common subsequences over those of the reference; best reference.",
            source=source,
            low=0.0,
            high=1.0,
            higher_is_better=True,
            headline=True,
            position=10,
            read_with=(F1, "answer_words"),
            caution="is the published numbers' recipe; it rewards length: read it with F1 and answer_words.",
        )
        f1 = MetricInfo(
            F1,
            label="ROUGE-L F1 (published recipe)",
            unit="fraction",
            recipe="The F1 that belongs to the published recall, over distinct tokens; best reference.",
            source=source,
            low=0.0,
            high=1.0,
            higher_is_better=True,
            headline=True,
            position=20,
        )
        return reading(self.reads, [recall, f1])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns the best recall and the best F1; nothing without references.

        Args:
            answer: the visible answer, raw: outer white space is part of this recipe.
            references: raw reference texts, never stripped (a trailing ". " adds an empty token).
            language: "zh" is scored by character.
        """
        if not references:
            return {}
        hypothesis = _Text.parse(answer, language)
        scores = [_recall_and_f1(hypothesis, _Text.parse(reference, language)) for reference in references]
        return {RECALL: max(recall for recall, _ in scores), F1: max(f1 for _, f1 in scores)}

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns both rows for every reference group of the sample."""
        return score_texts(self, sample, transcript)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as the package sees it: its sentences (tokens, and their set) and the set of all its tokens."""

    sentences: tuple[tuple[list[str], set[str]], ...]
    words: set[str]

    @classmethod
    def parse(cls, text: str, language: Language) -> "_Text":
        if language == "zh":
            text = " ".join(text)
        # A piece of nothing but white space is one empty token, as in the package.
        pieces = [piece.split() or [""] for piece in text.split(".") if piece]
        sentences = tuple((tokens, set(tokens)) for tokens in pieces)
        return cls(sentences, set().union(*(words for _, words in sentences)))


def _recall_and_f1(hypothesis: _Text, reference: _Text) -> tuple[float, float]:
    """Recall |U| / |W(ref)| and F1 2PR / (P + R + 1e-8); 0 where either side has no sentence."""
    if not hypothesis.sentences or not reference.sentences:
        return 0.0, 0.0
    overlap = len(_union_of_lcs(hypothesis, reference))
    recall = overlap / len(reference.words)
    precision = overlap / len(hypothesis.words)
    return recall, 2.0 * ((precision * recall) / (precision + recall + 1e-8))


def _union_of_lcs(hypothesis: _Text, reference: _Text) -> set[str]:
    """The union of lcs_tokens over all pairs of a reference and a hypothesis sentence."""
    union: set[str] = set()
    for reference_tokens, reference_words in reference.sentences:
        for hypothesis_tokens, hypothesis_words in hypothesis.sentences:
            common = reference_words & hypothesis_words
            if common <= union:
                continue
            if len(common) == 1:  # every LCS consists of that token
                union |= common
            else:
                union |= lcs_tokens(reference_tokens, hypothesis_tokens, common)
    return union


def lcs_tokens(reference: Sequence[str], hypothesis: Sequence[str], common: Collection[str]) -> set[str]:
    """Returns the distinct tokens of the one longest common subsequence that the package reads out.

    With T the table of LCS lengths, the package walks back from the end: on equal tokens diagonally; else up in the
    reference where T[i-1, j] > T[i, j-1]; else left in the hypothesis. Here row i of T is one integer V, with bit j-1
    clear where T[i, j] = T[i, j-1] + 1. Let column c be the highest clear bit at or left of the walk. The reference's
    token i is read exactly if it matches there:

    - If the package walks left all the way to c, it finds a match there, or goes up because the bit is clear.
    - If it meets a match at j > c first, then T[i-1, c] <= T[i-1, j-1] < T[i, c], which only a match at c allows. The
      token read is the same, and T[i-1, c-1] = T[i-1, j-1], so that the next row has the same c for both walks.

    So the walk takes one step per reference token, without table or recursion, and tokens that are not common can be
    left out of both sides beforehand.

    Args:
        reference: tokens of a reference sentence.
        hypothesis: tokens of a hypothesis sentence.
        common: the tokens that occur in both.

    Source: Hyyro, "Bit-parallel LCS-length computation revisited", AWOCA 2004, for V; rolebench.md for the tie rule.
    """
    matches: dict[str, int] = {}
    bit = 1
    for token in hypothesis:
        if token in common:
            matches[token] = matches.get(token, 0) | bit
            bit <<= 1
    every = bit - 1

    rows: list[tuple[str, int, int]] = []
    v = every
    for token in reference:
        match = matches.get(token)
        if match:
            hit = v & match
            v = ((v + hit) | (v - hit)) & every
            rows.append((token, match, v))

    found: set[str] = set()
    open_columns = every
    for token, match, v in reversed(rows):
        column = (~v & open_columns).bit_length()
        if column == 0:  # T is 0 from here on up
            break
        last = 1 << (column - 1)
        if match & last:
            found.add(token)
            open_columns = last - 1
    return found
