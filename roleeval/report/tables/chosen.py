"""Which metrics and models a table is about: those that were asked for, else the few that represent a benchmark."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from roleeval.errors import ResultError
from roleeval.report.found.collect import RunResult
from roleeval.report.tables.columns import Infos, headline, ordered

MOST = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for on the command line.

    Attributes:
        wanted: metrics: names in files, their last parts ("avg"), or labels; () is the headline.
        models: names of rows or of models; () is all.
    """

    wanted: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def most(self) -> int:
        """Columns at most, where nobody asked for more."""
        return max(MOST, len(self.wanted))

    def rows(self, rows: Iterable[RunResult]) -> list[RunResult]:
        """The chosen models' rows, in the order that was asked for."""
        rows = list(rows)
        if not self.models:
            return rows
        return [row for name in self.models for row in rows if name in (row.label, row.model)]

    def metrics(self, names: Collection[str], infos: Infos) -> list[str]:
        """The columns of a headline table, in order.

        At most six, each with those without which it is misleading: one that is no judge's opinion, then primary ones,
        judges' points, what else rises with quality, and the rest.
        """
        if self.wanted:
            return [name for word in self.wanted for name in ordered(names, infos) if _is(word, name, infos)]
        candidates = sorted(headline(names, infos), key=lambda name: _rank(name, infos))
        chosen: dict[str, None] = {}
        own = [name for name in candidates if not infos[name].judged][:1]
        for name in (*own, *candidates):
            needed = dict.fromkeys((name, *infos[name].read_with))
            if all(each in names for each in needed) and len(chosen | needed) <= MOST:
                chosen |= needed
        return sorted(chosen, key=lambda name: (infos[name].position, not infos[name].primary, name))

    def representing(self, names: Collection[str], infos: Infos) -> list[str]:
        """What stands for a group in a table over benchmarks, the best first; [] where nothing says who is better."""
        if self.wanted:
            return self.metrics(names, infos)
        alone = [name for name in headline(names, infos) if not infos[name].read_with] if names else []
        better = [name for name in alone if infos[name].higher_is_better]
        return [name for name in better if infos[name].primary] or better[:1]


def _rank(name: str, infos: Infos) -> tuple[bool, bool, bool, bool, int, str]:
    info = infos[name]
    better = info.higher_is_better is True
    return (
        not info.primary,
        not (info.judged and better),
        not better,
        info.higher_is_better is None,
        info.position,
        name,
    )


def _is(word: str, name: str, infos: Infos) -> bool:
    return word in (name, infos[name].label) or name.endswith(f"/{word}")


def check(choice: Choice, rows: Sequence[RunResult]) -> None:
    """Refuses a choice that finds nothing.

    Raises:
        ResultError: a metric or a model is not among the runs; names those that are.
    """
    for name in choice.models:
        if not choice_of(name, rows):
            raise ResultError(
                f"--models {name}: no such model; there are: {', '.join(sorted({r.label for r in rows}))}"
            )
    infos = {name: info for row in rows for name, info in row.infos.items()}
    for word in choice.wanted:
        if not any(_is(word, name, infos) for name in infos):
            raise ResultError(f"--metrics {word}: no such metric; there are: {', '.join(ordered(infos, infos))}")


def choice_of(name: str, rows: Sequence[RunResult]) -> list[RunResult]:
    """The rows that a word of --models means."""
    return Choice(models=(name,)).rows(rows)
