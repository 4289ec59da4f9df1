"""The paired difference of two rows over the samples that both have; every comparison of a report is made here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from roleeval.report.found.rows import MetricFrames, cluster_numbers
from roleeval.stats import Difference, Range, paired_difference

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def paired(
    reference: MetricFrames, other: MetricFrames, parts: Sequence[tuple[str, str]], *, over_rows: bool, within: Range
) -> Difference:
    """Other minus reference.

    Args:
        reference: score rows of the one.
        other: of the other.
        parts: (metric, group) of the groups whose differences are averaged; both have all of them.
        over_rows: their rows are pooled instead.
        within: the metric's range.
    """
    joined = [_joined(reference[part], other[part]) for part in parts]
    clusters = cluster_numbers(names for names, _, _ in joined)
    pairs = [(before, after, numbers) for (_, before, after), numbers in zip(joined, clusters, strict=True)]
    return paired_difference(pairs, over_rows=over_rows, within=within)


def _joined(
    reference: "pd.DataFrame", other: "pd.DataFrame"
) -> "tuple[pd.Series[str], NDArray[np.float64], NDArray[np.float64]]":
    """The clusters and both values of each sample that either has, in the samples' order."""
    if reference.index.equals(other.index):
        return reference["cluster"], reference["value"].to_numpy(dtype=float), other["value"].to_numpy(dtype=float)
    frame = reference.add_suffix("_reference").join(other, how="outer").sort_index()
    names = frame["cluster_reference"].fillna(frame["cluster"])
    return names, frame["value_reference"].to_numpy(dtype=float), frame["value"].to_numpy(dtype=float)
