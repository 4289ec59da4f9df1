"""What the gate tolerates: a policy, from a YAML file or the defaults. docs/regression.md lists its keys.

alpha: 0.05
metrics: [rougeL_f1_google_max, in_voice]       none: the headline metrics that have a direction
margins: {in_voice: 0.05, "rougeL_*": "5 %"}    the loss of a mean that is accepted, by metric
units: {fraction: 0.02, points: "3 % of range"} the same for all other metrics, by unit
guards: {empty: 0.02, engine_failed: 0}         by how much a share of broken items may rise
inconclusive: blocks                            or: passes
allow: [decoding]                               what may differ between the two runs
by_group: false                                 true: languages and splits are tested apart
exact: false                                    true: any changed text fails
worst: 10                                       how many items are shown
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from roleeval.errors import ConfigError
from roleeval.metrics import MetricInfo, Unit

Inconclusive = Literal["blocks", "passes"]
# What two runs must share, unless the policy allows that it differs.
ASPECTS = ("data", "items", "prompts", "protocol", "helpers", "decoding", "judge", "metrics")
GUARDS = ("engine_failed", "empty", "truncated_reasoning", "refused", "cut_off", "coverage", "cluster")
_MARGIN = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*%\s*(of\s+(?:the\s+)?range)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Margin:
    """A loss that is accepted: an amount in the metric's unit, or a share of the baseline's mean or of the range."""

    amount: float
    of: Literal["unit", "baseline", "range"] = "unit"

    def resolve(self, info: MetricInfo, baseline: float) -> float:
        """The margin in the metric's unit; a share of an open range is a share of the baseline's mean.

        Args:
            info: the metric.
            baseline: its mean in the baseline.
        """
        if self.of == "unit":
            return self.amount
        if self.of == "range" and info.low is not None and info.high is not None:
            return self.amount * (info.high - info.low)
        return self.amount * abs(baseline)

    def __str__(self) -> str:
        if self.of == "unit":
            return f"{self.amount:g}"
        return f"{self.amount * 100:g} %" + (" of range" if self.of == "range" else "")


_UNITS: Mapping[Unit, Margin] = {
    "fraction": Margin(0.02),
    "points": Margin(0.03, "range"),
    "rank": Margin(0.05, "baseline"),
    "words": Margin(0.1, "baseline"),
    "characters": Margin(0.1, "baseline"),
    "count": Margin(0.1, "baseline"),
    "rate": Margin(0.1, "baseline"),
    "number": Margin(0.05, "baseline"),
}
_LIMITS: Mapping[str, float] = {
    "engine_failed": 0.0,
    "empty": 0.02,
    "truncated_reasoning": 0.02,
    "refused": 0.02,
    "cut_off": 0.05,
    "coverage": 0.02,
    "cluster": 0.005,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the gate tests and tolerates.

    Attributes:
        alpha: probability of either error, each over all gated metrics and models.
        metrics: names, last parts of names or shell patterns; () is every headline metric that has a direction.
        margins: name, last part or pattern -> margin.
        units: unit -> margin of metrics that `margins` does not name.
        guards: guard -> by how much the share of such items may rise; for "cluster" the level of the tests of single
            clusters (clusters.py).
        inconclusive: whether an inconclusive result stops a merge.
        allow: aspects that may differ between the two runs.
        by_group: test languages and splits apart, instead of all rows of a metric together.
        exact: any changed text fails; for deterministic runs.
        worst: how many items are shown.
    """

    alpha: float = 0.05
    metrics: tuple[str, ...] = ()
    margins: Mapping[str, Margin] = field(default_factory=dict)
    units: Mapping[Unit, Margin] = field(default_factory=lambda: dict(_UNITS))
    guards: Mapping[str, float] = field(default_factory=lambda: dict(_LIMITS))
    inconclusive: Inconclusive = "blocks"
    allow: tuple[str, ...] = ()
    by_group: bool = False
    exact: bool = False
    worst: int = 10

    def gated(self, infos: Mapping[str, MetricInfo]) -> list[str]:
        """The names of the metrics that are tested, in the order of `infos`.

        Raises:
            ConfigError: a name of the policy is no metric's, or a metric that it names has no direction.
        """
        for name in (*self.metrics, *self.margins):
            if not any(matches(name, metric) for metric in infos):
                raise ConfigError(f"policy: no metric is called {name!r}{_near(name, _last_parts(infos))}")
        if not self.metrics:
            return [
                name
                for name, info in infos.items()
                if info.headline and info.higher_is_better is not None and not info.habit
            ]
        chosen = [name for name in infos if any(matches(each, name) for each in self.metrics)]
        plain = [each for each in self.metrics if not _is_pattern(each)]
        for name in chosen:
            if infos[name].higher_is_better is None and any(matches(each, name) for each in plain):
                raise ConfigError(
                    f"policy: {name} has no direction (neither more nor less is better), so nothing"
                    " would be a loss; leave it out of metrics"
                )
        return [name for name in chosen if infos[name].higher_is_better is not None]

    def margin(self, info: MetricInfo) -> Margin:
        """The margin of a metric: what the policy says of its name, else of its unit."""
        named = [margin for name, margin in self.margins.items() if matches(name, info.name)]
        exactly = [margin for name, margin in self.margins.items() if name == info.name]
        return (exactly or named or [self.units[info.unit]])[0]


def matches(pattern: str, metric: str) -> bool:
    """Whether a name of the policy is a metric's: its name, the last part of it, or a shell pattern of either."""
    return fnmatchcase(metric, pattern) or fnmatchcase(metric.rpartition("/")[2], pattern) or metric == pattern


def read_policy(file: Path) -> Policy:
    """Reads a policy.

    Raises:
        ConfigError: the file cannot be read, or has an unknown key or an impossible value; names it.
    """
    import yaml

    try:
        node = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--policy {file}: cannot be read ({error})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"--policy {file}: not valid YAML ({' '.join(str(error).split())})") from error
    return policy_of({} if node is None else node, str(file))


def policy_of(node: Any, where: str = "policy") -> Policy:
    """A policy from a mapping, such as a YAML file's content; see `read_policy`."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}: a mapping of keys is expected, such as alpha: 0.05")
    known = [f.name for f in fields(Policy)]
    for key in node:
        _known(str(key), known, where)
    values: dict[str, Any] = {key: _READERS[key](value, f"{where}: {key}") for key, value in node.items()}
    if "units" in values:
        values["units"] = {**_UNITS, **values["units"]}
    if "guards" in values:
        values["guards"] = {**_LIMITS, **values["guards"]}
    return Policy(**values)


def _known(key: str, known: Collection[str], where: str) -> None:
    if key not in known:
        raise ConfigError(f"{where}: unknown key {key!r}{_near(key, known)}; allowed keys: {', '.join(known)}")


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _last_parts(infos: Mapping[str, MetricInfo]) -> list[str]:
    return [name.rpartition("/")[2] for name in infos]


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _number(value: Any, where: str, *, low: float, high: float, strict: bool = False) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (low < value < high if strict else low <= value <= high):
        word = "between" if strict else "from"
        link = "and" if strict else "to"
        raise ConfigError(f"{where}: {value!r} is invalid; give a number {word} {low:g} {link} {high:g}")
    return float(value)


def _margin(value: Any, where: str) -> Margin:
    if isinstance(value, str) and (found := _MARGIN.fullmatch(value)) and float(found[1]) > 0:
        return Margin(float(found[1]) / 100, "range" if found[2] else "baseline")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return Margin(float(value))
    raise ConfigError(
        f'{where}: {value!r} is invalid; give a number above 0, a share of the baseline\'s mean ("5 %")'
        ' or of the scale ("3 % of range")'
    )


def _margins(value: Any, where: str) -> dict[str, Margin]:
    return {str(name): _margin(each, f"{where}.{name}") for name, each in _mapping(value, where).items()}


def _units(value: Any, where: str) -> dict[str, Margin]:
    for unit in _mapping(value, where):
        _known(str(unit), get_args(Unit), where)
    return _margins(value, where)


def _guards(value: Any, where: str) -> dict[str, float]:
    for name in _mapping(value, where):
        _known(str(name), GUARDS, where)
    return {name: _number(each, f"{where}.{name}", low=0, high=1) for name, each in value.items()}


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {value!r} is invalid; give a mapping of names to values")
    return value


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise ConfigError(f"{where}: {value!r} is invalid; give a list of names")
    return tuple(value)


def _allow(value: Any, where: str) -> tuple[str, ...]:
    for name in _words(value, where):
        _known(name, ASPECTS, where)
    return tuple(value)


def _inconclusive(value: Any, where: str) -> str:
    if value not in get_args(Inconclusive):
        raise ConfigError(f"{where}: {value!r} is invalid; give {' or '.join(get_args(Inconclusive))}")
    return str(value)


def _bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {value!r} is invalid; give true or false")
    return value


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise ConfigError(f"{where}: {value!r} is invalid; give a whole number from 0 to 1000")
    return value


_READERS: Mapping[str, Any] = {
    "alpha": lambda value, where: _number(value, where, low=0, high=0.5, strict=True),
    "metrics": _words,
    "margins": _margins,
    "units": _units,
    "guards": _guards,
    "inconclusive": _inconclusive,
    "allow": _allow,
    "by_group": _bool,
    "exact": _bool,
    "worst": _count,
}
