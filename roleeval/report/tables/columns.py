"""What tables take from MetricInfo: the order of columns, which are in the headline, and how a value is written."""

from collections.abc import Iterable, Mapping

from roleeval.metrics import MetricInfo, Unit

_HEADLINE_WIDTH = 8
_DECIMALS: Mapping[Unit, int] = {"words": 1, "characters": 1, "points": 2}
_MOST_DECIMALS = 4

Infos = Mapping[str, MetricInfo]


def ordered(names: Iterable[str], infos: Infos) -> list[str]:
    """Metric names in the order of a table's columns."""
    return sorted(set(names), key=lambda name: (infos[name].position, name))


def headline(names: Iterable[str], infos: Infos) -> list[str]:
    """The metrics of the headline; the first few where none of them says that it belongs there."""
    columns = ordered(names, infos)
    return [name for name in columns if infos[name].headline] or columns[:_HEADLINE_WIDTH]


def lower_is_better(names: Iterable[str], infos: Infos) -> list[str]:
    """The metrics of which less is better, which no value shows by itself."""
    return [name for name in names if infos[name].higher_is_better is False]


def value_text(unit: Unit, value: float, *, decimals: int = _MOST_DECIMALS) -> str:
    """A value as tables print it: lengths with one decimal, points with two, all others with four (or `decimals`)."""
    return f"{value:.{min(decimals, _DECIMALS.get(unit, _MOST_DECIMALS))}f}"
