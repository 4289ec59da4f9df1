"""Statistics: the uncertainty of numbers, and conclusions from them. See docs/statistics.md."""

from roleeval.stats.agreement import (
    RankCorrelation,
    Stability,
    alpha_interval,
    krippendorff_alpha,
    rank_correlation,
    repeat_stability,
)
from roleeval.stats.bootstrap import FEW_CLUSTERS, LEVEL, RESAMPLES
from roleeval.stats.bradley_terry import RESAMPLES as RATING_RESAMPLES
from roleeval.stats.bradley_terry import Rating, Ratings, bradley_terry
from roleeval.stats.clusters import cluster_codes, pooled
from roleeval.stats.comparisons import (
    Aggregate,
    Outcome,
    Settled,
    Verdict,
    Winner,
    first_slot_rate,
    flip_rate,
    settle,
    settled,
    win_rate,
)
from roleeval.stats.group_ranks import GroupRanks, group_rank_correlation
from roleeval.stats.length_control import length_controlled
from roleeval.stats.means import OPEN, Estimate, Method, Range, clustered_mean, mean_of_means
from roleeval.stats.paired import (
    Difference,
    conclusion,
    detectable,
    holm,
    paired_difference,
    separable,
)
from roleeval.stats.planning import WIDEST, Foreseen, Spread, foreseen, spread_of
from roleeval.stats.variance import VarianceSplit, variance_split

__all__ = [
    "FEW_CLUSTERS",
    "LEVEL",
    "OPEN",
    "RATING_RESAMPLES",
    "RESAMPLES",
    "WIDEST",
    "Aggregate",
    "Difference",
    "Estimate",
    "Foreseen",
    "GroupRanks",
    "Method",
    "Outcome",
    "Range",
    "RankCorrelation",
    "Rating",
    "Ratings",
    "Settled",
    "Spread",
    "Stability",
    "VarianceSplit",
    "Verdict",
    "Winner",
    "alpha_interval",
    "bradley_terry",
    "cluster_codes",
    "clustered_mean",
    "conclusion",
    "detectable",
    "first_slot_rate",
    "flip_rate",
    "foreseen",
    "group_rank_correlation",
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
    "spread_of",
    "variance_split",
    "win_rate",
]
