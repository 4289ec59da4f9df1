"""summary.json: every metric in every group with its interval, n and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from roleeval.results.scores import ScoreBook
from roleeval.stats import clustered_mean, mean_of_means


def summarise(
    book: ScoreBook,
    averages: Mapping[str, tuple[tuple[str, ...], ...]],
    ranges: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Means with 95 % intervals, clustered.

    Args:
        book: the scores.
        averages: name -> alternatives (see Benchmark.averages); left out for metrics that have none of them whole.
        ranges: metric -> (worst, best) possible value; such metrics get "bounds": what their mean would be if every
            missing value were the worst or the best one.

    Returns:
        {"metrics": {metric: {group: {"mean", "ci_low", "ci_high", "n", "missing", "clusters", "statuses"}}}}
    """
    metrics: dict[str, dict[str, Any]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for metric, group, values, clusters, statuses in book.columns():
        entry = asdict(clustered_mean(values, clusters)) | {"statuses": dict(sorted(statuses.items()))}
        if ranges and metric in ranges:
            entry["bounds"] = _bounds(entry, ranges[metric])
        metrics.setdefault(metric, {})[group] = entry
        columns.setdefault(metric, {})[group] = (values, clusters)
    for metric, groups in columns.items():
        for name, alternatives in averages.items():
            wanted = next((a for a in alternatives if all(group in groups for group in a)), None)
            if wanted is not None:
                estimate = mean_of_means([groups[group] for group in wanted])
                entry = asdict(estimate) | {"mean_of": list(wanted)}
                parts = [metrics[metric][group].get("bounds") for group in wanted]
                if all(parts):
                    entry["bounds"] = [sum(part[end] for part in parts) / len(parts) for end in (0, 1)]
                metrics[metric][name] = entry
    return {"metrics": metrics}


def _bounds(entry: Mapping[str, Any], ends: Sequence[float]) -> list[float]:
    rows = entry["n"] + entry["missing"]
    total = entry["mean"] * entry["n"] if entry["n"] else 0.0
    return [(total + entry["missing"] * end) / rows for end in ends]
