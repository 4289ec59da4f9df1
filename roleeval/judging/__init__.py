"""Judges: turn an LLM's verdicts into scores whose error can be measured. See docs/judging.md.

A third-party judge needs `Judge`, `Case`, `Question` and `View`; candidates' texts go through `fenced`, replies through
`read_verdict`; `judge_messages` and `criteria_schema` fill a pack of prompts and criteria.
"""

from roleeval.engines import Price
from roleeval.judging._calls import OVER_BUDGET, TOO_LONG, ask
from roleeval.judging._controls import Control, control_record, controls
from roleeval.judging._faults import Fault, load_faults, sentences, spoil
from roleeval.judging._fence import disarmed, echoes, fence_token, fenced, quoted, verbatim
from roleeval.judging._infos import criterion_title, points_info, share_info
from roleeval.judging._json import check_schema, read_number, read_schema, read_verdict
from roleeval.judging._protocol import (
    REFERENCES,
    Attempt,
    Case,
    Form,
    Judge,
    Judgement,
    Question,
    UnusableReplyError,
    mean_or_none,
)
from roleeval.judging._rubric import Rubric, criteria_schema, judge_messages, load_rubric, reference
from roleeval.judging._view import Answer, SeenTurn, View, as_text
from roleeval.judging.pairwise import HerRm, PairwiseJudge
from roleeval.judging.panel import Panel, members
from roleeval.judging.points import RubricJudge
from roleeval.judging.ranking import RankingJudge
from roleeval.judging.voice import VoiceJudge

__all__ = [
    "OVER_BUDGET",
    "REFERENCES",
    "TOO_LONG",
    "Answer",
    "Attempt",
    "Case",
    "Control",
    "Fault",
    "Form",
    "HerRm",
    "Judge",
    "Judgement",
    "PairwiseJudge",
    "Panel",
    "Price",
    "Question",
    "RankingJudge",
    "Rubric",
    "RubricJudge",
    "SeenTurn",
    "UnusableReplyError",
    "View",
    "VoiceJudge",
    "as_text",
    "ask",
    "check_schema",
    "control_record",
    "controls",
    "criteria_schema",
    "criterion_title",
    "disarmed",
    "echoes",
    "fence_token",
    "fenced",
    "judge_messages",
    "load_faults",
    "load_rubric",
    "mean_or_none",
    "members",
    "points_info",
    "quoted",
    "read_number",
    "read_schema",
    "read_verdict",
    "reference",
    "sentences",
    "share_info",
    "spoil",
    "verbatim",
]
