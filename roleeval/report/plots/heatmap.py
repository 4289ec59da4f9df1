"""Roles (or books, seeds, ...) by models: where a mean comes from."""

from collections.abc import Sequence

from roleeval.metrics import MetricInfo
from roleeval.plain import plain
from roleeval.report.found.collect import Entry, RunResult
from roleeval.report.found.compare import RunSet, clusters_word
from roleeval.report.found.rows import MetricFrames
from roleeval.report.plots.canvas import Drawing, figure, names
from roleeval.report.plots.said import caption
from roleeval.report.tables.columns import value_text
from roleeval.report.tables.heads import heads

_MOST = 40


def by_cluster(frames: Sequence[MetricFrames], name: str, parts: Sequence[str]) -> dict[str, list[float]]:
    """Cluster -> its mean for each model, NaN where a model has none: the plain mean over the parts of a group."""
    import pandas as pd

    columns = []
    for frame in frames:
        found = [frame[name, part].groupby("cluster")["value"].mean() for part in parts if (name, part) in frame]
        columns.append(pd.concat(found, axis=1).mean(axis=1) if found else pd.Series(dtype=float))
    table = pd.concat(columns, axis=1).sort_index()
    values = table.to_numpy(dtype=float).tolist()
    return dict(zip(map(str, table.index), values, strict=True))


def heatmap(
    run_set: RunSet,
    rows: Sequence[RunResult],
    info: MetricInfo,
    cells: dict[str, list[float]],
    entries: Sequence[Entry],
    group: str,
    name: str,
) -> Drawing:
    """A colour and a number for each cluster and model; the clusters that differ most where there are many."""
    import numpy as np

    word = clusters_word(run_set)
    kept = sorted(cells, key=lambda cluster: -_spread(cells[cluster]))[:_MOST]
    kept.sort(key=lambda cluster: -_mean(cells[cluster]))
    values = np.array([cells[cluster] for cluster in kept])
    drawn = figure(2.6 + 0.95 * len(rows), 1.6 + 0.3 * len(kept))
    axes = drawn.subplots()
    image = axes.imshow(values, aspect="auto", cmap="cividis")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    for (y, x), value in np.ndenumerate(values):
        if value == value:
            dark = high > low and (value - low) / (high - low) < 0.55
            text = value_text(info.unit, value, decimals=3)
            axes.text(x, y, text, ha="center", va="center", size=7, color="white" if dark else "black")
    axes.set_xticks(range(len(rows)), names(rows), rotation=30, ha="right")
    axes.set_yticks(range(len(kept)), [plain(cluster)[:32] for cluster in kept])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(group)
    drawn.colorbar(image, ax=axes, label=heads([info.name], run_set.infos)[0], shrink=0.9)
    shown = f"the {len(kept)} of {len(cells)} {word} in which models differ most" if len(kept) < len(cells) else word
    what = f"Each model's mean in {shown}; a cell rests on few answers and has no interval."
    return Drawing(drawn, name, caption(run_set, what, [info], entries))


def _mean(values: Sequence[float]) -> float:
    there = [value for value in values if value == value]
    return sum(there) / len(there) if there else 0.0


def _spread(values: Sequence[float]) -> float:
    there = [value for value in values if value == value]
    return max(there) - min(there) if there else 0.0
