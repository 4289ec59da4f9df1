"""report.png: the headline groups as dots with their intervals, one panel a group, one line a run."""

import io
from collections.abc import Sequence

from roleeval.report.found.collect import Collection, RunResult
from roleeval.report.found.compare import RunSet, caption, run_sets
from roleeval.report.found.groups import headline_groups
from roleeval.report.render.markdown import plain
from roleeval.report.tables.columns import headline, is_f1

_ROW_INCHES, _PANEL_INCHES = 0.42, 4.6
_NAME_LETTERS = 32


def png(collection: Collection) -> bytes:
    """Draws the largest set of comparable runs; b"" where no run has an F1 to show."""
    sets = [s for s in run_sets(collection.rows) if _panels(s.rows)]
    if not sets:
        return b""
    return _draw(max(sets, key=lambda s: len(s.rows)))


def _panels(runs: Sequence[RunResult]) -> list[tuple[str, str]]:
    """(group, metric) pairs: each headline group with the first F1 of the headline that a run has there."""
    panels = []
    for group in headline_groups(runs):
        metrics = headline(m for run in runs for m, groups in run.entries.items() if group in groups)
        # Google's recipe where it is there: pltrdy's F1 counts distinct words only.
        f1 = [m for m in metrics if is_f1(m)]
        if f1:
            panels.append((group, next((m for m in f1 if "google" in m), f1[0])))
    return panels


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"


def _draw(run_set: RunSet) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs, panels = list(run_set.rows), _panels(run_set.rows)
    labels = [_short(plain(run.model)) for run in runs]
    height = 1.9 + _ROW_INCHES * len(runs)
    figure = Figure(figsize=(_PANEL_INCHES * len(panels) + 1.2, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (group, metric) in zip(axes, panels, strict=True):
        for row, run in enumerate(runs):
            entry = run.entries.get(metric, {}).get(group)
            if entry is None or entry.mean is None:
                continue
            if entry.ci_low is not None and entry.ci_high is not None:
                axis.plot([entry.ci_low, entry.ci_high], [row, row], color="#4c72b0", linewidth=2.2, alpha=0.55)
            axis.plot([entry.mean], [row], "o", color="#2a4b7c", markersize=6)
            axis.annotate(
                f"{entry.mean:.3f}", (entry.mean, row), xytext=(0, 7), textcoords="offset points", ha="center", size=8
            )
        axis.set_title(plain(group), size=10, parse_math=False)
        axis.set_xlabel(metric, size=9, parse_math=False)
        axis.set_xlim(left=0)
        axis.margins(x=0.12)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(runs)), labels, parse_math=False)  # a "$" in a name is a dollar
    axes[0].set_ylim(len(runs) - 0.4, -0.6)
    clusters = {e.clusters for run in runs for g, m in panels if (e := run.entries.get(m, {}).get(g)) is not None}
    figure.supxlabel(plain(caption(run_set, clusters)), size=7, color="#555555", wrap=True, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
