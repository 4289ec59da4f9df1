"""Benchmarks: what is asked, and how an episode is played."""

from roleeval.benchmarks._protocol import Benchmark, Scored, SelfScored, Staged
from roleeval.benchmarks.actor import Actor, Helper

__all__ = ["Actor", "Benchmark", "Helper", "Scored", "SelfScored", "Staged"]
