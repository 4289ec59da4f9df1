"""What stands beside a headline table's values: the options that differ, parameters, n, coverage, seeds, speed."""

from collections.abc import Callable
from dataclasses import dataclass

from roleeval.report.tables.standings import Line, Standings
from roleeval.report.tables.tables import NOTHING, parameters_text

PER_GROUP = ("n", "coverage")  # the others are the same in all tables of a set


@dataclass(frozen=True, slots=True)
class FactColumn:
    """One column: its head, a text for each line, and whether these are numbers."""

    head: str
    texts: tuple[str, ...]
    number: bool = True


def fact_columns(found: Standings) -> list[FactColumn]:
    """The columns of a table that any of its lines has something to say in; sweep axes first."""
    axes = [(option, _axis(option), False) for option in found.axes]
    columns: list[tuple[str, Callable[[Line], str], bool]] = [
        *axes,
        ("added params", lambda line: parameters_text(line.row.facts.parameters.adapters), True),
        ("per role", lambda line: parameters_text(line.row.facts.parameters.per_added_role), True),
        ("n", lambda line: counted(line.n), True),
        ("coverage", lambda line: share(line.coverage), True),
        ("seeds", lambda line: str(len(line.row.members)) if line.row.members else NOTHING, True),
        ("tokens/s", _speed, True),
    ]
    made = [FactColumn(head, tuple(map(text, found.lines)), number) for head, text, number in columns]
    if not found.group:  # over benchmarks, each of which has a speed and numbers of its own
        made = [column for column in made if column.head != "tokens/s"]
    return [column for column in made if any(text != NOTHING for text in column.texts)]


def counted(n: int | None) -> str:
    """A number of values; a dash where it is not known."""
    return NOTHING if n is None else str(n)


def share(coverage: float | None) -> str:
    """A coverage; a dash where it is not known."""
    return NOTHING if coverage is None else f"{coverage:.3f}"


def _axis(option: str) -> Callable[[Line], str]:
    return lambda line: dict(line.row.axes).get(option, NOTHING)


def _speed(line: Line) -> str:
    speed = line.row.facts.tokens_per_s
    return NOTHING if speed is None else f"{speed:.0f}"
