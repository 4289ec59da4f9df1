"""report.png: the headline groups as dots with their intervals, one panel a group, one line a run."""

import io
from collections.abc import Sequence

from roleeval.metrics import MetricInfo, primary
from roleeval.plain import plain
from roleeval.report.found.collect import Collection
from roleeval.report.found.compare import RunSet, caption, run_sets
from roleeval.report.found.groups import headline_groups
from roleeval.report.tables.columns import headline, value_text

_ROW_INCHES, _PANEL_INCHES = 0.42, 4.6
_NAME_LETTERS = 32


def png(collection: Collection) -> bytes:
    """Draws the largest set of comparable runs; b"" where no run has a value to show."""
    sets = [s for s in run_sets(collection.rows) if _panels(s)]
    if not sets:
        return b""
    return _draw(max(sets, key=lambda s: len(s.rows)))


def _panels(run_set: RunSet) -> list[tuple[str, MetricInfo]]:
    """Each headline group with the metric of its headline that represents the others and that a run has there.

    That is the first primary one, else the first whose higher values are better and that can be read alone.
    """
    infos, panels = run_set.infos, []
    for group in headline_groups(run_set.rows):
        names = headline((m for run in run_set.rows for m, groups in run.entries.items() if group in groups), infos)
        better = [infos[name] for name in names if infos[name].higher_is_better and not infos[name].read_with]
        if better:
            panels.append((group, primary(better)))
    return panels


def _short(names: Sequence[str]) -> list[str]:
    """The names' beginnings where those tell the rows apart, else what was added to a name on a line of its own."""
    cut = [name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…" for name in names]
    return cut if len(set(cut)) == len(set(names)) else [name.replace(" (", "\n(", 1) for name in names]


def _draw(run_set: RunSet) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs, panels = list(run_set.rows), _panels(run_set)
    labels = _short([plain(run.label) for run in runs])
    height = 1.9 + _ROW_INCHES * len(runs)
    figure = Figure(figsize=(_PANEL_INCHES * len(panels) + 1.2, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (group, info) in zip(axes, panels, strict=True):
        for row, run in enumerate(runs):
            entry = run.entries.get(info.name, {}).get(group)
            if entry is None or entry.mean is None:
                continue
            if entry.ci_low is not None and entry.ci_high is not None:
                axis.plot([entry.ci_low, entry.ci_high], [row, row], color="#4c72b0", linewidth=2.2, alpha=0.55)
            axis.plot([entry.mean], [row], "o", color="#2a4b7c", markersize=6)
            value = value_text(info.unit, entry.mean, decimals=3)
            axis.annotate(value, (entry.mean, row), xytext=(0, 7), textcoords="offset points", ha="center", size=8)
        axis.set_title(plain(group), size=10, parse_math=False)
        axis.set_xlabel(info.name, size=9, parse_math=False)
        if info.low is not None:
            axis.set_xlim(left=info.low)
        axis.margins(x=0.12)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(runs)), labels, parse_math=False)  # a "$" in a name is a dollar
    axes[0].set_ylim(len(runs) - 0.4, -0.6)
    clusters = {e.clusters for run in runs for g, m in panels if (e := run.entries.get(m.name, {}).get(g))}
    figure.supxlabel(plain(caption(run_set, clusters)), size=7, color="#555555", wrap=True, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
