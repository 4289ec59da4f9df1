"""The headline table: models as rows, at most six metrics as columns, and which models the best one is better than.

A value has the half-width of its interval. The best mean of a column is marked, and so is every model that the paired
comparison over clusters does not tell from it (Holm-corrected over the models): overlap of intervals decides nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from roleeval.metrics import MetricInfo, Unit
from roleeval.report.found.collect import Entry, RunResult, judge_words
from roleeval.report.found.compare import RunSet, caption, clusters_word
from roleeval.report.found.frames import Frames
from roleeval.report.found.groups import cell_entries, headline_groups, parts_of, planned_rows, splits_of
from roleeval.report.tables.best import Mark, marks
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.heads import head_notes, heads, labels
from roleeval.report.tables.tables import NOTHING, base_entry, coverage_of, not_ok
from roleeval.stats import FEW_CLUSTERS, LEVEL

_DECIMALS: Mapping[Unit, int] = {"fraction": 3, "words": 1, "characters": 1}
_SAID_LITTLE = 0.5  # an interval over more of a metric's range


@dataclass(frozen=True, slots=True)
class Score:
    """One value of a headline table.

    Attributes:
        entry: mean, interval and counts, as the summary has them.
        info: its metric.
        mark: best of its column; tied: not separable from the best; "": worse, or no direction.
        signed: it is a difference.
    """

    entry: Entry
    info: MetricInfo
    mark: Mark = ""
    signed: bool = False

    @property
    def decimals(self) -> int:
        """How many places its mean and half-width are written with."""
        return _DECIMALS.get(self.info.unit, 2)

    @property
    def mean(self) -> str:
        """The mean, in its unit's decimals; a difference with its sign, unless it is zero."""
        text = f"{self.entry.mean or 0.0:.{self.decimals}f}"
        if float(text) == 0:
            return text.removeprefix("-")
        return f"+{text}" if self.signed and not text.startswith("-") else text

    @property
    def half(self) -> str:
        """Half the interval's width; "" without an interval."""
        low, high = self.entry.ci_low, self.entry.ci_high
        return "" if low is None or high is None else f"{(high - low) / 2:.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Line:
    """A row: a model, how many answers it has, a value for each column, and how answers ended that are not ok."""

    row: RunResult
    n: int | None
    coverage: float | None
    scores: tuple[Score | None, ...]
    not_ok: str = ""


@dataclass(frozen=True, slots=True)
class Standings:
    """A headline table.

    Attributes:
        title: its heading.
        group: whose answers it is about; "" for all benchmarks.
        caption: data, prompts, seeds, decoding and intervals, in one line.
        names: of the columns' metrics, in files.
        heads: what stands above the columns.
        lines: models, those of a family together.
        notes: footnotes.
        caveat: why these runs are in no table with others of their benchmark; "" where there are none.
    """

    title: str
    group: str
    caption: str
    names: tuple[str, ...]
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    caveat: str = ""

    @property
    def axes(self) -> tuple[str, ...]:
        """Options that tell rows of one model's name apart: columns of their own."""
        return tuple(dict.fromkeys(option for line in self.lines for option, _ in line.row.axes))


def standings(run_set: RunSet, frames: Frames, choice: Choice) -> list[Standings]:
    """The headline tables of a set: one for each of its headline groups that has a chosen metric.

    What they say of data, intervals and marks is the same for all of them.
    """
    rows = _by_family(choice.rows(run_set.rows))
    found = []
    for group in headline_groups(run_set.runs) if rows else ():
        cells = [single_entries(row, group, splits_of(run_set.runs, group)) for row in rows]
        names = choice.metrics({name for each in cells for name in each}, run_set.infos)
        if names:
            found.append(_table(run_set, group, rows, names, frames))
    scores = [score for table in found for line in table.lines for score in line.scores if score]
    said = caption(run_set, {score.entry.clusters for score in scores})
    notes = _notes(scores, clusters_word(run_set))
    return [replace(table, caption=said, notes=(*notes, *table.notes)) for table in found]


def overall(sets: Sequence[RunSet], frames: Frames, choice: Choice) -> Standings | None:
    """All benchmarks in one table: what represents each of their groups, as many as fit; None for fewer than two."""
    columns = [column for run_set in sets for column in _columns(run_set, choice)]
    if len({run_set.benchmark for run_set, *_ in columns}) < 2:
        return None
    columns = sorted(columns, key=lambda column: column[3])[: choice.most]
    columns = [column for run_set in sets for column in columns if column[0] is run_set]
    names = list(dict.fromkeys(row.label for run_set, *_ in columns for row in choice.rows(run_set.rows)))
    first = {row.label: row for run_set, *_ in reversed(columns) for row in run_set.rows}
    scores = []
    for run_set, group, name, _ in columns:
        rows = list(choice.rows(run_set.rows))
        marked = _marked(run_set, group, name, rows, frames)
        scores.append({row.label: score for row, score in zip(rows, marked, strict=True)})
    rows = _by_family([first[name] for name in names])
    lines = tuple(Line(row, None, None, tuple(column.get(row.label) for column in scores)) for row in rows)
    titles = [f"{run_set.title} {group}: {_head(run_set, name)}" for run_set, group, name, _ in columns]
    shown = [score for line in lines for score in line.scores if score]
    return Standings(
        title="All benchmarks",
        group="",
        caption="What represents each benchmark; the tables of the benchmarks say on what data and how."
        + _silent(sets, columns),
        names=tuple(f"{run_set.title}/{group}/{name}" for run_set, group, name, _ in columns),
        heads=tuple(titles),
        lines=lines,
        notes=tuple(_notes(shown, "clusters")),
    )


def _silent(sets: Sequence[RunSet], columns: Iterable[tuple[RunSet, str, str, int]]) -> str:
    """The sets that are not in the table over benchmarks."""
    there = {run_set.title for run_set, *_ in columns}
    silent = [run_set.title for run_set in sets if run_set.title not in there]
    return f" Not here, for want of a metric that says which model is better: {', '.join(silent)}." if silent else ""


def _columns(run_set: RunSet, choice: Choice) -> list[tuple[RunSet, str, str, int]]:
    """(set, group, metric, place): what represents each group of a set, the best first."""
    found = []
    for group in headline_groups(run_set.runs):
        splits = splits_of(run_set.runs, group)
        there = {name for row in run_set.rows for name in single_entries(row, group, splits)}
        representing = choice.representing(there, run_set.infos)
        found += [(run_set, group, name, place) for place, name in enumerate(representing)]
    return found


def _head(run_set: RunSet, name: str) -> str:
    return heads([name], run_set.infos)[0]


def _by_family(rows: Iterable[RunResult]) -> list[RunResult]:
    """Families in the order of their first model; a family's models one after the other."""
    found: dict[str, list[RunResult]] = {}
    for row in rows:
        found.setdefault(row.family, []).append(row)
    return [row for family in found.values() for row in family]


def single_entries(row: RunResult, group: str, splits: Sequence[str]) -> dict[str, Entry]:
    """Metric -> the one entry that a cell of this group has; metrics with several parts and no mean have none."""
    cells = {name: cell_entries(row, name, group, splits) for name in row.entries}
    return {name: found[0][1] for name, found in cells.items() if len(found) == 1 and found[0][1].mean is not None}


def _table(run_set: RunSet, group: str, rows: Sequence[RunResult], names: Sequence[str], frames: Frames) -> Standings:
    infos, splits = run_set.infos, splits_of(run_set.runs, group)
    columns = [_marked(run_set, group, name, rows, frames) for name in names]
    lines = []
    for place, row in enumerate(rows):
        base = base_entry({name: cell_entries(row, name, group, splits) for name in (*names, *row.entries)}, infos)
        planned = planned_rows(row, group, base) if base else None
        n, ended = (base.n if base else None), not_ok(row, base)
        scores = tuple(column[place] for column in columns)
        lines.append(Line(row, n, coverage_of(base, planned), scores, "" if ended in ("none", NOTHING) else ended))
    said = labels(names, infos)
    notes = [f"{said[name]} {infos[name].caution}" for name in names if infos[name].caution]
    if parts := parts_of(run_set.runs, group):
        notes.append(f"{group} is a mean over {', '.join(parts)}; its n counts scores, not answers.")
    if per_cluster := [said[name] for name in names if infos[name].per == "cluster"]:
        notes.append(f"One value per {clusters_word(run_set, 1)}, not per answer: {', '.join(per_cluster)}.")
    notes += _missing(lines, said)
    notes += [f"{prefix}: {words}." for prefix, words in _judges(run_set, names)]
    return Standings(
        title=f"{run_set.title}: {group}",
        group=group,
        caption="",
        names=tuple(names),
        heads=tuple(heads(names, infos)),
        lines=tuple(lines),
        notes=(*notes, *head_notes(names, infos)),
        caveat=run_set.difference,
    )


def _missing(lines: Sequence[Line], said: Mapping[str, str]) -> list[str]:
    """How answers ended that are not ok, and how far missing judgements could move a mean."""
    ended = [f"{line.row.label}: {line.not_ok}" for line in lines if line.not_ok]
    bounds = [
        f"{said[score.info.name]} of {line.row.label}, {score.entry.missing} missing: {_bounds(score)}"
        for line in lines
        for score in line.scores
        if score and score.entry.missing and score.entry.bounds
    ]
    notes = [f"Answers that are not ok: {'; '.join(ended)}."] if ended else []
    if bounds:
        notes.append(f"The mean if all missing judgements were the worst, or the best: {'; '.join(bounds)}.")
    return notes


def _bounds(score: Score) -> str:
    worst, best = score.entry.bounds or (0.0, 0.0)
    return f"{worst:.{score.decimals}f} (worst), {best:.{score.decimals}f} (best)"


def _judges(run_set: RunSet, names: Sequence[str]) -> list[tuple[str, str]]:
    """Who gave the scores of judged columns, in words."""
    said = judge_words(run_set.runs)
    return [pair for pair in said.items() if any(name.startswith(f"{pair[0]}/") for name in names)]


def _marked(run_set: RunSet, group: str, name: str, rows: Sequence[RunResult], frames: Frames) -> list[Score | None]:
    """A column: the best mean is marked, and what is not separable from it."""
    info, splits = run_set.infos[name], splits_of(run_set.runs, group)
    entries = [single_entries(row, group, splits).get(name) for row in rows]
    marked = marks(info, list(zip(rows, entries, strict=True)), frames)
    return [None if entry is None else Score(entry, info, mark) for entry, mark in zip(entries, marked, strict=True)]


def _notes(scores: Collection[Score], word: str) -> list[str]:
    notes = [f"±: half the width of the {LEVEL * 100:.0f} % interval; its ends are in report.csv."]
    if any(score.mark for score in scores):
        notes.append(
            f"* or bold: best. ≈: not separable from the best (paired over {word}, Holm-corrected for the number of"
            " models)."
        )
    wide = ", ".join(dict.fromkeys(score.info.label for score in scores if _says_little(score)))
    few = sorted({score.entry.clusters for score in scores if score.entry.clusters < FEW_CLUSTERS})
    if few:
        count = f"{few[0]}" if len(few) == 1 else f"{few[0]} to {few[-1]}"
        notes.append(
            f"With so few {word} ({count}) intervals are wide, and a test cannot or can seldom tell models apart."
        )
    if wide:
        notes.append(f"Intervals over half of the range or more, which say almost nothing: {wide}.")
    return notes


def _says_little(score: Score) -> bool:
    low, high, info = score.entry.ci_low, score.entry.ci_high, score.info
    if low is None or high is None or info.low is None or info.high is None or info.high == info.low:
        return False
    return (high - low) / (info.high - info.low) >= _SAID_LITTLE
