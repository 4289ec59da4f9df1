"""Collects score rows compactly and writes them as scores.parquet in the samples' order."""

import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.errors import ResultError
from roleeval.results.folder import remove_part
from roleeval.types import Sample, Score

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_CHUNK = 100_000


class _Series:
    """All rows of one metric in one group: sample number and value, 12 bytes a row."""

    def __init__(self) -> None:
        self.samples = array("i")
        self.values = array("d")
        self.statuses: Counter[str] = Counter()


class ScoreBook:
    """Holds a run's scores. A group is "split" or, for metrics with references, "split/protocol"."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], _Series] = {}
        self._ids: list[str] = []
        self._order = array("i")
        self._clusters: dict[str, int] = {}
        self._sample_clusters = array("i")
        self._odd: dict[tuple[str, str, int], tuple[str, str]] = {}

    @property
    def metrics(self) -> set[str]:
        """Names of all metrics that have rows."""
        return {metric for metric, _ in self._series}

    def add(self, sample: Sample, scores: Iterable[Score]) -> None:
        """Adds the rows of one sample."""
        self._add(sample.id, sample.index, sample.cluster, ((sample.split, score) for score in scores))

    def add_cluster(self, cluster: str, split: str, score: Score) -> None:
        """Adds a row that stands for a whole cluster (a corpus metric)."""
        self._add(f"{split}/*/{cluster}", 2**31 - 1, cluster, [(split, score)])

    def take_over(self, file: Path, samples: Iterable[Sample], keep: Callable[[str], bool]) -> None:
        """Adds the rows that a scores.parquet holds of some metrics.

        Args:
            file: nothing is added where it does not exist.
            samples: those the rows are about.
            keep: says of a metric's name whether its rows are wanted.

        Raises:
            ResultError: the file cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not file.is_file():
            return
        known = {sample.id: sample for sample in samples}
        try:
            rows = pq.read_table(file).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise ResultError(f"{file}: cannot be read ({error}); run the same command again") from error
        for row in rows:
            if not keep(row["metric"]):
                continue
            sample = known.get(row["sample"])
            split = sample.split if sample else row["sample"].partition("/*/")[0]
            detail = json.loads(row["detail"]) if row["detail"] else {}
            group = row["group"].removeprefix(split).removeprefix("/")
            score = Score(row["metric"], row["value"], row["status"], group, detail)
            if sample:
                self.add(sample, [score])
            else:
                self.add_cluster(row["cluster"], split, score)

    def _add(self, name: str, order: int, cluster: str, rows: Iterable[tuple[str, Score]]) -> None:
        if not self._ids or self._ids[-1] != name:  # the metrics of one sample come one after the other
            self._ids.append(name)
            self._order.append(order)
            self._sample_clusters.append(self._clusters.setdefault(cluster, len(self._clusters)))
        number = len(self._ids) - 1
        for split, score in rows:
            group = f"{split}/{score.group}" if score.group else split
            series = self._series.get((score.metric, group))
            if series is None:
                series = self._series.setdefault((score.metric, group), _Series())
            series.samples.append(number)
            series.values.append(float("nan") if score.value is None else score.value)
            series.statuses[score.status] += 1
            if score.status != "ok" or score.detail:
                detail = json.dumps(score.detail, ensure_ascii=False, sort_keys=True) if score.detail else ""
                self._odd[score.metric, group, number] = (score.status, detail)

    def by_metric(self) -> "Iterator[tuple[str, str, NDArray[np.float64], NDArray[np.intp], Counter[str]]]":
        """Yields (metric, group, values, cluster numbers, statuses), sorted by metric and group.

        Rows are in the samples' order, so that sums do not depend on who finished first.
        """
        import numpy as np

        order = np.array(self._order, dtype=np.int64)
        clusters = self._cluster_numbers()
        for metric, group in sorted(self._series):
            series = self._series[metric, group]
            samples = np.array(series.samples, dtype=np.int64)
            sorting = self._sorting(samples, order)
            yield metric, group, np.array(series.values)[sorting], clusters[samples[sorting]], series.statuses

    def _cluster_numbers(self) -> "NDArray[np.intp]":
        """Per entry the rank of its cluster by name: the same however episodes were scheduled."""
        import numpy as np

        names = list(self._clusters)
        rank = np.empty(len(names), dtype=np.intp)
        rank[np.argsort(np.array(names, dtype=object), kind="stable")] = np.arange(len(names))
        return rank[np.array(self._sample_clusters, dtype=np.intp)] if names else np.empty(0, dtype=np.intp)

    def _sorting(self, samples: "NDArray[np.int64]", order: "NDArray[np.int64]") -> "NDArray[np.intp]":
        import numpy as np

        if not (order[samples] == 2**31 - 1).any():
            return np.argsort(order[samples])
        names = np.array([self._ids[i] if order[i] == 2**31 - 1 else "" for i in samples], dtype=object)
        sorting: NDArray[np.intp] = np.lexsort((names.astype(str), order[samples]))
        return sorting

    def write(self, file: Path, *, benchmark: str, model: str) -> None:
        """Writes the rows as Parquet, sorted by metric, group and sample.

        Raises:
            ResultError: the file could not be written.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        text = pa.dictionary(pa.int32(), pa.string())
        schema = pa.schema(
            [
                ("benchmark", text),
                ("model", text),
                ("sample", pa.string()),
                ("cluster", text),
                ("metric", text),
                ("group", text),
                ("value", pa.float64()),
                ("status", text),
                ("detail", pa.string()),
            ]
        )
        cluster_names = list(self._clusters)
        order = np.array(self._order, dtype=np.int64)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with pq.ParquetWriter(part, schema, compression="zstd") as writer:
                for metric, group in sorted(self._series):
                    series = self._series[metric, group]
                    samples = np.array(series.samples, dtype=np.int64)
                    sorting = self._sorting(samples, order)
                    values = np.array(series.values)
                    for start in range(0, len(sorting), _CHUNK):
                        rows = sorting[start : start + _CHUNK]
                        numbers = samples[rows].tolist()
                        odd = [self._odd.get((metric, group, n), ("ok", "")) for n in numbers] if self._odd else []
                        n = len(rows)
                        arrays = [
                            _same(benchmark, n),
                            _same(model, n),
                            pa.array([self._ids[i] for i in numbers], pa.string()),
                            pa.array([cluster_names[self._sample_clusters[i]] for i in numbers], pa.string()),
                            _same(metric, n),
                            _same(group, n),
                            pa.array(values[rows], mask=np.isnan(values[rows])),
                            pa.array([status for status, _ in odd], pa.string()) if odd else _same("ok", n),
                            pa.array([detail for _, detail in odd], pa.string()) if odd else pa.repeat("", n),
                        ]
                        table = pa.table(arrays, names=schema.names).cast(schema)
                        writer.write_table(table)
            os.replace(part, file)
        except OSError as error:
            remove_part(part)
            raise ResultError(f"{file}: could not be written ({error})") from error


def _same(text: str, count: int) -> "pa.DictionaryArray":
    """One text in so many rows, without a list of them."""
    import numpy as np
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([text], pa.string()))
