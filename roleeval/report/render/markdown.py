"""report.md. Everything that comes from a model, a file or a folder name is escaped."""

import re
from collections.abc import Iterable, Sequence

from roleeval import __version__
from roleeval.plain import plain
from roleeval.report.found.collect import Collection, NotShown
from roleeval.report.found.compare import RunSet, run_sets
from roleeval.report.found.groups import headline_groups, table_groups
from roleeval.report.tables.differences import Comparison, difference_table
from roleeval.report.tables.legend import legend
from roleeval.report.tables.published import published_tables
from roleeval.report.tables.ratings import Rated, ratings_table
from roleeval.report.tables.tables import Table, group_table, runs_table

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.+/-]*", re.ASCII)
_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in "|`\\*[]~$#@"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_INTERVAL = re.compile(r"(?:[\w/]+: -?[\d.]+ )?\[-?[\d.]+, -?[\d.]+\]", re.ASCII)
_OUTER_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)")


def markdown(collection: Collection, compared: Sequence[Comparison] = (), ratings: Sequence[Rated] = ()) -> str:
    """The whole report, with pairwise judges' ratings, and the differences of sets compared with a reference."""
    lines = ["# Results", "", _opening(collection), ""]
    for run_set in run_sets(collection.rows):
        mine = [each for each in ratings if each.run_set.title == run_set.title]
        lines += _set_section(run_set, [c for c in compared if c.run_set.title == run_set.title], mine)
    lines += _reported(run.benchmark for run in collection.rows)
    lines += _not_shown(collection.not_shown)
    return "\n".join(lines).rstrip("\n") + "\n"


def _opening(collection: Collection) -> str:
    shown, left_out = len(collection.runs), len(collection.not_shown)
    missing = f" {left_out} folder(s) are not shown; see the last section for the reasons." if left_out else ""
    return (
        f"{shown} run(s), reported by roleeval {__version__}. A cell has a mean and its interval; values are"
        f" fractions except lengths, counts, ranks and points. Coverage is scored / planned answers.{missing}"
    )


def _set_section(run_set: RunSet, compared: Sequence[Comparison], ratings: Sequence[Rated]) -> list[str]:
    lines = [f"## {escape(run_set.title)}", ""]
    if run_set.difference:
        lines += [escape(run_set.difference), ""]
    for group in headline_groups(run_set.runs):
        lines += table_lines(group_table(run_set, group, title=f"Headline: {group}", short=True))
    for each in ratings:
        lines += table_lines(ratings_table(each))
    for comparison in compared:
        for group in table_groups(run_set.runs) if comparison.others else ():
            title = f"Differences from {comparison.reference.label}: {group}"
            lines += table_lines(difference_table(comparison, group, title=title, short=False))
    lines += table_lines(runs_table(run_set))
    lines += table_lines(legend(run_set))
    for group in table_groups(run_set.runs):
        lines += table_lines(group_table(run_set, group, title=f"All metrics: {group}", short=False))
    return lines


def _reported(benchmarks: Iterable[str]) -> list[str]:
    tables = published_tables(benchmarks)
    lines = ["## Reported elsewhere", "", "Published numbers, not measured here.", ""] if tables else []
    for table in tables:
        lines += table_lines(table)
    return lines


def table_lines(table: Table) -> list[str]:
    """One table with its heading, caption and notes."""
    lines = [f"### {escape(table.title)}", ""]
    if table.caption:
        lines += [escape(table.caption), ""]
    lines.append(f"| {' | '.join(map(escape, table.columns))} |")
    lines.append("|" + " --- |" * len(table.columns))
    lines += [f"| {' | '.join('<br>'.join(map(escape, cell)) for cell in row)} |" for row in table.rows]
    lines.append("")
    if table.notes:
        lines += [*(f"- {escape(note)}" for note in table.notes), ""]
    return lines


def _not_shown(items: Iterable[NotShown]) -> list[str]:
    lines = [f"- {escape(str(item.path))}: {escape(item.reason)}" for item in items]
    return ["## Not shown", "", *lines, ""] if lines else []


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no table cell, code, emphasis, link or HTML can start in it."""
    text = plain(text)
    name = _PLAIN_NAME.fullmatch(text) and not text.endswith("_") and "www." not in text
    if name or _INTERVAL.fullmatch(text):
        return text
    text = _OUTER_UNDERSCORE.sub("&#95;", text.translate(_ENTITIES))
    return text.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
