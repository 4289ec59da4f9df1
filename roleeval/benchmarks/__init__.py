"""Benchmarks: what is asked, and how an episode is played."""

from roleeval.benchmarks._protocol import Benchmark, Scored, SelfScored
from roleeval.benchmarks.actor import Actor

__all__ = ["Actor", "Benchmark", "Scored", "SelfScored"]
