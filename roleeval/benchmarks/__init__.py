"""Benchmarks: what is asked, and how an episode is played."""

from roleeval.benchmarks._protocol import Benchmark, Scored, SelfScored, Staged
from roleeval.benchmarks._spread import spread
from roleeval.benchmarks.actor import Actor, Helper
from roleeval.benchmarks.participant import Participant, given_turn

__all__ = [
    "Actor",
    "Benchmark",
    "Helper",
    "Participant",
    "Scored",
    "SelfScored",
    "Staged",
    "given_turn",
    "spread",
]
