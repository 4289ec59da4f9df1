"""Finished runs: read from result folders, grouped, and compared."""
