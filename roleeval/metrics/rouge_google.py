"""ROUGE-L F1 of Google's `rouge-score`, bit for bit, without its quadratic Python tables.

English tokens are those of the package's default tokeniser, computed without its regular expressions; the LCS length
comes from rapidfuzz. That tokeniser deletes Chinese, so Chinese is scored by character and by jieba word, under names
of their own. rouge-score is not imported: its scorer imports nltk, scipy and pandas.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from roleeval.metrics._protocol import Reads, reading, score_texts
from roleeval.metrics._tokens import characters
from roleeval.metrics.info import MetricInfo
from roleeval.types import Language, Sample, Score, Transcript

if TYPE_CHECKING:
    import jieba

_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789"
_OTHERS_TO_SPACE = bytes(byte if byte in _KEPT else ord(" ") for byte in range(256))
_REMEMBERED_STEMS = 1 << 15  # RoleBench's English texts hold some 25 000 distinct words


@dataclass(frozen=True)
class RougeGoogle:
    """ROUGE-L F1 as `rouge_score.RougeScorer(["rougeL"])` gives it, the maximum over the references.

    Rows: `rougeL_f1_google_max` and `rougeL_f1_google_stem_max` for English, `rougeL_f1_google_char_max` and
    `rougeL_f1_google_jieba_max` for Chinese.

    Attributes:
        stem: also score English with the Porter stemmer (imports nltk: about a second and 200 MB).
        jieba: also score Chinese by jieba word (loads its dictionary: about half a second and 80 MB).
        reads: which turns of the model under test.

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 3.1; rouge-score 0.1.2.
    """

    stem: bool = True
    jieba: bool = True
    reads: Reads = "last"
    uses_references: ClassVar[bool] = True

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos; those of both languages."""
        plain = _info("rougeL_f1_google_max", "ROUGE-L F1 (Google)", "lower-case runs of a-z and 0-9", 40)
        by_character = _info("rougeL_f1_google_char_max", "ROUGE-L F1 (Google, by character)", "characters", 50)
        infos = [replace(info, headline=True, primary=True) for info in (plain, by_character)]
        if self.stem:
            infos.append(_info("rougeL_f1_google_stem_max", "ROUGE-L F1 (Google, stemmed)", "Porter stems", 60))
        if self.jieba:
            infos.append(_info("rougeL_f1_google_jieba_max", "ROUGE-L F1 (Google, by word)", "jieba's words", 70))
        return reading(self.reads, infos)

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns recipe name -> the best F1 over the references; nothing without references.

        Args:
            answer: the visible answer.
            references: reference texts.
            language: decides which recipes apply.
        """
        if not references:
            return {}
        recipes: dict[str, Callable[[str], list[str]]]
        if language == "zh":
            recipes = {"rougeL_f1_google_char_max": char_tokens}
            if self.jieba:
                recipes["rougeL_f1_google_jieba_max"] = jieba_tokens
        else:
            recipes = {"rougeL_f1_google_max": default_tokens}
            if self.stem:
                recipes["rougeL_f1_google_stem_max"] = stemmed_tokens
        return {
            name: _best_f1(tokenise(answer), [tokenise(reference) for reference in references])
            for name, tokenise in recipes.items()
        }

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns the language's rows for every reference group of the sample."""
        return score_texts(self, sample, transcript)


def _info(name: str, label: str, tokens: str, position: int) -> MetricInfo:
    return MetricInfo(
        name,
        label=label,
        unit="fraction",
        recipe=f"F1 of the longest common subsequence over {tokens}; best reference.",
        source="Lin 2004, section 3.1; rouge-score 0.1.2",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        position=position,
    )


def default_tokens(text: str) -> list[str]:
    """Returns the tokens of rouge-score's default tokeniser: lower-case runs of a-z and 0-9."""
    ascii_only = text.lower().encode("ascii", "replace")  # whatever is not ASCII parts tokens, and so does "?"
    return ascii_only.translate(_OTHERS_TO_SPACE).decode("ascii").split()


def stemmed_tokens(text: str) -> list[str]:
    """Returns the tokens of rouge-score's default tokeniser with `use_stemmer=True` (Porter, words over 3 letters)."""
    stem = _stemmer()
    return [stemmed for token in default_tokens(text) if (stemmed := stem(token))]


def char_tokens(text: str) -> list[str]:
    """Returns every character but white space, lower-case as in rouge-score; punctuation is kept."""
    return characters(text.lower())


def jieba_tokens(text: str) -> list[str]:
    """Returns jieba's words (exact mode with HMM), lower-case as in rouge-score; white space is dropped."""
    return [word.lower() for word in _jieba().lcut(text) if not word.isspace()]


def _best_f1(answer: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The highest 2PR / (P + R) over the references, in rouge-score's order of operations."""
    from rapidfuzz.distance import LCSseq

    # rapidfuzz compares hashes; small integers are their own, so that no two tokens can ever be taken for one.
    number = defaultdict[str, int](count().__next__).__getitem__
    answer_ids = list(map(number, answer))
    best = 0.0
    for reference in references:
        common = LCSseq.similarity(list(map(number, reference)), answer_ids)
        if common:
            precision = common / len(answer)
            recall = common / len(reference)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


@cache
def _stemmer() -> Callable[[str], str]:
    """nltk's Porter stemmer, used as rouge-score uses it and remembering what it has stemmed."""
    from nltk.stem.porter import PorterStemmer

    porter: Callable[[str], str] = PorterStemmer().stem
    return lru_cache(maxsize=_REMEMBERED_STEMS)(lambda token: porter(token) if len(token) > 3 else token)


@cache
def _jieba() -> "jieba.Tokenizer":
    """A jieba tokeniser of our own, with the package's dictionary read straight from its file.

    jieba's own way goes through a cache in the temporary folder that it trusts whatever version wrote it, and logs to
    stderr; reading the file takes the same half second.
    """
    import jieba

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
