"""A score against what it costs: added parameters (in all, and for one more role), and the length of answers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry, RunResult
from roleeval.report.plots.canvas import Cast, Drawing, Look, figure, names
from roleeval.report.plots.said import caption
from roleeval.report.tables.heads import heads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[Entry | None]


def parameters(cast: Cast, info: MetricInfo, values: Values, title: str, name: str) -> Drawing:
    """A model's score over the parameters that it adds to its base."""
    run_set, rows = cast.run_set, cast.rows
    drawn = figure(8.4, 3.6)
    left, right = drawn.subplots(1, 2, sharey=True)
    _scatter(left, rows, cast.styles, values, lambda row: row.facts.parameters.adapters)
    _scatter(right, rows, cast.styles, values, lambda row: row.facts.parameters.per_added_role)
    left.set_xlabel("added parameters, all roles")
    right.set_xlabel("added parameters for one more role")
    left.set_ylabel(heads([info.name], run_set.infos)[0])
    left.set_title(title)
    _legend(drawn, left, len(rows))
    what = (
        "A model's score over the parameters that it adds to its base: to the left is cheaper; models with the same"
        " number stand side by side."
    )
    return Drawing(drawn, name, caption(run_set, what, [info], [v for v in values if v]))


def length(
    cast: Cast,
    infos: tuple[MetricInfo, MetricInfo],
    values: tuple[Values, Values],
    title: str,
    name: str,
) -> Drawing:
    """A model's score over the length of its answers; recall and many judges reward length."""
    run_set, rows = cast.run_set, cast.rows
    score, size = infos
    drawn = figure(5.6, 3.6)
    axes = drawn.subplots()
    for row_name, look, entry, long in zip(names(rows), cast.styles, *values, strict=True):
        if entry is None or long is None or entry.mean is None or long.mean is None:
            continue
        _cross(axes, long, entry, look.colour)
        axes.plot([long.mean], [entry.mean], look.marker, color=look.colour, label=row_name, linestyle="none")
    labels = heads([size.name, score.name], run_set.infos)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_title(title)
    axes.margins(0.12)
    _legend(drawn, axes, len(rows))
    what = "A model's score over the length of its answers, both with intervals."
    return Drawing(drawn, name, caption(run_set, what, infos, [v for each in values for v in each if v]))


def _cross(axes: "Axes", x: Entry, y: Entry, colour: str) -> None:
    if x.mean is None or y.mean is None:
        return
    if x.ci_low is not None and x.ci_high is not None:
        axes.hlines(y.mean, x.ci_low, x.ci_high, color=colour, linewidth=1.2, alpha=0.5)
    if y.ci_low is not None and y.ci_high is not None:
        axes.vlines(x.mean, y.ci_low, y.ci_high, color=colour, linewidth=1.2, alpha=0.5)


def _scatter(
    axes: "Axes",
    rows: Sequence[RunResult],
    styles: Sequence[Look],
    values: Values,
    of: Callable[[RunResult], int | None],
) -> None:
    """Scores over a number of parameters; models with the same number stand side by side."""
    counts = [of(row) for row in rows]
    most = max((count or 0 for count in counts), default=0)
    axes.set_xscale("symlog", linthresh=10, linscale=0.7)
    for place, (row_name, look, entry) in enumerate(zip(names(rows), styles, values, strict=True)):
        count = counts[place]
        if entry is None or entry.mean is None or count is None:
            continue
        step = counts[:place].count(count) - (counts.count(count) - 1) / 2
        x = count * 1.2**step if count else 1.7 * step
        if entry.ci_low is not None and entry.ci_high is not None:
            axes.vlines(x, entry.ci_low, entry.ci_high, color=look.colour, linewidth=2, alpha=0.5)
        axes.plot([x], [entry.mean], look.marker, color=look.colour, label=row_name, linestyle="none")
    axes.set_xlim(-9, max(most * 4, 12))
    powers = [10**n for n in range(1, 13) if 10**n <= most * 4]
    powers = powers[:: 1 + len(powers) // 5]
    axes.set_xticks([0, *powers], ["0", *(_short(power) for power in powers)])
    axes.minorticks_off()
    axes.margins(y=0.12)


def _short(power: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if power >= size:
            return f"{power // size} {letter}"
    return str(power)


def _legend(drawn: "Figure", axes: "Axes", count: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=min(3, count))
