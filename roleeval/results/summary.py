"""summary.json: every metric in every group with its interval, n and what is missing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from roleeval.results.scores import ScoreBook
from roleeval.stats import clustered_mean, mean_of_means


def summarise(book: ScoreBook, averages: Mapping[str, tuple[tuple[str, ...], ...]]) -> dict[str, Any]:
    """Means with 95 % intervals, clustered.

    Args:
        book: the scores.
        averages: name -> alternatives (see Benchmark.averages); left out for metrics that have none of them whole.

    Returns:
        {"metrics": {metric: {group: {"mean", "ci_low", "ci_high", "n", "missing", "clusters", "statuses"}}}}
    """
    metrics: dict[str, dict[str, Any]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for metric, group, values, clusters, statuses in book.columns():
        entry = asdict(clustered_mean(values, clusters)) | {"statuses": dict(sorted(statuses.items()))}
        metrics.setdefault(metric, {})[group] = entry
        columns.setdefault(metric, {})[group] = (values, clusters)
    for metric, groups in columns.items():
        for name, alternatives in averages.items():
            wanted = next((a for a in alternatives if all(group in groups for group in a)), None)
            if wanted is not None:
                estimate = mean_of_means([groups[group] for group in wanted])
                metrics[metric][name] = asdict(estimate) | {"mean_of": list(wanted)}
    return {"metrics": metrics}
