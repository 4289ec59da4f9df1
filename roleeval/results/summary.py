"""summary.json: every metric in every group with its interval, n and missing values; and every MetricInfo."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from roleeval.metrics import MetricInfo
from roleeval.results.scores import ScoreBook
from roleeval.stats import clustered_mean, mean_of_means, pooled


def summarise(
    book: ScoreBook,
    averages: Mapping[str, tuple[tuple[str, ...], ...]],
    infos: Mapping[str, MetricInfo],
) -> dict[str, Any]:
    """Means with 95 % intervals, clustered.

    Args:
        book: the scores.
        averages: name -> alternatives (see Benchmark.averages); left out for metrics that have none of them whole.
            Entries have "mean_of", and "over_rows" where the groups' rows are pooled.
        infos: metric -> what it is, of all metrics in the book. Judges' opinions get "bounds": what their mean would
            be if every missing value were the worst or the best possible one.

    Returns:
        {"metrics": {metric: {group: {"mean", "ci_low", "ci_high", "n", "missing", "clusters", "method", "statuses"}}},
        "info": {metric: see MetricInfo.to_json}}
    """
    metrics: dict[str, dict[str, Any]] = {}
    columns: dict[str, dict[str, Any]] = {}
    for metric, group, values, clusters, statuses in book.by_metric():
        entry = asdict(clustered_mean(values, clusters, within=infos[metric].range)) | {
            "statuses": dict(sorted(statuses.items()))
        }
        if (ends := infos[metric].ends) and infos[metric].bounds_apply:
            entry["bounds"] = _bounds(entry, ends)
        metrics.setdefault(metric, {})[group] = entry
        columns.setdefault(metric, {})[group] = (values, clusters)
    for metric, groups in columns.items():
        for name, alternatives in averages.items():
            split = [(tuple("+".join(a).split("+")), "+" in "".join(a)) for a in alternatives]
            wanted, over_rows = next((a for a in split if all(group in groups for group in a[0])), ((), False))
            if wanted:
                rows = [groups[group] for group in wanted]
                estimate = mean_of_means(pooled(rows) if over_rows else rows, within=infos[metric].range)
                entry = asdict(estimate) | {"mean_of": list(wanted)} | ({"over_rows": True} if over_rows else {})
                parts = [metrics[metric][group].get("bounds") for group in wanted]
                if all(parts):
                    shares = [len(values) if over_rows else 1 for values, _ in rows]
                    entry["bounds"] = [
                        sum(part[end] * share for part, share in zip(parts, shares, strict=True)) / sum(shares)
                        for end in (0, 1)
                    ]
                metrics[metric][name] = entry
    return {"metrics": metrics, "info": {metric: infos[metric].to_json() for metric in metrics}}


def _bounds(entry: Mapping[str, Any], ends: Sequence[float]) -> list[float]:
    rows = entry["n"] + entry["missing"]
    total = entry["mean"] * entry["n"] if entry["n"] else 0.0
    return [(total + entry["missing"] * end) / rows for end in ends]
