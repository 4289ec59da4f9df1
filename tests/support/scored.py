"""Finished runs with score rows, written by hand: summary.json and scores.parquet that agree with each other."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roleeval.stats import clustered_mean, mean_of_means

# metric -> group -> sample -> value (None: missing). A sample is "role/number".
Values = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def cluster(sample: str) -> str:
    return sample.partition("/")[0]


def write(make_run: Callable[..., Path], model: str, values: Values, *, average: str = "", **options: Any) -> Path:
    """A run with these rows; `average` is a group that is the mean of all others of its metric."""
    metrics: dict[str, Any] = {}
    frames = []
    for metric, groups in values.items():
        columns = {}
        for group, rows in groups.items():
            frame = pd.DataFrame({"sample": list(rows), "value": pd.array(list(rows.values()), dtype="float64")})
            frame["cluster"] = [cluster(sample) for sample in rows]
            frame["metric"], frame["group"] = metric, group
            frames.append(frame)
            names = {
                name: number for number, name in enumerate(sorted({cluster(s) for g in groups.values() for s in g}))
            }
            columns[group] = (frame["value"].to_numpy(dtype=float), np.array([names[c] for c in frame["cluster"]]))
            ok = int(frame["value"].notna().sum())
            statuses = {"ok": ok} | ({"engine_failed": len(rows) - ok} if ok < len(rows) else {})
            metrics.setdefault(metric, {})[group] = entry(clustered_mean(*columns[group], within=(0.0, 1.0))) | {
                "statuses": statuses
            }
        if average:
            mean = entry(mean_of_means(list(columns.values()), within=(0.0, 1.0)))
            metrics[metric][average] = mean | {"statuses": {}, "mean_of": list(columns)}
    folder = make_run(model, metrics, **options)
    pd.concat(frames).astype({"cluster": "category"}).to_parquet(folder / "scores.parquet")
    return folder


def entry(estimate: Any) -> dict[str, Any]:
    return {
        name: getattr(estimate, name) for name in ("mean", "ci_low", "ci_high", "n", "missing", "clusters", "method")
    }
