"""Result folders: what a run writes, and the only thing that reports read."""

from roleeval.results.folder import ResultFolder, read_transcripts, write_atomically
from roleeval.results.infos import infos_for, summary_infos
from roleeval.results.judgements import KeptJudgement, judgement_line, read_judgements, write_judgements
from roleeval.results.scores import ScoreBook
from roleeval.results.summary import summarise

__all__ = [
    "KeptJudgement",
    "ResultFolder",
    "ScoreBook",
    "infos_for",
    "judgement_line",
    "read_judgements",
    "read_transcripts",
    "summarise",
    "summary_infos",
    "write_atomically",
    "write_judgements",
]
