"""Result folders: what a run writes, and all that reports read."""

from roleeval.results.folder import ResultFolder, read_transcripts, write_atomically
from roleeval.results.infos import cluster_words, infos_for, judge_infos, record_infos, summary_infos
from roleeval.results.judgements import judgement_line, read_judgements, write_judgements
from roleeval.results.scores import ScoreBook
from roleeval.results.summary import summarise

__all__ = [
    "ResultFolder",
    "ScoreBook",
    "cluster_words",
    "infos_for",
    "judge_infos",
    "judgement_line",
    "read_judgements",
    "read_transcripts",
    "record_infos",
    "summarise",
    "summary_infos",
    "write_atomically",
    "write_judgements",
]
