"""Means with 95 % intervals over clusters (roles, scenes): the one place that chooses how an interval is made.

Rows of one role share that role's difficulty; resampling rows would claim a precision that is not there.
docs/statistics.md says how often each of the methods is right.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from roleeval.stats.bootstrap import FEW_CLUSTERS, LEVEL, Studentised, jackknife_error, studentised, t_quantile
from roleeval.stats.clusters import ClusterTable, cluster_table, effective_clusters
from roleeval.stats.rates import between_ends

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roleeval.stats.clusters import Parts

    Floats = NDArray[np.float64]

Method = Literal["", "beta-binomial", "bootstrap-t", "student-t"]
# The lowest and the highest possible value of a metric; None where there is none.
Range = tuple[float | None, float | None]

OPEN: Range = (None, None)
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over rows with its interval.

    Attributes:
        mean: over the rows that have a value; None without any.
        ci_low: lower end of the 95 % interval, never outside of the metric's range. None where nothing says how much
            clusters differ: with fewer than two, and where all values are equal and their range is open.
        ci_high: upper end; above ci_low.
        n: rows with a value.
        missing: rows without one.
        clusters: clusters with a value.
        method: how the interval was made; "" without one.
    """

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    missing: int
    clusters: int
    method: Method = ""


def clustered_mean(values: "Floats", clusters: "NDArray[np.intp]", *, within: Range = OPEN) -> Estimate:
    """Mean of the rows and its interval.

    Args:
        values: [rows], NaN where missing.
        clusters: [rows], whole numbers naming each row's cluster.
        within: the values' range.
    """
    return mean_of_means([(values, clusters)], within=within)


def mean_of_means(parts: "Parts", *, within: Range = OPEN, zero: float | None = None) -> Estimate:
    """Plain mean of several groups' means (such as RoleBench's AVG), clusters resampled jointly over the groups.

    Args:
        parts: for each group (values [rows], NaN where missing; clusters [rows]); the same number is the same cluster
            in every group.
        within: the values' range.
        zero: what "nothing" is, where it is not the lower end of the range: 0 of differences.

    Returns:
        An estimate without a mean when a group has no value: an average over fewer groups is another quantity.
    """
    return measured(parts, within=within, zero=zero).estimate


@dataclass(frozen=True, slots=True)
class Measured:
    """An estimate with what it was made from; `resampled` where the interval took it."""

    estimate: Estimate
    table: ClusterTable
    resampled: Studentised | None = None


def measured(parts: "Parts", *, within: Range, zero: float | None) -> Measured:
    """As `mean_of_means`."""
    import numpy as np

    table = cluster_table(parts)
    if not table.whole:
        return Measured(Estimate(None, None, None, table.n, table.missing, table.clusters), table)
    # By the resamples' own sums: equal values then have exactly themselves as mean.
    mean = float(table.means(np.ones((1, table.clusters)))[0])
    if abs(_cut(mean, within) - mean) > ROUNDING * max(1.0, abs(mean)):
        within = OPEN  # the metric's declaration is wrong; an interval cut to it would be as well
    ends, method, resampled = _interval(parts, table, mean, within, zero)
    low, high = ends or (None, None)
    return Measured(Estimate(mean, low, high, table.n, table.missing, table.clusters, method), table, resampled)


_Interval = tuple[tuple[float, float] | None, Method, Studentised | None]


def _interval(parts: "Parts", table: ClusterTable, mean: float, within: Range, zero: float | None) -> _Interval:
    """Of values at the ends of their range, and of equal ones, by rates; else by how much clusters vary."""
    import numpy as np

    if not table.varies:
        return None, "", None
    values = np.concatenate([values[~np.isnan(values)] for values, _ in parts])
    dust = ROUNDING * max(1.0, abs(mean))
    equal = bool(np.ptp(values) <= dust)
    start = mean if equal else within[0] if zero is None else zero
    error = float(jackknife_error(table.means, table.clusters))
    if equal or error <= dust or _all_at(values, (*within, start)):
        rates = _rates(parts, within, start)
        if rates or error <= dust:
            return rates, "beta-binomial" if rates else "", None
    effective = effective_clusters(table.shares)
    half = t_quantile(1 - (1 - LEVEL) / 2, effective) * error
    if effective < FEW_CLUSTERS:
        return (_cut(mean - half, within), _cut(mean + half, within)), "student-t", None
    resampled = studentised(table)
    ends = resampled.interval()
    if any(_cut(end, within) != end or not np.isfinite(end) for end in ends):
        # Such an end says nothing: no resample bounds it, or it is not possible. Rates do.
        other = _rates(parts, within, start) or (mean - half, mean + half)
        ends = _usable(ends[0], other[0], within), _usable(ends[1], other[1], within)
    return (_cut(ends[0], within), _cut(ends[1], within)), "bootstrap-t", resampled


def _rates(parts: "Parts", within: Range, start: float | None) -> tuple[float, float] | None:
    """None where the range is open, or holds not all values."""
    import numpy as np

    low, high = within
    if low is None or high is None or start is None or not low < high:
        return None
    present = [(values[~np.isnan(values)], clusters[~np.isnan(values)]) for values, clusters in parts]
    if any(((values < low) | (values > high)).any() for values, _ in present):
        return None
    return between_ends(present, low=low, zero=start, high=high)


def _all_at(values: "Floats", places: tuple[float | None, ...]) -> bool:
    import numpy as np

    known = [place for place in places if place is not None]
    return len(known) == len(places) and bool(np.isin(values, known).all())


def _usable(end: float, other: float, within: Range) -> float:
    import numpy as np

    return end if np.isfinite(end) and _cut(end, within) == end else other


def _cut(end: float, within: Range) -> float:
    low, high = within
    above = end if low is None else max(end, low)
    return above if high is None else min(above, high)
