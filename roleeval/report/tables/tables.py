"""Tables as plain data, independent of the output format.

A cell is a tuple of lines. Text from models or files is raw here; the renderers escape it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field

from roleeval.metrics import MetricInfo, Unit
from roleeval.report.found.collect import Entry, RunResult, judge_words
from roleeval.report.found.compare import RunSet, caption, clusters_word, decoding
from roleeval.report.found.groups import cell_entries, parts_of, planned_rows, splits_of
from roleeval.report.tables.columns import Infos, ordered, value_text
from roleeval.report.tables.heads import head_notes, heads, labels
from roleeval.stats import FEW_CLUSTERS, Estimate

Cell = tuple[str, ...]
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
        names: of the columns, as files and command lines have them; () where the headings are the names.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass
class Notes:
    """Footnotes in the order in which cells first ask for them."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return str(self.texts.index(text) + 1).translate(_MARKS)

    def lines(self) -> list[str]:
        return [f"{self.mark(text)} {text}" for text in self.texts]


def group_table(run_set: RunSet, group: str, *, title: str) -> Table:
    """The comparison of a set's runs in one group.

    Args:
        run_set: the runs; those that differ only in their seed are one row.
        group: "split/protocol", an average, or a split.
        title: the table's heading.
    """
    runs, infos, notes = run_set.rows, run_set.infos, Notes()
    splits = splits_of(runs, group)
    metrics = _columns(run_set, group, splits)
    hidden = [name for name in metrics if not set(infos[name].read_with).issubset(metrics)]
    metrics = [name for name in metrics if name not in hidden]
    found = [{name: cell_entries(run, name, group, splits) for name in metrics} for run in runs]
    seeds = ["seeds"] if any(run.members for run in runs) else []
    columns = ["model", *seeds, "n", "coverage", "scored + missing = planned", "not ok"]
    rows = []
    for run, entries in zip(runs, found, strict=True):
        base = base_entry(entries, infos)
        planned = planned_rows(run, group, base) if base else None
        cells: list[Cell] = [(run.label, f"{run.family} {run.name}".strip())]
        cells += [(str(len(run.members) or 1),)] if seeds else []
        cells += [(str(base.n) if base else NOTHING,), (_coverage(base, planned),)]
        cells += [(_check(group, base, planned, notes),), (not_ok(run, base),)]
        rows.append((*cells, *_metric_cells(run_set, entries, base, notes)))
    entries_shown = [entry for cell in found for pairs in cell.values() for _, entry in pairs if entry.n]
    clusters = frozenset(entry.clusters for entry in entries_shown)
    general = _general_notes(run_set, group, metrics, entries_shown)
    for name in hidden:
        companions = " and ".join(_said(other, infos) for other in infos[name].read_with)
        general.append(f"{infos[name].label} is shown only next to {companions}: score with these as well.")
    return Table(
        title=title,
        caption=caption(run_set, clusters),
        columns=(*columns, *heads(metrics, infos)),
        rows=tuple(rows),
        notes=(*notes.lines(), *general),
        names=(*columns, *metrics),
    )


def parameters_text(value: int | None) -> str:
    """A number of parameters, in groups of three digits."""
    return NOTHING if value is None else f"{value:,}".replace(",", " ")


def _columns(run_set: RunSet, group: str, splits: Sequence[str]) -> list[str]:
    runs, names = run_set.rows, {name for run in run_set.rows for name in run.entries}
    columns = ordered(names, run_set.infos)
    return [name for name in columns if any(cell_entries(run, name, group, splits) for run in runs)]


def _metric_cells(
    run_set: RunSet, found: Mapping[str, list[tuple[str, Entry]]], base: Entry | None, notes: Notes
) -> list[Cell]:
    infos = run_set.infos
    cells: list[Cell] = []
    for name, entries in found.items():
        absent = [other for other in infos[name].read_with if not found.get(other)]
        if entries and absent:
            cells.append(
                (NOTHING + notes.mark(f"Not shown: this run has no {_said(absent[0], infos)}, needed to read it."),)
            )
        else:
            cells.append(_values(run_set, infos[name], entries, base, notes))
    return cells


def _said(name: str, infos: Infos) -> str:
    return infos[name].label if name in infos else name


def base_entry(found: Mapping[str, Sequence[tuple[str, Entry]]], infos: Infos) -> Entry | None:
    """The entry whose n is the row's: that of the first metric with one value per answer."""
    singles = (entries[0][1] for name, entries in found.items() if len(entries) == 1 and infos[name].per == "sample")
    return next(singles, None)


def coverage_of(base: Entry | None, planned: int | None) -> float | None:
    """Scored / planned, of the entry whose n is a row's."""
    if base is None:
        return None
    total = planned if planned is not None else base.n + base.missing
    return base.n / total if total else None


def _coverage(base: Entry | None, planned: int | None) -> str:
    share = coverage_of(base, planned)
    return NOTHING if share is None else f"{share:.4f}"


def _check(group: str, base: Entry | None, planned: int | None, notes: Notes) -> str:
    """The sum that must come out even, written out."""
    if base is None:
        return NOTHING
    summed = f"{base.n} + {base.missing}"
    if planned is None:
        return f"{summed} = {base.n + base.missing}" + notes.mark(
            "The run does not record how many answers were planned."
        )
    if base.n + base.missing == planned:
        return f"{summed} = {planned}"
    if base.n + base.missing < planned and "/" in group:
        absent = planned - base.n - base.missing
        mark = notes.mark("The data has no reference for this many of the planned answers; they count as not scored.")
        return f"{summed} + {absent}{mark} = {planned}"
    return f"{summed} ≠ {planned}" + notes.mark("The sum is wrong: do not use this row; score the run again.")


def not_ok(run: RunResult, base: Entry | None) -> str:
    """Statuses other than ok, of the answers behind a row's values: one that two protocols score counts once."""
    if base is None:
        return NOTHING
    metric = next(name for name, groups in run.entries.items() if any(entry is base for entry in groups.values()))
    sources = {part: run.entries[metric][part] for part in base.mean_of if part in run.entries[metric]} or {"": base}
    by_split: dict[tuple[str, str], int] = {}  # (split, status) -> answers
    for part, entry in sources.items():
        for status, count in entry.statuses.items():
            key = (part.partition("/")[0], status)
            by_split[key] = max(by_split.get(key, 0), count)
    counts: Counter[str] = Counter()
    for (_, status), count in by_split.items():
        counts[status] += count
    return ", ".join(f"{status} {count}" for status, count in sorted(counts.items()) if status != "ok") or "none"


def _values(
    run_set: RunSet, info: MetricInfo, entries: list[tuple[str, Entry]], base: Entry | None, notes: Notes
) -> Cell:
    if not entries:
        return (NOTHING,)
    lines: list[str] = []
    for label, entry in entries:
        value, interval = _value(run_set, info.unit, entry, notes)
        if label:
            lines.append(f"{label}: {value} {interval}".strip())
            continue
        lines += [value, interval] if interval else [value]
        lines += _spread(info.unit, entry)
        if entry.bounds is not None and entry.missing:
            worst, best = (value_text(info.unit, end) for end in entry.bounds)
            lines.append(f"bounds {worst} (worst), {best} (best)")
        if info.per == "cluster":
            word = clusters_word(run_set, entry.n) if entry.spread is None else "values"
            lines.append(f"n {entry.n} {word}" + (f", {entry.missing} missing" if entry.missing else ""))
        elif (
            base is not None
            and not entry.mean_of
            and not base.mean_of
            and (entry.n, entry.missing) != (base.n, base.missing)
        ):
            lines.append(f"n {entry.n}, {entry.missing} missing")
    return tuple(lines)


def _spread(unit: Unit, entry: Entry) -> list[str]:
    if entry.spread is None:
        return []
    low, high = value_text(unit, entry.spread.low), value_text(unit, entry.spread.high)
    return [f"seeds: sd {value_text(unit, entry.spread.sd)}, {low} to {high}"]


def _value(run_set: RunSet, unit: Unit, entry: Entry, notes: Notes) -> tuple[str, str]:
    if entry.mean is None:
        return NOTHING + notes.mark("No value: nothing was scored here."), ""
    value = value_text(unit, entry.mean)
    if entry.ci_low is None or entry.ci_high is None:
        few, one = clusters_word(run_set), clusters_word(run_set, 1)
        why = f"No interval: needs at least two {few}."
        if entry.clusters > 1:
            why = f"No interval: all values are equal, or a group of the mean rests on one {one}."
        return value, NOTHING + notes.mark(why)
    return value, f"[{value_text(unit, entry.ci_low)}, {value_text(unit, entry.ci_high)}]"


def few_clusters_note(run_set: RunSet, entries: Iterable[Entry | Estimate]) -> list[str]:
    """What intervals from few clusters rest on, where there are such."""
    assumed = ("student-t", "")  # older versions did not write the method down
    if not any(2 <= entry.clusters < FEW_CLUSTERS and entry.method in assumed for entry in entries):
        return []
    few, one = clusters_word(run_set), clusters_word(run_set, 1)
    return [
        f"Intervals by Student's t, from fewer than {FEW_CLUSTERS} {few}, assume roughly normal {one} means; where"
        " these are skewed, the intervals are too narrow."
    ]


def _general_notes(run_set: RunSet, group: str, metrics: Sequence[str], entries: Iterable[Entry]) -> list[str]:
    notes, infos = few_clusters_note(run_set, entries), run_set.infos
    if parts := parts_of(run_set.runs, group):
        over_rows = any(e[group].over_rows for run in run_set.runs for e in run.entries.values() if group in e)
        what = "is over all samples of" if over_rows else "is the plain mean of"
        notes.append(f"{group} {what} {', '.join(parts)}; its n counts scores, not answers.")
        notes.append("In a mean of groups, metrics without references are over the answers of the same splits.")
    said = labels(metrics, infos)
    notes += [f"{said[name]} {infos[name].caution}" for name in metrics if infos[name].caution]
    notes += head_notes(metrics, infos)
    if per_cluster := [said[name] for name in metrics if infos[name].per == "cluster"]:
        notes.append(f"One value per {clusters_word(run_set, 1)}, not per answer: {', '.join(per_cluster)}.")
    judges = {prefix: words for prefix, words in judge_words(run_set.runs).items() if _stands(prefix, metrics)}
    if judges or any(infos[name].judged for name in metrics):
        notes.append("Bounds: the mean if every missing judgement were the worst, or the best, possible.")
    notes += [f"{prefix}: {words}." for prefix, words in judges.items()]
    return notes


def _stands(prefix: str, metrics: Sequence[str]) -> bool:
    return any(name.startswith(f"{prefix}/") for name in metrics)


def runs_table(run_set: RunSet) -> Table:
    """The runs of a set: seed, parameters, decoding, engine, and the statuses of all planned answers."""
    notes, rows = Notes(), []
    for run in run_set.runs:
        facts = run.facts
        ended = sum(facts.statuses.values())
        check = f"{ended} = {facts.planned}" if ended == facts.planned else f"{ended} ≠ {facts.planned}"
        if ended != facts.planned:
            check += notes.mark("Answers are missing from the files: do not use this run; run it again.")
        uneven = uneven_groups(run)
        if uneven:
            check += notes.mark("Scored + missing differs from planned in: " + ", ".join(uneven) + ".")
        rows.append(
            (
                (run.label,),
                (run.family,),
                (run.name,),
                (NOTHING if facts.seed is None else str(facts.seed),),
                (parameters_text(facts.parameters.base),),
                (parameters_text(facts.parameters.adapters),),
                (parameters_text(facts.parameters.per_added_role),),
                (facts.engine,),
                (decoding(facts.sampling),),
                (", ".join(f"{status} {count}" for status, count in sorted(facts.statuses.items())),),
                (check,),
            )
        )
    sizes = ("base parameters", "adapter parameters", "per added role")
    columns = ("model", "family", "run", "seed", *sizes, "engine", "decoding", "answers", "ended = planned")
    unknown = f"{NOTHING} under parameters: not known (a hub id, an endpoint, packed weights, or an older run)."
    missing = any(None in astuple(run.facts.parameters) for run in run_set.runs)
    return Table("Runs", "", columns, tuple(rows), (*notes.lines(), *([unknown] if missing else [])))


def uneven_groups(run: RunResult) -> list[str]:
    """Metric and group wherever scored + missing is not what was planned; a protocol may lack references."""
    uneven = []
    per_answer = [m for m in run.entries if run.infos[m].per == "sample" and not run.infos[m].habit]
    for metric, entries in ((metric, run.entries[metric]) for metric in per_answer):
        for group, entry in entries.items():
            planned = None if entry.mean_of else planned_rows(run, group, entry)
            if planned is None:
                continue
            total = entry.n + entry.missing
            if total > planned or (total < planned and "/" not in group):
                uneven.append(f"{metric} {group}")
    return uneven
