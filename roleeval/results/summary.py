"""summary.json: every metric in every group with its interval, n and what is missing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from roleeval.results.scores import ScoreBook
from roleeval.stats import Estimate, clustered_mean, mean_of_means


def summarise(book: ScoreBook, averages: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Means with 95 % intervals, clustered.

    Args:
        book: the scores.
        averages: name -> groups whose means are averaged; left out for metrics that lack one of the groups.

    Returns:
        {"metrics": {metric: {group: {"mean", "ci_low", "ci_high", "n", "missing", "clusters", "statuses"}}}}
    """
    metrics: dict[str, dict[str, Any]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for metric, group, values, clusters, statuses in book.columns():
        entry = _entry(clustered_mean(values, clusters)) | {"statuses": dict(sorted(statuses.items()))}
        metrics.setdefault(metric, {})[group] = entry
        columns.setdefault(metric, {})[group] = (values, clusters)
    for metric, groups in columns.items():
        for name, wanted in averages.items():
            if all(group in groups for group in wanted):
                estimate = mean_of_means([groups[group] for group in wanted])
                metrics[metric][name] = _entry(estimate) | {"mean_of": list(wanted)}
    return {"metrics": metrics}


def _entry(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)
