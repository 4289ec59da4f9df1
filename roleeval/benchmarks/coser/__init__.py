"""CoSER: scenes with several characters, played turn by turn and judged for flaws. See docs/coser.md."""

from roleeval.benchmarks.coser.benchmark import Coser
from roleeval.benchmarks.coser.gca import GcaJudge, gca_infos, gca_numbers, gca_points, read_severity
from roleeval.benchmarks.coser.metrics import CoserOverlap, NextSpeaker, SceneFacts

__all__ = [
    "Coser",
    "CoserOverlap",
    "GcaJudge",
    "NextSpeaker",
    "SceneFacts",
    "gca_infos",
    "gca_numbers",
    "gca_points",
    "read_severity",
]
