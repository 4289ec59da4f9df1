"""How far judges may be trusted: their agreement with each other, and what they make of injected faults."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roleeval.plain import plain
from roleeval.report.judge_card.measure import Agreement, Card
from roleeval.report.plots.canvas import GREY, Drawing, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^DvPX"


def agreement(cards: Sequence[Card], name: str) -> Drawing | None:
    """Krippendorff's alpha and Spearman's correlation of every two judges; None where no two judged the same."""
    pairs = {
        (*sorted((card.column, each.other)), each.criterion): each
        for card in cards
        for each in (*card.agreements, *card.people)
        if each.alpha is not None or each.ranks.spearman is not None
    }
    if not pairs:
        return None
    drawn = figure(8.2, 1.3 + 0.42 * len(pairs))
    axes = drawn.subplots(1, 2, sharey=True)
    lows = [0.0, *(end for each in pairs.values() for end in _lows(each))]
    labels = []
    for place, ((one, other, criterion), each) in enumerate(pairs.items()):
        labels.append(f"{_short(one)} – {_short(other)}\n{plain(criterion)}")
        _dot(axes[0], place, each.alpha, each.alpha_ci)
        _dot(axes[1], place, each.ranks.spearman, each.ranks.spearman_ci)
    for axis, title in zip(axes, ("Krippendorff's alpha", "Spearman's rank correlation"), strict=True):
        axis.set_title(title)
        axis.axvline(0, color=GREY, linewidth=1)
        axis.set_xlim(min(-0.1, *(low - 0.1 for low in lows)), 1.08)
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.4, -0.6)
    items = sorted({each.ranks.items for each in pairs.values()})
    many = f"{items[0]} to {items[-1]}" if len(items) > 1 else f"{items[0]}"
    words = "; ".join(f"{card.column}: {card.model}, prompts {card.prompts}" for card in cards)
    said = (
        f"{cards[0].benchmark}: Agreement of judges on the same answers, with 95 % intervals over clusters; 1 is full"
        f" agreement, 0 that of chance. n {many} answers a pair; {words}."
    )
    return Drawing(drawn, name, said)


def controls(card: Card, name: str) -> Drawing | None:
    """What a judge gives to answers with a fault in them, once and three times; None where none was asked about."""
    record = card.controls
    faults = [] if record is None else [each for each in record["faults"].items() if _measured(each[1])]
    if record is None or not faults:
        return None
    drawn = figure(5.8, 3.6)
    axes = drawn.subplots()
    for number, (fault, found) in enumerate(faults):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        doses = [(int(dose), node) for dose, node in found["doses"].items() if node["mean"] is not None]
        shift = 0.05 * (number - (len(faults) - 1) / 2)
        means = [node["mean"] for _, node in doses]
        label = f"{fault.replace('_', ' ')} ({found['verdict']})"
        axes.plot([dose + shift for dose, _ in doses], means, "-", marker=marker, color=colour, label=plain(label))
        for dose, node in doses:
            if node["ci_low"] is not None:
                axes.vlines(dose + shift, node["ci_low"], node["ci_high"], color=colour, linewidth=1.6, alpha=0.5)
    axes.set_xticks(sorted({int(dose) for _, found in faults for dose in found["doses"]}))
    axes.set_xlabel("how often the fault is in an answer")
    what = "points" if record["kind"] == "points" else "share in which the unmodified answer wins"
    axes.set_ylabel(f"{what} ({plain(str(record['metric']).rpartition('/')[2])})")
    axes.set_title(_short(card.column))
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    said = (
        f"{card.benchmark}: What the judge gives to answers with injected faults; a judge that sees a fault goes down"
        f" with its dose. 95 % intervals; n {record['answers']} answers; {card.column}: {card.model}, prompts"
        f" {card.prompts}."
    )
    return Drawing(drawn, name, said)


def _measured(fault: Mapping[str, Any]) -> bool:
    return any(node["mean"] is not None for node in fault["doses"].values())


def _lows(each: Agreement) -> list[float]:
    ends = [interval[0] for interval in (each.alpha_ci, each.ranks.spearman_ci) if interval]
    return ends + [value for value in (each.alpha, each.ranks.spearman) if value is not None]


def _dot(axes: "Axes", place: int, value: float | None, ends: tuple[float, float] | None) -> None:
    if value is None:
        return
    if ends is not None:
        axes.hlines(place, *ends, color=_COLOURS[0], linewidth=2, alpha=0.55)
    axes.plot([value], [place], "o", color=_COLOURS[0])
    axes.annotate(f"{value:.2f}", (value, place), xytext=(0, 6), textcoords="offset points", ha="center", size=7)


def _short(column: str) -> str:
    return plain(column.removeprefix("judge/").partition("@")[0])
