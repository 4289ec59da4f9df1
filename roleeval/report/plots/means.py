"""Means with their intervals, and paired differences from a reference as a forest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry
from roleeval.report.found.compare import RunSet
from roleeval.report.plots.canvas import GREY, Cast, Drawing, Look, figure, interval, model_axis
from roleeval.report.plots.said import caption
from roleeval.report.tables.columns import value_text
from roleeval.report.tables.differences import Comparison, signed
from roleeval.report.tables.heads import heads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _PANEL, _NAMES = 0.36, 2.6, 1.9  # inches
_ACROSS = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric in one group: the values of a set's rows, None where a row has none."""

    title: str
    info: MetricInfo
    entries: tuple[Entry | None, ...]


def means(cast: Cast, panels: Sequence[Panel], name: str) -> Drawing:
    """Dots with intervals: a panel for each metric, a line for each model."""
    drawn = _panels(cast, panels, signs=False)
    shown = [entry for panel in panels for entry in panel.entries if entry]
    what = "Means with their intervals."
    return Drawing(drawn, name, caption(cast.run_set, what, [panel.info for panel in panels], shown))


def forest(cast: Cast, comparison: Comparison, panels: Sequence[Panel], name: str) -> Drawing:
    """Differences from the reference; filled where the paired test finds one."""
    drawn = _panels(cast, panels, signs=True)
    shown = [entry for panel in panels for entry in panel.entries if entry]
    what = (
        f"Paired differences from {comparison.reference.label}, over the samples that both have; filled: higher or"
        " lower by the paired test, Holm-corrected for the number of models; hollow: not separable."
    )
    return Drawing(drawn, name, caption(cast.run_set, what, [panel.info for panel in panels], shown))


def _panels(cast: Cast, panels: Sequence[Panel], *, signs: bool) -> "Figure":
    rows = cast.rows
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    drawn = figure(_NAMES + _PANEL * across, down * (0.95 + _ROW * len(rows)))
    axes = drawn.subplots(down, across, sharey=True, squeeze=False)
    heads_of = _heads(cast.run_set, panels)
    for place, panel in enumerate(panels):
        _draw(axes[place // across][place % across], cast.styles, panel, heads_of[panel.info.name], signs=signs)
    for place in range(len(panels), down * across):
        axes[place // across][place % across].set_visible(False)
    for line in axes:
        model_axis(line[0], rows)
        for other in line[1:]:
            other.grid(visible=False, axis="y")
            other.spines["left"].set_visible(False)
            other.tick_params(axis="y", length=0)
    return drawn


def _heads(run_set: RunSet, panels: Sequence[Panel]) -> Mapping[str, str]:
    names = list(dict.fromkeys(panel.info.name for panel in panels))
    return dict(zip(names, heads(names, run_set.infos), strict=True))


def _draw(axes: "Axes", styles: Sequence[Look], panel: Panel, head: str, *, signs: bool) -> None:
    for place, (entry, look) in enumerate(zip(panel.entries, styles, strict=True)):
        if entry is None or entry.mean is None:
            continue
        told = not signs or (entry.test is not None and entry.test.conclusion in ("higher", "lower"))
        interval(axes, place, (entry.ci_low, entry.ci_high), colour=look.colour)
        face = look.colour if told else "white"
        axes.plot([entry.mean], [place], look.marker, color=look.colour, markerfacecolor=face, markeredgewidth=1.3)
        said = signed(panel.info.unit, entry.mean) if signs else value_text(panel.info.unit, entry.mean, decimals=3)
        axes.annotate(said, (entry.mean, place), xytext=(0, 6), textcoords="offset points", ha="center", size=7)
    if signs:
        axes.axvline(0, color=GREY, linewidth=1)
    axes.set_title(panel.title)
    axes.set_xlabel(_folded(head))
    axes.margins(x=0.14)


def _folded(head: str, most: int = 34) -> str:
    lines = [""]
    for word in head.split():
        if lines[-1] and len(lines[-1]) + len(word) >= most and word not in "↑↓":
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
