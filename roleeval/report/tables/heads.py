"""What people read above a column: label, unit, direction; the full name only where two heads would be equal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from roleeval.metrics import MetricInfo, Unit
from roleeval.report.tables.columns import Infos

_ARROWS: Mapping[bool | None, str] = {True: " ↑", False: " ↓", None: ""}
ARROWS_NOTE = "↑ more is better, ↓ less is better."
# Units that a value does not show by itself.
_SAID: Mapping[Unit, str] = {"points": "points", "words": "words", "characters": "characters", "rank": "rank"}


def labels(names: Iterable[str], infos: Infos) -> dict[str, str]:
    """Metric -> what people call it among these: its label with its unit, and its name where two labels are equal."""
    said = {name: _label(infos[name]) for name in names}
    often = Counter(said.values())
    return {name: f"{label} [{name}]" if often[label] > 1 else label for name, label in said.items()}


def heads(names: Sequence[str], infos: Infos) -> list[str]:
    """Heads of columns: labels with an arrow where one direction is better."""
    said = labels(names, infos)
    return [said[name] + _ARROWS[infos[name].higher_is_better] for name in names]


def head_notes(names: Sequence[str], infos: Infos) -> list[str]:
    """Footnotes of columns: what the arrows mean, and the full name of every column whose head does not have it."""
    said = labels(names, infos)
    notes = [ARROWS_NOTE] if any(infos[name].higher_is_better is not None for name in names) else []
    full = [f"{label} is {name}" for name, label in said.items() if not label.endswith(f"[{name}]") and label != name]
    return notes + ([f"Columns: {'; '.join(full)}."] if full else [])


def _label(info: MetricInfo) -> str:
    word = _SAID.get(info.unit, "")
    label = info.label or info.name
    return label if not word or word in label.lower() else f"{label}, {word}"
