"""Paired differences as a headline table: a sign, half the interval's width, and a mark where no test finds one."""

from collections.abc import Sequence

from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Entry
from roleeval.report.found.compare import clusters_word, interval_words
from roleeval.report.found.groups import headline_groups, splits_of
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.differences import Comparison, cut_apart
from roleeval.report.tables.heads import head_notes, heads
from roleeval.report.tables.standings import Line, Score, Standings, single_entries
from roleeval.stats import LEVEL


def changes(comparison: Comparison, choice: Choice) -> list[Standings]:
    """One table for each headline group, with the metrics of the headline; [] where there is nobody to compare."""
    run_set, rows = comparison.run_set, choice.rows(comparison.others)
    infos, found = run_set.infos, []
    for group in headline_groups(run_set.runs) if rows else ():
        cells = [single_entries(row, group, splits_of(run_set.runs, group)) for row in rows]
        names = choice.metrics({name for each in cells for name in each}, infos)
        lines = [
            Line(row, None, None, tuple(_score(infos[name], each.get(name)) for name in names))
            for row, each in zip(rows, cells, strict=True)
        ]
        shown = [score.entry for line in lines for score in line.scores if score]
        if shown:
            found.append(
                Standings(
                    title=f"{run_set.title}: {group}, differences from {comparison.reference.label}",
                    group=group,
                    caption=_caption(comparison),
                    names=tuple(names),
                    heads=tuple(heads(names, infos)),
                    lines=tuple(lines),
                    notes=(*_notes(comparison, shown), *head_notes(names, infos)[:1]),
                )
            )
    return found


def _score(info: MetricInfo, entry: Entry | None) -> Score | None:
    if entry is None:
        return None
    told = entry.test is not None and entry.test.conclusion in ("higher", "lower")
    return Score(entry, info, "" if told else "tied", signed=True)


def _caption(comparison: Comparison) -> str:
    return (
        f"Model minus {comparison.reference.label} ({comparison.reference.name}), over the samples that both have;"
        f" {interval_words(comparison.run_set, comparison.others)}; paired. p, pairs and detectable differences:"
        " --diagnostics, or report.md and differences.csv with --out."
    )


def _notes(comparison: Comparison, entries: Sequence[Entry]) -> list[str]:
    word = clusters_word(comparison.run_set)
    notes = [
        f"≈: not separable: p is above {1 - LEVEL:.2f}, corrected for the number of models and not of metrics, or the"
        " interval contains 0."
    ]
    if any(entry.test and entry.test.conclusion == "too few clusters" for entry in entries):
        notes.append(f"Too few clusters: with so few {word} and so many models no result could reach the limit of p.")
    return [*notes, *cut_apart(comparison)]
