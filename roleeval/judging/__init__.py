"""Judges: an LLM's opinion becomes a number with a known error. See docs/judging.md."""

from roleeval.judging._calls import ask
from roleeval.judging._controls import Control, control_record, controls
from roleeval.judging._protocol import (
    REFERENCES,
    Answer,
    Attempt,
    Case,
    Judge,
    Judgement,
    Price,
    Question,
    UnusableReplyError,
    answer_of,
    mean_or_none,
)
from roleeval.judging._rubric import reference
from roleeval.judging.pairwise import HerRm, PairwiseJudge
from roleeval.judging.panel import Panel, members
from roleeval.judging.points import RubricJudge
from roleeval.judging.ranking import RankingJudge
from roleeval.judging.voice import VoiceJudge

__all__ = [
    "REFERENCES",
    "Answer",
    "Attempt",
    "Case",
    "Control",
    "HerRm",
    "Judge",
    "Judgement",
    "PairwiseJudge",
    "Panel",
    "Price",
    "Question",
    "RankingJudge",
    "RubricJudge",
    "UnusableReplyError",
    "VoiceJudge",
    "answer_of",
    "ask",
    "control_record",
    "controls",
    "mean_or_none",
    "members",
    "reference",
]
