"""The paired difference of two rows over the samples that both have; every comparison of a report is made here."""

from collections.abc import Sequence

from roleeval.report.found.rows import MetricFrames, cluster_numbers
from roleeval.stats import Difference, Range, paired_difference


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
    joined = [reference[part].add_suffix("_reference").join(other[part], how="outer").sort_index() for part in parts]
    clusters = cluster_numbers(frame["cluster_reference"].fillna(frame["cluster"]) for frame in joined)
    pairs = [
        (frame["value_reference"].to_numpy(dtype=float), frame["value"].to_numpy(dtype=float), numbers)
        for frame, numbers in zip(joined, clusters, strict=True)
    ]
    return paired_difference(pairs, over_rows=over_rows, within=within)
