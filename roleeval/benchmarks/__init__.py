"""Benchmarks: what is asked, and how an episode is played."""

from roleeval.benchmarks._protocol import Benchmark, Foreseen, Opening, Scored, Scripted, SelfScored, Staged
from roleeval.benchmarks._spread import spread
from roleeval.benchmarks.actor import Actor, Helper, Keys, status_of, told
from roleeval.benchmarks.participant import Participant, given_turn

__all__ = [
    "Actor",
    "Benchmark",
    "Foreseen",
    "Helper",
    "Keys",
    "Opening",
    "Participant",
    "Scored",
    "Scripted",
    "SelfScored",
    "Staged",
    "given_turn",
    "spread",
    "status_of",
    "told",
]
