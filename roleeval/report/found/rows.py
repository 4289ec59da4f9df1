"""Reads scores.parquet for reports: the rows of one metric in one group, joined on the sample."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.errors import ResultError
from roleeval.results import ResultFolder

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# (metric, group) -> a frame indexed by sample, in its order, with the columns cluster and value (NaN where missing).
MetricFrames = Mapping[tuple[str, str], "pd.DataFrame"]


def score_rows(folder: Path, metrics: Iterable[str] | None = None) -> MetricFrames:
    """Reads a run's score rows.

    Args:
        folder: the run's.
        metrics: those that are wanted; None is all.

    Raises:
        ResultError: they cannot be read.
    """
    import pandas as pd

    if metrics is not None and not (metrics := list(metrics)):
        return {}  # an empty list has no type that a column could be compared with
    file = ResultFolder(folder).scores
    try:
        wanted = None if metrics is None else [("metric", "in", metrics)]
        frame = pd.read_parquet(file, columns=["sample", "cluster", "metric", "group", "value"], filters=wanted)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{file}: cannot be read ({error}); delete the folder and run again") from error
    for name in ("sample", "cluster"):  # pandas joins and selects plain strings many times faster than Arrow's
        frame[name] = frame[name].astype(str).astype(object)
    frame = frame.sort_values("sample", kind="stable")
    found = frame.groupby(["metric", "group"], observed=True, sort=False)
    return {
        (str(metric), str(group)): part.set_index("sample")[["cluster", "value"]] for (metric, group), part in found
    }


def mean_rows(several: Sequence[MetricFrames]) -> MetricFrames:
    """Per sample the mean over those runs that have a value; missing where none has."""
    import pandas as pd

    keys = dict.fromkeys(key for rows in several for key in rows)
    merged = {}
    for key in keys:
        stacked = pd.concat([rows[key] for rows in several if key in rows])
        merged[key] = stacked.groupby(level=0).agg({"cluster": "first", "value": "mean"})
    return merged


def cluster_numbers(parts: Iterable["pd.Series[str]"]) -> "list[NDArray[np.intp]]":
    """Clusters as numbers, by name: the same number is the same cluster in every part."""
    import numpy as np

    names = [part.to_numpy(dtype=object).astype(str) for part in parts]
    _, numbers = np.unique(np.concatenate(names), return_inverse=True)
    return np.split(numbers, np.cumsum([len(part) for part in names])[:-1])
