"""Statistics: the uncertainty of numbers, and conclusions from them. See docs/statistics.md."""

from roleeval.stats.agreement import RankCorrelation, Stability, krippendorff_alpha, rank_correlation, repeat_stability
from roleeval.stats.bootstrap import (
    FEW_CLUSTERS,
    LEVEL,
    RESAMPLES,
    Estimate,
    clustered_interval,
    clustered_mean,
    mean_of_means,
    pooled,
)
from roleeval.stats.bradley_terry import Rating, Ratings, bradley_terry
from roleeval.stats.comparisons import (
    Aggregate,
    Outcome,
    Settled,
    Verdict,
    Winner,
    cluster_codes,
    first_slot_rate,
    flip_rate,
    settle,
    settled,
    win_rate,
)
from roleeval.stats.length_control import length_controlled
from roleeval.stats.paired import Difference, conclusion, holm, paired_difference, separable
from roleeval.stats.variance import VarianceSplit, variance_split

__all__ = [
    "FEW_CLUSTERS",
    "LEVEL",
    "RESAMPLES",
    "Aggregate",
    "Difference",
    "Estimate",
    "Outcome",
    "RankCorrelation",
    "Rating",
    "Ratings",
    "Settled",
    "Stability",
    "VarianceSplit",
    "Verdict",
    "Winner",
    "bradley_terry",
    "cluster_codes",
    "clustered_interval",
    "clustered_mean",
    "conclusion",
    "first_slot_rate",
    "flip_rate",
    "holm",
    "krippendorff_alpha",
    "length_controlled",
    "mean_of_means",
    "paired_difference",
    "pooled",
    "rank_correlation",
    "repeat_stability",
    "separable",
    "settle",
    "settled",
    "variance_split",
    "win_rate",
]
