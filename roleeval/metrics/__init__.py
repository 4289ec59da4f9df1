"""Metrics of finished episodes, each named by its recipe; docs/metrics.md defines every name.

Importing this package is cheap: nltk, rouge-score, rapidfuzz, jieba and yaml are imported where they are first used.
"""

from roleeval.metrics._protocol import (
    ANSWERLESS,
    Collector,
    CorpusMetric,
    Metric,
    Reads,
    TextMetric,
    happened,
    has_words,
    read,
    reading,
    score_texts,
)
from roleeval.metrics.bleu import Bleu
from roleeval.metrics.cut_off import CUT_OFF, CutOffRate, was_written
from roleeval.metrics.distinct import DistinctPerRole
from roleeval.metrics.info import LAST, MetricInfo, Per, Unit, check_declared, infos_of, primary
from roleeval.metrics.rouge_google import RougeGoogle
from roleeval.metrics.rouge_pltrdy import RougePltrdy
from roleeval.metrics.text_stats import AiSelfReferenceRate, AnswerLength, EmptyRate, RefusalRate

__all__ = [
    "ANSWERLESS",
    "CUT_OFF",
    "LAST",
    "AiSelfReferenceRate",
    "AnswerLength",
    "Bleu",
    "Collector",
    "CorpusMetric",
    "CutOffRate",
    "DistinctPerRole",
    "EmptyRate",
    "Metric",
    "MetricInfo",
    "Per",
    "Reads",
    "RefusalRate",
    "RougeGoogle",
    "RougePltrdy",
    "TextMetric",
    "Unit",
    "check_declared",
    "default_metrics",
    "happened",
    "has_words",
    "infos_of",
    "primary",
    "read",
    "reading",
    "score_texts",
    "was_written",
]


def default_metrics() -> list[Metric | CorpusMetric]:
    """Returns every metric of a text that needs no judge, with default options; new objects on each call.

    CutOffRate is not among them: it reads how an answer ended, which files of texts do not say.
    """
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
