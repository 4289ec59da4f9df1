"""Statistics: how sure a number is."""

from roleeval.stats.bootstrap import LEVEL, RESAMPLES, Estimate, clustered_mean, mean_of_means

__all__ = ["LEVEL", "RESAMPLES", "Estimate", "clustered_mean", "mean_of_means"]
