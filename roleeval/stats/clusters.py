"""Rows summed up by cluster: what every interval and every test of clustered rows starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    # For each group of a mean of means: values [rows], NaN where missing; clusters [rows], the same number being the
    # same cluster in every group.
    Parts = Sequence[tuple[Floats, NDArray[np.intp]]]


@dataclass(frozen=True, slots=True)
class ClusterTable:
    """Rows summed up by cluster, one pair of columns for each group of a mean of means.

    Attributes:
        sums: [groups, clusters] of the present values.
        counts: [groups, clusters] present rows.
        missing: rows without a value.
    """

    sums: "Floats"
    counts: "Floats"
    missing: int

    @property
    def clusters(self) -> int:
        return int(self.sums.shape[1])

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def whole(self) -> bool:
        """Whether every group has a value: an average over fewer groups is another quantity."""
        return self.counts.size > 0 and bool(self.counts.sum(axis=1).all())

    @property
    def varies(self) -> bool:
        """Whether every group has rows in at least two clusters: else nothing says how much they differ."""
        return self.counts.size > 0 and bool(((self.counts > 0).sum(axis=1) >= 2).all())

    @property
    def shares(self) -> "Floats":
        """[clusters]: how much each counts in the mean."""
        shares: Floats = (self.counts / self.counts.sum(axis=1, keepdims=True)).mean(axis=0)
        return shares

    @property
    def contributions(self) -> "Floats":
        """[clusters] whose sum is the mean."""
        parts: Floats = (self.sums / self.counts.sum(axis=1, keepdims=True)).mean(axis=0)
        return parts

    @property
    def rows(self) -> float:
        """How many rows in one group would say as much as all groups' rows say of the mean of their means."""
        totals = self.counts.sum(axis=1)
        return float(len(totals) ** 2 / (1 / totals).sum())

    def means(self, draws: "Floats") -> "Floats":
        """The mean of each resample; NaN where one holds no row of a group."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Floats = (draws @ self.sums.T) / (draws @ self.counts.T)
        means: Floats = ratios.mean(axis=1)
        return means


def cluster_table(parts: "Parts") -> ClusterTable:
    """Sums rows up by cluster.

    Args:
        parts: see `Parts`.
    """
    import numpy as np

    kept = [(values[~np.isnan(values)], clusters[~np.isnan(values)]) for values, clusters in parts]
    missing = sum(len(values) for values, _ in parts) - sum(len(values) for values, _ in kept)
    names = np.unique(np.concatenate([clusters for _, clusters in kept])) if kept else np.empty(0, dtype=np.intp)
    sums, counts = np.zeros((len(kept), len(names))), np.zeros((len(kept), len(names)))
    for group, (values, clusters) in enumerate(kept):
        codes = np.searchsorted(names, clusters)
        sums[group] = np.bincount(codes, values, minlength=len(names))
        counts[group] = np.bincount(codes, minlength=len(names))
    return ClusterTable(sums, counts, missing)


def pooled(parts: "Parts") -> "list[tuple[Floats, NDArray[np.intp]]]":
    """Several groups' rows as one group: its mean is over the rows, not over the groups."""
    import numpy as np

    return [(np.concatenate([values for values, _ in parts]), np.concatenate([clusters for _, clusters in parts]))]


def cluster_codes(names: Sequence[str]) -> "NDArray[np.intp]":
    """[rows]: each row's cluster as a number."""
    import numpy as np

    return np.unique(np.array(names, dtype=str), return_inverse=True)[1].astype(np.intp)


def effective_clusters(shares: "Floats") -> float:
    """How many clusters of equal size would say as much: unequal ones say less than their number.

    Source: Kish (1965), Survey Sampling, on unequal weights: (sum of shares)^2 / sum of squared shares.
    """
    return float(shares.sum() ** 2 / (shares**2).sum()) if shares.any() else 0.0
