"""Tables as plain data, before anyone decides how they are printed.

A cell is a tuple of lines. Text that comes from models or files is raw here; the printers escape it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from roleeval.report._collect import Entry, RunResult
from roleeval.report._compare import RunSet, caption, clusters_word, decoding
from roleeval.report._groups import cell_entries, parts_of, planned_rows, splits_of
from roleeval.report._recipes import LENGTH, PARITY_RECALL, headline, is_f1, is_per_cluster, number, ordered

Cell = tuple[str, ...]
FEW_CLUSTERS = 10
NOTHING = "–"
_MARKS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what has to be said about it.

    Attributes:
        title: its heading.
        caption: one line on data, decoding, seeds and intervals.
        columns: headings; the first is of the column that names the row.
        rows: one cell per column.
        notes: footnotes; those that cells refer to begin with their mark.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]


@dataclass
class _Notes:
    """Footnotes in the order in which cells first ask for them."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1).translate(_MARKS)

    def lines(self) -> list[str]:
        return [f"{self.mark(text)} {text}" for text in self.texts]


def group_table(run_set: RunSet, group: str, *, title: str, short: bool) -> Table:
    """The comparison of a set's runs in one group.

    Args:
        run_set: the runs, one row each.
        group: "split/protocol", an average, or a split.
        title: the table's heading.
        short: only the headline's metrics, and no check or status columns.
    """
    runs, notes = run_set.runs, _Notes()
    splits = splits_of(runs, group)
    metrics = _columns(runs, group, splits)
    metrics = headline(metrics) if short else metrics
    hidden = PARITY_RECALL in metrics and not (LENGTH in metrics and any(map(is_f1, metrics)))
    if hidden:
        metrics = [name for name in metrics if name != PARITY_RECALL]
    shown = [run for run in runs if any(cell_entries(run, name, group, splits) for name in metrics)]
    rows = [_row(run_set, run, group, splits, metrics, notes, short=short) for run in shown]
    clusters = {
        entry.clusters
        for run in shown
        for name in metrics
        for _, entry in cell_entries(run, name, group, splits)
        if entry.n
    }
    fixed = ("model", "n", "coverage") if short else ("model", "n", "coverage", "scored + missing = planned", "not ok")
    general = _general_notes(run_set, group, metrics, clusters)
    if hidden:
        general.append(f"{PARITY_RECALL} rewards length and is shown only beside an F1 and {LENGTH}: score with both.")
    return Table(title, caption(run_set, clusters), (*fixed, *metrics), tuple(rows), (*notes.lines(), *general))


def _columns(runs: Sequence[RunResult], group: str, splits: Sequence[str]) -> list[str]:
    names = {name for run in runs for name in run.entries}
    return [name for name in ordered(names) if any(cell_entries(run, name, group, splits) for run in runs)]


def _row(
    run_set: RunSet,
    run: RunResult,
    group: str,
    splits: Sequence[str],
    metrics: Sequence[str],
    notes: _Notes,
    *,
    short: bool,
) -> tuple[Cell, ...]:
    found = {name: cell_entries(run, name, group, splits) for name in metrics}
    base = _base(found)
    cells: list[Cell] = [(run.model, f"{run.family} {run.name}".strip())]
    planned = planned_rows(run, group, base) if base else None
    cells.append((str(base.n) if base else NOTHING,))
    cells.append((_coverage(base, planned),))
    if not short:
        cells.append((_check(run, group, base, planned, notes),))
        cells.append((_not_ok(run, found, base),))
    for name in metrics:
        lonely = name == PARITY_RECALL and not (found.get(LENGTH) and any(found[m] for m in metrics if is_f1(m)))
        if lonely and found[name]:
            cells.append((NOTHING + notes.mark(f"Not shown: this run has no F1 or no {LENGTH} to read it with."),))
        else:
            cells.append(_values(run_set, name, found[name], base, notes))
    return tuple(cells)


def _base(found: dict[str, list[tuple[str, Entry]]]) -> Entry | None:
    """The entry whose n stands for the row: that of the first metric with one value per answer."""
    single = [entries[0][1] for name, entries in found.items() if len(entries) == 1 and not is_per_cluster(name)]
    return single[0] if single else None


def _coverage(base: Entry | None, planned: int | None) -> str:
    if base is None:
        return NOTHING
    total = planned if planned is not None else base.n + base.missing
    return f"{base.n / total:.4f}" if total else NOTHING


def _check(run: RunResult, group: str, base: Entry | None, planned: int | None, notes: _Notes) -> str:
    """The sum that must come out even, written out."""
    if base is None:
        return NOTHING
    summed = f"{base.n} + {base.missing}"
    if planned is None:
        return f"{summed} = {base.n + base.missing}" + notes.mark("The run does not say how many answers were planned.")
    if base.n + base.missing == planned:
        return f"{summed} = {planned}"
    if base.n + base.missing < planned and "/" in group:
        absent = planned - base.n - base.missing
        mark = notes.mark("The data holds no reference for this many of the planned answers; they count as not scored.")
        return f"{summed} + {absent}{mark} = {planned}"
    return f"{summed} ≠ {planned}" + notes.mark("The sum does not come out: do not use this row; score the run again.")


def _not_ok(run: RunResult, found: dict[str, list[tuple[str, Entry]]], base: Entry | None) -> str:
    """Statuses other than ok, of the values that stand for the row."""
    if base is None:
        return NOTHING
    metric = next(name for name, entries in found.items() if entries and entries[0][1] is base)
    sources = [run.entries[metric][part] for part in base.mean_of if part in run.entries[metric]] or [base]
    counts: dict[str, int] = {}
    for entry in sources:
        for status, count in entry.statuses.items():
            counts[status] = counts.get(status, 0) + count
    return ", ".join(f"{status} {count}" for status, count in sorted(counts.items()) if status != "ok") or "none"


def _values(run_set: RunSet, metric: str, entries: list[tuple[str, Entry]], base: Entry | None, notes: _Notes) -> Cell:
    if not entries:
        return (NOTHING,)
    lines: list[str] = []
    for label, entry in entries:
        value, interval = _value(run_set, metric, entry, notes)
        if label:
            lines.append(f"{label}: {value} {interval}".strip())
            continue
        lines += [value, interval] if interval else [value]
        if is_per_cluster(metric):
            word = clusters_word(run_set.benchmark, entry.n)
            lines.append(f"n {entry.n} {word}" + (f", {entry.missing} missing" if entry.missing else ""))
        elif (
            base is not None
            and not entry.mean_of
            and not base.mean_of
            and (entry.n, entry.missing) != (base.n, base.missing)
        ):
            lines.append(f"n {entry.n}, {entry.missing} missing")
    return tuple(lines)


def _value(run_set: RunSet, metric: str, entry: Entry, notes: _Notes) -> tuple[str, str]:
    if entry.mean is None:
        return NOTHING + notes.mark("No value: nothing was scored here."), ""
    value = number(metric, entry.mean)
    if entry.ci_low is None or entry.ci_high is None:
        few, one = clusters_word(run_set.benchmark), clusters_word(run_set.benchmark, 1)
        why = f"No interval: it takes at least two {few} to say how much they differ, and here is one {one}."
        return value, NOTHING + notes.mark(why)
    return value, f"[{number(metric, entry.ci_low)}, {number(metric, entry.ci_high)}]"


def _general_notes(run_set: RunSet, group: str, metrics: Sequence[str], clusters: set[int]) -> list[str]:
    notes = []
    words = clusters_word(run_set.benchmark)
    if few := sorted(count for count in clusters if 2 <= count < FEW_CLUSTERS):
        notes.append(
            f"Intervals from {'/'.join(map(str, few))} {words} are too narrow (fewer than {FEW_CLUSTERS}): the true"
            " uncertainty is larger."
        )
    if parts := parts_of(run_set.runs, group):
        notes.append(
            f"{group} is the plain mean of {', '.join(parts)}; its n counts scores, and an answer compared by two"
            " protocols counts twice. Columns without references are over the answers of the same splits."
        )
    if PARITY_RECALL in metrics:
        notes.append(
            f"{PARITY_RECALL} is the published numbers' recipe; it rewards length: read it with F1 and {LENGTH}."
        )
    if any(map(is_per_cluster, metrics)):
        notes.append(f"Metrics named *_role have one value per {clusters_word(run_set.benchmark, 1)}.")
    return notes


def runs_table(run_set: RunSet) -> Table:
    """Who is in a set: seed, decoding, engine, and what became of every planned answer."""
    notes, rows = _Notes(), []
    for run in run_set.runs:
        facts = run.facts
        ended = sum(facts.statuses.values())
        check = f"{ended} = {facts.planned}" if ended == facts.planned else f"{ended} ≠ {facts.planned}"
        if ended != facts.planned:
            check += notes.mark("Answers are lost: do not use this run; run it again.")
        uneven = uneven_groups(run)
        if uneven:
            check += notes.mark("Scored + missing is not what was planned in: " + ", ".join(uneven) + ".")
        rows.append(
            (
                (run.model,),
                (run.family,),
                (run.name,),
                (NOTHING if facts.seed is None else str(facts.seed),),
                (facts.engine,),
                (decoding(facts.sampling),),
                (", ".join(f"{status} {count}" for status, count in sorted(facts.statuses.items())),),
                (check,),
            )
        )
    columns = ("model", "family", "run", "seed", "engine", "decoding", "answers", "ended = planned")
    return Table("Runs", "", columns, tuple(rows), tuple(notes.lines()))


def uneven_groups(run: RunResult) -> list[str]:
    """Metric and group wherever scored + missing is not what was planned; a protocol may lack references."""
    uneven = []
    for metric, entries in run.entries.items():
        for group, entry in entries.items():
            planned = None if is_per_cluster(metric) or entry.mean_of else planned_rows(run, group, entry)
            if planned is None:
                continue
            total = entry.n + entry.missing
            if total > planned or (total < planned and "/" not in group):
                uneven.append(f"{metric} {group}")
    return uneven
