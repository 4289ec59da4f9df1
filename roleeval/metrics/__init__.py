"""Metrics of finished episodes, each named by its recipe; see docs/metrics.md for what every name means.

Importing this package is cheap: nltk, rouge-score, rapidfuzz, jieba and yaml are imported where they are first used.
"""

from roleeval.metrics._protocol import ANSWERLESS, CorpusMetric, Metric, TextMetric, score_texts
from roleeval.metrics.bleu import Bleu
from roleeval.metrics.distinct import DistinctPerRole
from roleeval.metrics.rouge_google import RougeGoogle
from roleeval.metrics.rouge_pltrdy import RougePltrdy
from roleeval.metrics.text_stats import AiSelfReferenceRate, AnswerLength, EmptyRate, RefusalRate

__all__ = [
    "ANSWERLESS",
    "AiSelfReferenceRate",
    "AnswerLength",
    "Bleu",
    "CorpusMetric",
    "DistinctPerRole",
    "EmptyRate",
    "Metric",
    "RefusalRate",
    "RougeGoogle",
    "RougePltrdy",
    "TextMetric",
    "default_metrics",
    "score_texts",
]


def default_metrics() -> list[Metric]:
    """Returns every metric of single answers that needs no judge, with default options; new objects on each call."""
    return [
        RougePltrdy(),
        RougeGoogle(),
        Bleu(),
        AnswerLength(),
        EmptyRate(),
        RefusalRate(),
        AiSelfReferenceRate(),
        DistinctPerRole(),
    ]
