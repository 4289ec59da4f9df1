"""A run's score rows by sample, for the site: one column for each metric and protocol."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roleeval.errors import ResultError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NEEDED = ("sample", "cluster", "metric", "group", "value", "status", "detail")
_ROWS = 65_536
_CLUSTER = "/*/"  # in the "sample" of a row that stands for a whole cluster: split/*/cluster
_DIGITS = 6


@dataclass(slots=True)
class _Column:
    samples: "array[int]" = field(default_factory=lambda: array("i"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    odd: dict[int, tuple[str, str]] = field(default_factory=dict)  # status and detail, where there is one to tell
    clusters: list[tuple[str, str, float | None]] = field(default_factory=list)


class RunScores:
    """Score rows of one run; 12 bytes a row.

    Attributes:
        columns: (metric, protocol); the protocol is "" for metrics without references.
    """

    def __init__(self, file: Path, splits: Iterable[str], *, digits: int | None = _DIGITS) -> None:
        """Reads scores.parquet.

        Args:
            file: the file.
            splits: the run's; a group begins with one of them.
            digits: of values, after the point; None is all.

        Raises:
            ResultError: it cannot be read.
        """
        self._digits = digits
        self._splits = sorted(splits, key=len, reverse=True)
        self._numbers: dict[str, int] = {}
        self._columns: dict[tuple[str, str], _Column] = {}
        self._read(file)
        self.columns = sorted(self._columns)
        self._dense = [self._spread(self._columns[key]) for key in self.columns]

    def _read(self, file: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(_ROWS, columns=list(_NEEDED)):
                    self._take(*(batch.column(name).to_pylist() for name in _NEEDED))
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ResultError(f"{file}: cannot be read ({error}); score the run again") from error

    def _take(self, *columns: Sequence[Any]) -> None:
        for sample, cluster, metric, group, value, status, detail in zip(*columns, strict=True):
            split = next((s for s in self._splits if group == s or group.startswith(f"{s}/")), group.partition("/")[0])
            protocol = group[len(split) + 1 :]
            column = self._columns.setdefault((metric, protocol), _Column())
            if sample.startswith(f"{split}{_CLUSTER}"):
                column.clusters.append((split, cluster, value))
                continue
            number = self._numbers.setdefault(sample, len(self._numbers))
            column.samples.append(number)
            column.values.append(float("nan") if value is None else value)
            if status != "ok" or detail:
                column.odd[number] = (status, detail)

    def _spread(self, column: _Column) -> "NDArray[np.float64]":
        import numpy as np

        values = np.full(len(self._numbers), np.nan)
        values[np.frombuffer(column.samples, dtype=np.int32) if column.samples else []] = column.values
        return values if self._digits is None else np.round(values, self._digits)

    def of(self, sample: str) -> list[list[Any]]:
        """A sample's values: [column, value], where there is more to tell with the status and the detail (JSON)."""
        number = self._numbers.get(sample)
        if number is None:
            return []
        found: list[list[Any]] = []
        for place, key in enumerate(self.columns):
            value, odd = float(self._dense[place][number]), self._columns[key].odd.get(number)
            given = None if value != value else value
            if odd is not None:
                found.append([place, given, *odd])
            elif given is not None:
                found.append([place, given])
        return found

    def column(self, place: int, samples: Sequence[str]) -> dict[str, Any]:
        """One column over samples: values, and those statuses that are not ok by the samples' places."""
        import numpy as np

        column = self._columns[self.columns[place]]
        numbers = np.array([self._numbers.get(sample, -1) for sample in samples], dtype=np.intp)
        known = np.append(self._dense[place], np.nan)  # -1 is the last
        odd = {index: column.odd[n][0] for index, n in enumerate(numbers) if n in column.odd}
        return {"values": known[numbers], "odd": {index: status for index, status in odd.items() if status != "ok"}}

    def clusters(self) -> Mapping[int, list[tuple[str, str, float | None]]]:
        """Column -> (split, cluster, value) of rows that stand for a whole cluster."""
        rows = {place: self._columns[key].clusters for place, key in enumerate(self.columns)}
        return {place: clusters for place, clusters in rows.items() if clusters}
