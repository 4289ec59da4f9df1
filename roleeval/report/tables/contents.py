"""All that a report holds, whatever its format: a section for each set of comparable runs, and all benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.report.found.collect import Collection, NotShown
from roleeval.report.found.compare import RunSet, run_sets
from roleeval.report.found.frames import Frames
from roleeval.report.found.groups import table_groups
from roleeval.report.tables.changes import changes
from roleeval.report.tables.chosen import Choice, check
from roleeval.report.tables.columns import headline
from roleeval.report.tables.differences import Comparison, comparisons, difference_table
from roleeval.report.tables.ratings import Rated, with_ratings
from roleeval.report.tables.standings import Standings, overall, standings
from roleeval.report.tables.tables import Table, group_table


@dataclass(frozen=True, slots=True)
class Section:
    """A set of comparable runs: its headline tables, ratings by pairwise judges, differences from the reference."""

    run_set: RunSet
    choice: Choice
    standings: tuple[Standings, ...]
    ratings: tuple[Rated, ...]
    compared: Comparison | None

    def details(self) -> list[Table]:
        """Tables of all metrics, one for each group."""
        groups = table_groups(self.run_set.runs)
        return [group_table(self.run_set, group, title=f"All metrics: {group}") for group in groups]

    def differences(self) -> list[Table]:
        """Tables of all differences from the reference, one for each group."""
        if self.compared is None or not self.compared.others:
            return []
        words = f"Differences from {self.compared.reference.label}"
        groups = table_groups(self.run_set.runs)
        return [difference_table(self.compared, group, title=f"{words}: {group}") for group in groups]

    def changes(self) -> list[Standings]:
        """The headline's differences from the reference, one table for each headline group."""
        return changes(self.compared, self.choice) if self.compared else []


@dataclass(frozen=True, slots=True)
class Contents:
    """A report.

    Attributes:
        collection: what was found, with rows and names.
        reference: whom the others are compared with; None: no comparison.
        sections: of all sets.
        overall: all benchmarks in one table; None for a single one.
    """

    collection: Collection
    reference: str | None
    sections: tuple[Section, ...]
    overall: Standings | None

    @property
    def not_shown(self) -> tuple[NotShown, ...]:
        """Folders that are in no table."""
        return self.collection.not_shown

    @property
    def headlines(self) -> list[Standings]:
        """All headline tables: of all benchmarks together, and of each."""
        return [*([self.overall] if self.overall else []), *(each for s in self.sections for each in s.standings)]

    @property
    def compared(self) -> list[Comparison]:
        """Every set's comparison with the reference."""
        return [section.compared for section in self.sections if section.compared]

    @property
    def ratings(self) -> list[Rated]:
        """Every set's ratings."""
        return [rated for section in self.sections for rated in section.ratings]


def contents(collection: Collection, *, reference: str | None, choice: Choice) -> Contents:
    """Compares and groups what was found.

    Raises:
        ResultError: the reference, a chosen model or a chosen metric is not among the runs.
    """
    check(choice, collection.rows)
    compared = [] if reference is None else comparisons(collection, reference)
    collection, ratings = with_ratings(collection, reference)
    sets = run_sets(collection.rows)
    frames = Frames(_needed(sets, choice))
    sections = tuple(
        Section(
            run_set,
            choice,
            tuple(standings(run_set, frames, choice)),
            tuple(rated for rated in ratings if rated.run_set.title == run_set.title),
            next((each for each in compared if each.run_set.title == run_set.title), None),
        )
        for run_set in sets
    )
    return Contents(collection, reference, sections, overall(sets, frames, choice))


def _needed(sets: Sequence[RunSet], choice: Choice) -> set[str]:
    """The metrics that headline tables may show."""
    needed: set[str] = set()
    for run_set in sets:
        infos = run_set.infos
        names = {name for row in run_set.rows for name in row.entries}
        needed |= {*(choice.metrics(names, infos) if choice.wanted else headline(names, infos))} if names else set()
    return needed
