"""Score rows of a report's rows, read once each and only of the metrics that are asked for."""

from collections.abc import Collection
from pathlib import Path

from roleeval.report.found.collect import RunResult
from roleeval.report.found.rows import MetricFrames
from roleeval.report.found.seeds import member_rows


class Frames:
    """Keeps the score rows of some metrics."""

    def __init__(self, metrics: Collection[str]) -> None:
        """Keeps rows of these metrics alone, so that memory does not grow with all that was scored."""
        self._metrics = frozenset(metrics)
        self._kept: dict[tuple[Path, int], MetricFrames] = {}

    def of(self, row: RunResult) -> MetricFrames:
        """(metric, group) -> frame, of one row of a table.

        Raises:
            ResultError: they cannot be read.
        """
        key = row.path, len(row.members)
        if key not in self._kept:
            self._kept[key] = member_rows(row, self._metrics)
        return self._kept[key]
