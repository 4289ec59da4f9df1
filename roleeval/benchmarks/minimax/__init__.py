"""MiniMax Role-play Bench: sessions of 100 messages, scored by their errors. See docs/minimax.md."""

from roleeval.benchmarks.minimax.benchmark import Minimax
from roleeval.benchmarks.minimax.data import FILES, RELEASE, fetch
from roleeval.benchmarks.minimax.judge import MinimaxErrors
from roleeval.benchmarks.minimax.metrics import SessionFacts

__all__ = ["FILES", "RELEASE", "Minimax", "MinimaxErrors", "SessionFacts", "fetch"]
