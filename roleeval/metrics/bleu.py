"""NLTK's sentence BLEU with smoothing method 3, against all references at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from roleeval.errors import ConfigError
from roleeval.metrics._protocol import Reads, reading, score_texts
from roleeval.metrics._tokens import characters
from roleeval.metrics.info import MetricInfo
from roleeval.types import Language, Sample, Score, Transcript

HIGHEST_ORDER = 4


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU-n with uniform weights over the orders 1..n; one row `bleu<n>_nltk_smooth3` per n.

    English tokens are those of NLTKWordTokenizer on the whole answer, case kept: nltk's `word_tokenize` would split
    sentences first, for which it needs the downloaded resource "punkt" ("punkt_tab" from nltk 3.8.2 on) and raises
    LookupError where it is missing. So only the text's last full stop is a token of its own. Chinese is scored by
    character, white space left out.

    Attributes:
        orders: the n of BLEU-n, each 1 to 4.
        reads: which turns of the model under test.

    Raises:
        ConfigError: an order is out of range.

    Source: Papineni et al., ACL 2002; Chen and Cherry, WMT 2014, method 3; nltk.translate.bleu_score of nltk 3.9.
    """

    orders: tuple[int, ...] = (1, 4)
    reads: Reads = "last"
    uses_references: ClassVar[bool] = True

    def __post_init__(self) -> None:
        wrong = [order for order in self.orders if not 1 <= order <= HIGHEST_ORDER]
        if wrong or not self.orders:
            raise ConfigError(f"Bleu.orders is {list(self.orders)}; give orders from 1 to {HIGHEST_ORDER}.")

    def infos(self) -> Sequence[MetricInfo]:
        """See Metric.infos."""
        return reading(self.reads, [_info(order) for order in self.orders])

    def values(self, answer: str, references: Sequence[str], language: Language) -> Mapping[str, float]:
        """Returns recipe name -> BLEU; 0 for an answer without tokens, nothing without references.

        Args:
            answer: the visible answer.
            references: reference texts; n-gram counts are clipped by the best of them, the length is the closest.
            language: decides the tokens.
        """
        if not references:
            return {}
        tokenise = characters if language == "zh" else _word_tokeniser()
        return self._bleu(tokenise(answer), [tokenise(reference) for reference in references])

    def score(self, sample: Sample, transcript: Transcript) -> list[Score]:
        """Returns one row per order for every reference group of the sample."""
        return score_texts(self, sample, transcript)

    def _bleu(self, answer: list[str], references: list[list[str]]) -> dict[str, float]:
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

        smoothing = SmoothingFunction().method3
        weights = [(1 / order,) * order for order in self.orders]
        values = sentence_bleu(references, answer, weights, smoothing_function=smoothing)
        if len(weights) == 1:
            values = [values]
        return {_name(order): float(value) for order, value in zip(self.orders, values, strict=True)}


def _name(order: int) -> str:
    return f"bleu{order}_nltk_smooth3"


def _info(order: int) -> MetricInfo:
    return MetricInfo(
        _name(order),
        label=f"BLEU-{order} (NLTK, smoothed)",
        unit="fraction",
        recipe=f"Sentence BLEU over 1- to {order}-grams, smoothing method 3, all references at once.",
        source="Papineni et al., ACL 2002; Chen and Cherry, WMT 2014; nltk 3.9",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        position=80 + order,
    )


@cache
def _word_tokeniser() -> Callable[[str], list[str]]:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenise: Callable[[str], list[str]] = NLTKWordTokenizer().tokenize
    return tokenise
