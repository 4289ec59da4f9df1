"""The headline tables as one CSV: one value a row, under names that stay (`report --format csv`)."""

from collections.abc import Iterator

from roleeval.report.tables.contents import Contents
from roleeval.report.tables.csv_lines import csv_lines
from roleeval.report.tables.standings import Line, Score, Standings

COLUMNS = (
    *("benchmark", "set", "group", "model", "label", "family", "run", "options", "metric", "metric_label", "unit"),
    *("higher_is_better", "mean", "ci_low", "ci_high", "ci_method", "mark", "n", "missing", "clusters", "coverage"),
    *("seeds", "base_parameters", "adapter_parameters", "parameters_per_added_role", "tokens_per_s"),
)


def tidy(found: Contents) -> str:
    """The values of every benchmark's headline tables; marks are "best", "tied" (not separable from it) or empty."""
    rows = (
        row
        for section in found.sections
        for table in section.standings
        for row in _rows(section.run_set.benchmark, section.run_set.title, table)
    )
    return csv_lines(COLUMNS, rows)


def _rows(benchmark: str, title: str, table: Standings) -> Iterator[dict[str, str | float | None]]:
    for line in table.lines:
        for score in line.scores:
            if score is not None:
                told = {"benchmark": benchmark, "set": title, "group": table.group}
                yield told | _of_row(line) | _of_score(score)


def _of_row(line: Line) -> dict[str, str | float | None]:
    facts, row = line.row.facts, line.row
    return {
        "model": row.model,
        "label": row.label,
        "family": row.family,
        "run": row.name,
        "options": "; ".join(f"{option}={value}" for option, value in row.axes),
        "coverage": line.coverage,
        "seeds": len(row.members) or 1,
        "base_parameters": facts.parameters.base,
        "adapter_parameters": facts.parameters.adapters,
        "parameters_per_added_role": facts.parameters.per_added_role,
        "tokens_per_s": facts.tokens_per_s,
    }


def _of_score(score: Score) -> dict[str, str | float | None]:
    entry, info = score.entry, score.info
    return {
        "metric": info.name,
        "metric_label": info.label,
        "unit": info.unit,
        "higher_is_better": None if info.higher_is_better is None else str(info.higher_is_better).lower(),
        "mean": entry.mean,
        "ci_low": entry.ci_low,
        "ci_high": entry.ci_high,
        "ci_method": entry.method,
        "mark": score.mark,
        "n": entry.n,
        "missing": entry.missing,
        "clusters": entry.clusters,
    }
