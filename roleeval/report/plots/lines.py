"""Lines of a model over an order: the dimensions of a judge, the parts of a session, the rounds of a scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roleeval.metrics import MetricInfo
from roleeval.plain import plain
from roleeval.report.found.collect import Entry
from roleeval.report.found.compare import clusters_word
from roleeval.report.plots.canvas import Cast, Drawing, Look, figure, names
from roleeval.report.plots.said import caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 3  # an interval over fewer clusters would be the whole picture


@dataclass(frozen=True, slots=True)
class Course:
    """Values over an order.

    Attributes:
        title: of the plot.
        ticks: what the places are called.
        entries: [row][place]; None where there is no value.
        along: the name of the order.
        measured: the name of the values.
    """

    title: str
    ticks: tuple[str, ...]
    entries: tuple[tuple[Entry | None, ...], ...]
    along: str
    measured: str


def dimensions(cast: Cast, course: Course, infos: Sequence[MetricInfo], name: str) -> Drawing:
    """A panel for each family: its models over the dimensions, all others in grey."""
    run_set, rows = cast.run_set, cast.rows
    families = list(dict.fromkeys(row.family for row in rows))
    across = min(3, len(families))
    down = -(-len(families) // across)
    drawn = figure(0.8 + 2.9 * across, down * 2.9)
    panels = drawn.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for place, family in enumerate(families):
        axes = panels[place // across][place % across]
        for row, entries in zip(rows, course.entries, strict=True):
            if row.family != family:
                axes.plot(*_points(entries), color="#c8c8c8", linewidth=1)
        shift = 0
        for row, row_name, entries in zip(rows, names(rows), course.entries, strict=True):
            if row.family == family:
                _line(axes, entries, cast.looks[row.label], row_name, 0.06 * shift)
                shift += 1
        mine = [name for row, name in zip(rows, names(rows), strict=True) if row.family == family]
        alone = len(mine) == 1 and family not in mine[0]
        axes.set_title(f"{plain(family)}: {mine[0]}" if alone else mine[0] if len(mine) == 1 else plain(family))
        axes.set_xticks(range(len(course.ticks)), [_broken(tick) for tick in course.ticks], rotation=30, ha="right")
        axes.margins(x=0.12, y=0.2)
        if shift > 1:
            axes.legend(loc="lower left")
    for place in range(len(families), down * across):
        panels[place // across][place % across].set_visible(False)
    for line in panels:
        line[0].set_ylabel(course.measured)
    shown = [entry for each in course.entries for entry in each if entry]
    what = f"{course.title}: each family's models over a judge's dimensions, the other families in grey."
    return Drawing(drawn, name, caption(run_set, what, infos, shown))


def course_plot(cast: Cast, course: Course, infos: Sequence[MetricInfo], name: str, *, what: str) -> Drawing:
    """All models over an order, with intervals."""
    run_set, rows = cast.run_set, cast.rows
    drawn = figure(6.4, 3.6)
    axes = drawn.subplots()
    width = 0.5 / max(1, len(rows))
    for place, (row, row_name, entries) in enumerate(zip(rows, names(rows), course.entries, strict=True)):
        _line(axes, entries, cast.looks[row.label], row_name, (place - (len(rows) - 1) / 2) * width)
    axes.set_xticks(range(len(course.ticks)), course.ticks)
    axes.set_xlabel(course.along)
    axes.set_ylabel(course.measured)
    axes.set_title(course.title)
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(rows)))
    shown = [entry for each in course.entries for entry in each if entry]
    if any(entry.clusters < _FEW for entry in shown):
        what = f"{what} No intervals over fewer than three {clusters_word(run_set)}."
    return Drawing(drawn, name, caption(run_set, what, infos, shown))


def _points(entries: Sequence[Entry | None]) -> tuple[list[int], list[float]]:
    there = [(place, entry.mean) for place, entry in enumerate(entries) if entry and entry.mean is not None]
    return [place for place, _ in there], [mean for _, mean in there]


def _line(axes: "Axes", entries: Sequence[Entry | None], look: Look, label: str, shift: float) -> None:
    places, means = _points(entries)
    moved = [place + shift for place in places]
    axes.plot(moved, means, look.line, marker=look.marker, color=look.colour, label=label)
    for place, entry in enumerate(entries):
        if entry and entry.clusters >= _FEW and entry.ci_low is not None and entry.ci_high is not None:
            axes.vlines(place + shift, entry.ci_low, entry.ci_high, color=look.colour, linewidth=1.6, alpha=0.5)


def _broken(label: str) -> str:
    words = label.split()
    half = (len(words) + 1) // 2
    return "\n".join(" ".join(part) for part in (words[:half], words[half:]) if part)
