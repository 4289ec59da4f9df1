"""Paired differences from a reference model, over the samples that both have answered.

A difference is stored as an Entry: n counts pairs, missing counts samples that only one of the two (or none) has.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from roleeval.errors import ResultError
from roleeval.metrics import CUT_OFF, Unit
from roleeval.report.found.collect import Collection, Entry, RunResult, Test
from roleeval.report.found.compare import RunSet, clusters_word, interval_words, run_sets
from roleeval.report.found.groups import cell_entries, splits_of
from roleeval.report.found.paired import paired
from roleeval.report.found.rows import MetricFrames
from roleeval.report.found.seeds import member_rows
from roleeval.report.tables.columns import lower_is_better, ordered, value_text
from roleeval.report.tables.csv_lines import csv_lines
from roleeval.report.tables.heads import head_notes, heads, labels
from roleeval.report.tables.tables import NOTHING, Cell, Table, few_clusters_note
from roleeval.stats import (
    FEW_CLUSTERS,
    LEVEL,
    Difference,
    Estimate,
    conclusion,
    detectable,
    holm,
)

COLUMNS = (
    *("benchmark", "reference", "reference_run", "model", "run", "metric", "group"),
    *(
        "difference",
        "ci_low",
        "ci_high",
        "pairs",
        "unpaired",
        "clusters",
        "p",
        "p_holm",
        "detectable",
        "verdict",
        "ci_method",
    ),
)
# With fewer clusters, false alarms are more frequent than 5 % where differences are skewed: docs/statistics.md.
_SKEW_MATTERS = 25
# Shares of answers that were cut off are apart by more than this: differences are also those of the limits.
_CUT_APART = 0.1
# (metric, group) -> the difference, and the entry that it is of
Differences = dict[tuple[str, str], tuple[Difference, Entry]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A set's rows against one of them. `others` are those rows with differences for entries."""

    run_set: RunSet
    reference: RunResult
    others: tuple[RunResult, ...]


def comparisons(collection: Collection, reference: str) -> list[Comparison]:
    """Compares every set's rows with the reference, where the set has it.

    Args:
        collection: the runs.
        reference: a row's name, or MODEL/RUN; a model's name alone where a set has one run of it.

    Raises:
        ResultError: no set has the reference, one has it several times, or its score rows cannot be read.
    """
    found = []
    for run_set in run_sets(collection.rows):
        same = [row for row in run_set.rows if reference in (row.label, row.model, f"{row.model}/{row.name}")]
        if len(same) > 1:
            names = ", ".join(_choice(row) for row in same)
            raise ResultError(f"--reference {reference}: {run_set.title} has several runs of it; give one of: {names}")
        if same:
            rows = member_rows(same[0])
            others = [other for other in run_set.rows if other is not same[0]]
            differences = [_against(same[0], rows, other) for other in others]
            entries = _tested(differences)
            others = [replace(other, entries=tested) for other, tested in zip(others, entries, strict=True)]
            found.append(Comparison(run_set, same[0], tuple(others)))
    if not found:
        models = ", ".join(sorted({row.label for row in collection.rows})) or "none"
        raise ResultError(f"--reference {reference}: no such model among the runs shown; there are: {models}")
    return found


def _choice(row: RunResult) -> str:
    """How a row is named on a command line: its name in tables, and its run's."""
    run = f"{row.model}/{row.name}"
    return f"{shlex.quote(row.label)} ({run})" if row.apart else run


def _against(reference: RunResult, reference_rows: MetricFrames, other: RunResult) -> Differences:
    rows = member_rows(other)
    found: Differences = {}
    for metric, groups in other.entries.items():
        for group, entry in groups.items():
            there = reference.entries.get(metric, {}).get(group)
            parts = [(metric, part) for part in entry.mean_of or (group,)]
            # an average over other groups is another quantity
            if (
                there is None
                or (there.mean_of, there.over_rows) != (entry.mean_of, entry.over_rows)
                or not all(p in rows and p in reference_rows for p in parts)
            ):
                continue
            within = other.infos[metric].range
            found[metric, group] = (
                paired(reference_rows, rows, parts, over_rows=entry.over_rows, within=within),
                entry,
            )
    return found


def _tested(differences: Sequence[Differences]) -> list[dict[str, dict[str, Entry]]]:
    """Entries of all models, p corrected over the models for each metric and group."""
    entries: list[dict[str, dict[str, Entry]]] = [{} for _ in differences]
    for key in {key: None for found in differences for key in found}:
        those = [(row, *found[key]) for row, found in enumerate(differences) if key in found]
        corrected = iter(holm([difference.p for _, difference, _ in those if difference.p is not None]))
        tests = sum(difference.p is not None for _, difference, _ in those)
        for row, difference, entry in those:
            p_holm = None if difference.p is None else next(corrected)
            test = Test(difference.p, p_holm, detectable(difference, tests), conclusion(difference, p_holm, tests))
            entries[row].setdefault(key[0], {})[key[1]] = _entry(difference.estimate, entry, test)
    return entries


def _entry(estimate: Estimate, of: Entry, test: Test) -> Entry:
    return Entry(
        mean=estimate.mean,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        n=estimate.n,
        missing=estimate.missing,
        clusters=estimate.clusters,
        statuses={},
        mean_of=of.mean_of,
        over_rows=of.over_rows,
        method=estimate.method,
        test=test,
    )


def difference_table(comparison: Comparison, group: str, *, title: str) -> Table:
    """The differences of a set's rows in one group, of all metrics."""
    splits = splits_of(comparison.run_set.runs, group)
    cells_of = [
        {metric: found for metric in row.entries if (found := cell_entries(row, metric, group, splits))}
        for row in comparison.others
    ]
    infos = comparison.run_set.infos
    metrics = ordered((name for cells in cells_of for name in cells), infos)
    rows = tuple(
        (
            (row.label, f"{row.family} {row.name}".strip()),
            *(_cell(infos[name].unit, cells.get(name, [])) for name in metrics),
        )
        for row, cells in zip(comparison.others, cells_of, strict=True)
    )
    entries = [entry for cells in cells_of for found in cells.values() for _, entry in found]
    return Table(
        title=title,
        caption=_caption(comparison),
        columns=("model", *heads(metrics, infos)),
        rows=rows,
        notes=(*_notes(comparison, metrics, entries), *head_notes(metrics, infos)),
        names=("model", *metrics),
    )


def _cell(unit: Unit, found: Sequence[tuple[str, Entry]]) -> Cell:
    lines: list[str] = []
    for label, entry in found:
        if entry.mean is None:
            lines.append(f"{label}: {NOTHING}" if label else NOTHING)
        else:
            lines += _value(unit, label, entry)
        lines.append(_pairs(entry))
    return tuple(lines) or (NOTHING,)


def _value(unit: Unit, label: str, entry: Entry) -> list[str]:
    value = signed(unit, entry.mean or 0.0)
    if entry.ci_low is None or entry.ci_high is None:
        interval = NOTHING
    else:
        interval = f"[{value_text(unit, entry.ci_low)}, {value_text(unit, entry.ci_high)}]"
    words = _words(unit, entry.test) if entry.test else []
    return [f"{label}: {value} {interval}", *words] if label else [value, interval, *words]


def _words(unit: Unit, test: Test) -> list[str]:
    words = [test.conclusion] if test.conclusion in ("not separable", "too few clusters") else []
    words += [] if test.p_holm is None else [f"p {test.p_holm:.3f}" if test.p_holm >= 0.001 else "p < 0.001"]
    return words + ([] if test.detectable is None else [f"detectable {value_text(unit, test.detectable)}"])


def _pairs(entry: Entry) -> str:
    return f"{entry.n} pairs" + (f", {entry.missing} unpaired" if entry.missing else "")


def signed(unit: Unit, value: float) -> str:
    """A difference as tables print it, with its sign."""
    text = value_text(unit, value)
    if float(text) == 0:
        return text.removeprefix("-")
    return text if text.startswith("-") else f"+{text}"


def _caption(comparison: Comparison) -> str:
    one, several = clusters_word(comparison.run_set, 1), clusters_word(comparison.run_set)
    return (
        f"Model minus {comparison.reference.label} ({comparison.reference.name}), over the samples that both have;"
        f" {interval_words(comparison.run_set, comparison.others)}; paired; p of a test that swaps the two models"
        f" {one} by {one}, from {FEW_CLUSTERS} {several} on the larger one of its p and a bootstrap-t test's;"
        " Holm-corrected for the number of models."
    )


def _notes(comparison: Comparison, metrics: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    word = clusters_word(comparison.run_set)
    notes = [
        f'"not separable": p is above {1 - LEVEL:.2f} or the interval contains 0. p is corrected for the number of'
        " models, not for the number of metrics.",
        '"detectable": the true difference that this comparison would detect four times out of five, with p corrected'
        " for the number of models; absent where no result could be called higher or lower.",
    ]
    said = labels(metrics, comparison.run_set.infos)
    if falling := [said[name] for name in lower_is_better(metrics, comparison.run_set.infos)]:
        notes.append(f"Lower is better, so a difference below 0 is an improvement: {', '.join(falling)}.")
    if any(entry.test and entry.test.conclusion == "too few clusters" for entry in entries):
        notes.append(f'"too few clusters": with so few {word} and so many models no result could reach the limit of p.')
    if any(2 <= entry.clusters < _SKEW_MATTERS for entry in entries):
        notes.append(
            f"With fewer than {_SKEW_MATTERS} {word}, p is too small if the differences are strongly skewed"
            " (docs/statistics.md says by how much)."
        )
    if any(entry.missing for entry in entries):
        notes.append("Unpaired samples lack a value in one of the two runs, or in both, and are excluded.")
    notes += cut_apart(comparison)
    notes += few_clusters_note(comparison.run_set, entries)
    if any(row.members for row in (comparison.reference, *comparison.others)):
        notes.append("With several seeds, per-sample means are compared.")
    return notes


def cut_apart(comparison: Comparison) -> list[str]:
    """One sentence where answers of one side were cut off far more often: a difference may be that of two limits."""
    shares = {id(row): share for row in comparison.run_set.rows if (share := _cut_off(row)) is not None}
    there = shares.get(id(comparison.reference))
    if there is None:
        return []
    apart = [
        f"{row.model} {100 * share:.0f} %"
        for row in comparison.run_set.rows
        if (share := shares.get(id(row))) is not None and abs(share - there) > _CUT_APART
    ]
    if not apart:
        return []
    reference = f"{comparison.reference.model} {100 * there:.0f} %"
    return [
        f"Cut off at the token limit: {reference}, {', '.join(apart)} of all answers."
        " Differences between these rest in part on one side being cut off; compare them with a higher"
        " model.sampling.max_tokens."
    ]


def _cut_off(row: RunResult) -> float | None:
    """The share of a row's answers that were cut off, over all of its groups."""
    found = [entry for entry in row.entries.get(CUT_OFF, {}).values() if not entry.mean_of and entry.mean is not None]
    total = sum(entry.n for entry in found)
    return sum((entry.mean or 0.0) * entry.n for entry in found) / total if total else None


def differences_csv(found: Sequence[Comparison]) -> str:
    """One line per model, metric and group, with full precision."""
    return csv_lines(COLUMNS, _lines(found))


def _lines(found: Sequence[Comparison]) -> Iterator[dict[str, str | float | None]]:
    for comparison in found:
        for row in comparison.others:
            for metric in ordered(row.entries, row.infos):
                for group, entry in sorted(row.entries[metric].items()):
                    yield _line(comparison.reference, row, entry) | {"metric": metric, "group": group}


def _line(reference: RunResult, row: RunResult, entry: Entry) -> dict[str, str | float | None]:
    return {
        "benchmark": row.benchmark,
        "reference": reference.label,
        "reference_run": reference.name,
        "model": row.label,
        "run": row.name,
        "difference": entry.mean,
        "ci_low": entry.ci_low,
        "ci_high": entry.ci_high,
        "ci_method": entry.method,
        "pairs": entry.n,
        "unpaired": entry.missing,
        "clusters": entry.clusters,
        "p": None if entry.test is None else entry.test.p,
        "p_holm": None if entry.test is None else entry.test.p_holm,
        "detectable": None if entry.test is None else entry.test.detectable,
        "verdict": "" if entry.test is None else entry.test.conclusion,
    }
