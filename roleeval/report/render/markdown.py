"""report.md. Everything that comes from a model, a file or a folder name is escaped."""

import re
from collections.abc import Iterable
from dataclasses import replace

from roleeval import __version__
from roleeval.plain import plain
from roleeval.report.found.collect import NotShown
from roleeval.report.tables.contents import Contents, Section
from roleeval.report.tables.facts import fact_columns
from roleeval.report.tables.legend import legend
from roleeval.report.tables.published import published_tables
from roleeval.report.tables.ratings import ratings_table
from roleeval.report.tables.standings import Score, Standings
from roleeval.report.tables.tables import NOTHING, Table, runs_table

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.+/-]*", re.ASCII)
_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in "|`\\*[]~$#@"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_INTERVAL = re.compile(r"(?:[\w/]+: -?[\d.]+ )?\[-?[\d.]+, -?[\d.]+\]", re.ASCII)
_OUTER_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)")


def markdown(found: Contents) -> str:
    """The whole report."""
    lines = ["# Results", "", _opening(found), ""]
    lines += standings_lines(found.overall) if found.overall else []
    for section in found.sections:
        lines += _section(section)
    lines += _reported(section.run_set.benchmark for section in found.sections)
    lines += _not_shown(found.not_shown)
    return "\n".join(lines).rstrip("\n") + "\n"


def headlines(found: Contents) -> str:
    """The headline tables alone."""
    return "\n".join(line for table in found.headlines for line in standings_lines(table)).rstrip("\n") + "\n"


def _opening(found: Contents) -> str:
    shown, left_out = sum(len(section.run_set.runs) for section in found.sections), len(found.not_shown)
    missing = f" {left_out} folder(s) are not shown; see the last section for the reasons." if left_out else ""
    return (
        f"{shown} run(s), reported by roleeval {__version__}. A cell has a mean and its interval; values are"
        f" fractions except lengths, counts, ranks and points. Coverage is scored / planned answers.{missing}"
    )


def _section(section: Section) -> list[str]:
    lines = [f"## {escape(section.run_set.title)}", ""]
    if section.run_set.difference:
        lines += [escape(section.run_set.difference), ""]
    for each in section.standings:
        lines += standings_lines(replace(each, title=f"Headline: {each.group}", caveat=""))
    for rated in section.ratings:
        lines += table_lines(ratings_table(rated))
    for table in (*section.differences(), runs_table(section.run_set), legend(section.run_set), *section.details()):
        lines += table_lines(table)
    return lines


def standings_lines(found: Standings) -> list[str]:
    """One headline table: the best value in bold, what is not separable from it marked."""
    columns = fact_columns(found)
    heads = ("model", "family", *(column.head for column in columns), *found.heads)
    lines = [f"### {escape(found.title)}", "", escape(found.caption), "", f"| {' | '.join(map(escape, heads))} |"]
    align = ["---", "---", *("--:" if column.number else "---" for column in columns), *["--:"] * len(found.heads)]
    lines.append(f"| {' | '.join(align)} |")
    for place, line in enumerate(found.lines):
        name = line.row.model if found.axes else line.row.label
        texts = [escape(text) for text in (name, line.row.family, *(column.texts[place] for column in columns))]
        lines.append(f"| {' | '.join([*texts, *map(_value, line.scores)])} |")
    lines.append("")
    return [*lines, *(f"- {escape(note)}" for note in (found.caveat, *found.notes) if note), ""]


def _value(score: Score | None) -> str:
    if score is None:
        return NOTHING
    mean = f"**{score.mean}**" if score.mark == "best" else score.mean
    return mean + (f" ±{score.half}" if score.half else "") + (" ≈" if score.mark == "tied" else "")


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
