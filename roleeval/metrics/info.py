"""What a metric declares, so that tables, plots, exports and gates never guess from a name.

Whatever makes rows (a metric, a judge, a benchmark that scores itself) declares a MetricInfo for every name;
summary.json has the infos under "info", next to the values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Any, Literal, get_args

from roleeval.errors import ConfigError
from roleeval.types import Score

Unit = Literal["fraction", "points", "words", "characters", "count", "rank", "rate", "number"]
Per = Literal["sample", "cluster"]

LAST = 1000  # the position of metrics that have no place of their own among a table's columns


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric, for readers of result folders.

    Attributes:
        name: as in score rows; the judge stage prefixes it with a judge's column name.
        label: for people ("ROUGE-L recall (published recipe)").
        unit: fraction (0 to 1; shares of answers too), points (of a judge's scale), words, characters, count, rank
            (1 is the best), rate (so many of one thing per another, as the label says), number (anything else).
        recipe: how it is computed, in one sentence.
        source: paper, section or package.
        low, high: ends of its range; None where it is open.
        higher_is_better: None where neither direction is.
        headline: shown in the headline tables; False: a diagnostic, only in the tables of all metrics.
        primary: represents its maker where a single metric is shown: a plot, a judge's controls and card.
        per: one value per sample, or per cluster (then n counts clusters and not answers).
        position: of its column; metrics with the same position are ordered by name.
        read_with: metrics without which it is misleading: shown only where a table has all of them.
        caution: what a reader must know wherever it is shown, as a sentence that follows its name.
        judged: a judge's opinion; where verdicts are missing, a summary has bounds. The judge stage sets it.
        habit: about the judge itself (flips): n counts what was asked (or found) and not answers, no bounds.
        series: what it is one point of, with others of its maker ("rounds of a session"); plots draw them as a line.
        place: of that point.
    """

    name: str
    _: KW_ONLY
    label: str
    unit: Unit
    recipe: str
    source: str = ""
    low: float | None = None
    high: float | None = None
    higher_is_better: bool | None = None
    headline: bool = False
    primary: bool = False
    per: Per = "sample"
    position: int = LAST
    read_with: tuple[str, ...] = ()
    caution: str = ""
    judged: bool = False
    habit: bool = False
    series: str = ""
    place: int = 0

    def __post_init__(self) -> None:
        for key, value, allowed in (("unit", self.unit, get_args(Unit)), ("per", self.per, get_args(Per))):
            if value not in allowed:
                raise ConfigError(f"MetricInfo {self.name!r}: {key} is {value!r}; give one of {', '.join(allowed)}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConfigError(f"MetricInfo {self.name!r}: low={self.low} is above high={self.high}; swap them")

    @property
    def range(self) -> tuple[float | None, float | None]:
        """The lowest and the highest possible value; None where it is open."""
        return self.low, self.high

    @property
    def ends(self) -> tuple[float, float] | None:
        """The worst and the best possible value; None where the range is open or has no direction."""
        if self.low is None or self.high is None or self.higher_is_better is None:
            return None
        return (self.low, self.high) if self.higher_is_better else (self.high, self.low)

    @property
    def bounds_apply(self) -> bool:
        """Whether a mean has bounds where values are missing: judges' opinions with a worst and a best value."""
        return self.judged and not self.habit and self.ends is not None

    def of_judge(self, prefix: str) -> "MetricInfo":
        """The same under a judge's column name: "overall" becomes "<prefix>/overall"."""
        companions = tuple(f"{prefix}/{name}" for name in self.read_with)
        return replace(self, name=f"{prefix}/{self.name}", read_with=companions, judged=True)

    def to_json(self) -> dict[str, Any]:
        """The value under its name in summary.json's "info"."""
        node = asdict(self)
        return node if self.series else {key: value for key, value in node.items() if key not in ("series", "place")}

    @classmethod
    def from_json(cls, node: Mapping[str, Any]) -> "MetricInfo":
        """Reads what `to_json` gave, of this version or another: unknown keys are left out.

        Raises:
            ConfigError: a value is not possible.
            TypeError: name, label, unit or recipe is missing.
        """
        known = {key: node[key] for key in cls.__slots__ if key in node}
        return cls(**known | {"read_with": tuple(node.get("read_with", ()))})


def infos_of(maker: Any, *arguments: Any, key: str = "") -> dict[str, MetricInfo]:
    """Name -> what a metric, a judge or a benchmark that scores itself declares, in its order.

    Args:
        maker: whose `infos`.
        arguments: for `infos`; a judge takes its opponents.
        key: of the configuration, for messages.

    Raises:
        ConfigError: it declares nothing.
    """
    infos = maker.infos(*arguments) if hasattr(maker, "infos") else ()
    if not infos:
        raise ConfigError(
            f"{_maker(maker, key)} declares no metric: give it a method infos() that returns a MetricInfo for every"
            " metric that it scores (docs/metrics.md, Adding one)"
        )
    return {info.name: info for info in infos}


def check_declared(maker: Any, rows: Iterable[Score], infos: Mapping[str, MetricInfo], *, key: str = "") -> None:
    """Refuses rows that no reader of a summary could place.

    Raises:
        ConfigError: a row's metric is not declared; names the class and the metric.
    """
    for row in rows:
        if row.metric not in infos:
            raise ConfigError(
                f"{_maker(maker, key)} scored the metric {row.metric!r}, which it does not declare; add"
                f" MetricInfo({row.metric!r}, label=..., unit=..., recipe=...) to what its infos() returns"
                " (docs/metrics.md, Adding one)"
            )


def primary(infos: Sequence[MetricInfo]) -> MetricInfo:
    """The one that represents all of them: the first primary one, else the first."""
    return next((info for info in infos if info.primary), infos[0])


def _maker(maker: Any, key: str) -> str:
    kind = f"{type(maker).__module__}.{type(maker).__qualname__}"
    return f"{key}: {kind}" if key else kind
