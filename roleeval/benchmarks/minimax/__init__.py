"""MiniMax Role-play Bench: sessions of 100 messages, scored by their errors. See docs/minimax.md."""

from roleeval.benchmarks.minimax.data import FILES, RELEASE, fetch

__all__ = ["FILES", "RELEASE", "fetch"]
