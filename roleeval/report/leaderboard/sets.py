"""What the leaderboard itself shows: comparable runs in sets, their metrics, entries and what may be said of them.

data/index.js   every set with its rows, and of the values those of the headline
data/s0.js      a set's values in all metrics and groups
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roleeval.report.found.collect import Entry, RunResult, judge_words
from roleeval.report.found.compare import RunSet, caption, data_name, decoding, interval_words, limit
from roleeval.report.found.frames import Frames
from roleeval.report.found.groups import headline_groups, parts_of, splits_of, table_groups
from roleeval.report.leaderboard.runs import run_key
from roleeval.report.tables.best import marks
from roleeval.report.tables.chosen import Choice
from roleeval.report.tables.columns import Infos, headline, ordered
from roleeval.report.tables.heads import labels
from roleeval.report.tables.published import published_tables
from roleeval.report.tables.tables import Table
from roleeval.resources import resource
from roleeval.results import ResultFolder

_DIGITS = 6


def set_data(run_set: RunSet, numbers: Mapping[Path, int], languages: Mapping[str, set[str]]) -> dict[str, Any]:
    """What the index says of a set.

    Args:
        run_set: the set.
        numbers: a run's folder -> its number in the index.
        languages: split -> languages.
    """
    infos = run_set.infos
    metrics = ordered((metric for row in run_set.rows for metric in row.entries), infos)
    shown, groups = _in_order(metrics, infos), headline_groups(run_set.rows)
    words = judge_words(run_set.runs)
    return {
        "title": run_set.title,
        "benchmark": run_set.benchmark,
        "difference": run_set.difference,
        "caption": caption(run_set, ()),
        "intervals": interval_words(run_set),
        "cluster": run_set.rows[0].facts.cluster,
        "judges": words,
        "groups": [_group(run_set, group, languages, group in groups) for group in table_groups(run_set.rows)],
        "metrics": [asdict(infos[metric]) for metric in metrics],
        "labels": labels(metrics, infos),
        "headline": shown,
        "rows": [_row(row, numbers) for row in run_set.rows],
        "standings": _standings(run_set, shown, groups),
        "published": [table_data(table) for table in published_tables([run_set.benchmark])],
        "papers": _papers(run_set.benchmark),
    }


def _in_order(metrics: Sequence[str], infos: Infos) -> list[str]:
    """The headline: the few of a report's table first, those before others that represent the benchmark or a judge."""
    few = sorted(Choice().metrics(metrics, infos), key=lambda name: not infos[name].primary)
    return [*few, *(name for name in headline(metrics, infos) if name not in few)]


def _standings(run_set: RunSet, metrics: Sequence[str], groups: Sequence[str]) -> dict[str, list[str]]:
    """Metric and group, with a space between them -> the mark of each row, as in a report's tables (tables/best.py)."""
    frames, found = Frames(metrics), dict[str, list[str]]()
    for metric in metrics:
        for group in groups:
            cells = [(row, row.entries.get(metric, {}).get(group)) for row in run_set.rows]
            found[f"{metric} {group}"] = list(marks(run_set.infos[metric], cells, frames))
    return {key: row for key, row in found.items() if any(row)}


def _papers(benchmark: str) -> list[dict[str, str]]:
    """The papers about a benchmark, as far as published numbers name them: for citations."""
    import yaml

    files = sorted(resource("results/published").glob("*.yaml"))
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    papers = [each for each in found if each["benchmark"] == benchmark]
    return [
        {"title": each["title"], "source": each["source"], "arxiv": str(each.get("arxiv") or "")} for each in papers
    ]


def _group(run_set: RunSet, group: str, languages: Mapping[str, set[str]], is_headline: bool) -> dict[str, Any]:
    splits = splits_of(run_set.rows, group)
    spoken = sorted({language for split in splits for language in languages.get(split, ())})
    return {
        "name": group,
        "parts": parts_of(run_set.rows, group),
        "splits": splits,
        "languages": spoken,
        "headline": is_headline,
    }


def _row(row: RunResult, numbers: Mapping[Path, int]) -> dict[str, Any]:
    facts = row.facts
    return {
        "label": row.label,
        "model": row.model,
        "family": row.family,
        "name": row.name,
        "runs": [numbers[run.path] for run in row.members or (row,)],
        "parameters": asdict(facts.parameters),
        "planned": facts.planned,
        "statuses": facts.statuses,
    }


def entries_data(row: RunResult, metrics: Sequence[str] | None = None) -> dict[str, dict[str, list[Any]]]:
    """Metric -> group -> values, of all metrics or of some."""
    return {
        metric: {group: _entry(entry) for group, entry in groups.items()}
        for metric, groups in row.entries.items()
        if metrics is None or metric in metrics
    }


def _entry(entry: Entry) -> list[Any]:
    """mean, low, high, n, missing, clusters, method, bounds, spread of seeds, statuses; without an empty end."""
    spread = None if entry.spread is None else [entry.spread.sd, entry.spread.low, entry.spread.high]
    statuses = {status: count for status, count in entry.statuses.items() if status != "ok"}
    values: list[Any] = [
        _rounded(entry.mean),
        _rounded(entry.ci_low),
        _rounded(entry.ci_high),
        entry.n,
        entry.missing,
        entry.clusters,
        entry.method,
        entry.bounds if entry.missing else None,
        spread,
        statuses or None,
    ]
    while values[-1] is None:
        values.pop()
    return values


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def run_data(run: RunResult) -> dict[str, Any]:
    """What the index says of one run: its identity, and how it was made."""
    facts, manifest = run.facts, ResultFolder(run.path).manifest()
    session = {} if manifest is None else manifest.session
    return {
        "key": run_key(run),
        "run": f"{run.model}/{run.name}",
        "benchmark": run.benchmark,
        "label": run.label,
        "family": run.family,
        "seed": facts.seed,
        "data": data_name(facts.data),
        "dataHash": facts.data_hash,
        "packs": [asdict(pack) for pack in facts.prompt_packs],
        "setup": facts.setup,
        "limit": limit(facts),
        "engine": facts.engine,
        "decoding": decoding(facts.sampling),
        "parameters": asdict(facts.parameters),
        "planned": facts.planned,
        "statuses": facts.statuses,
        "tokensPerSecond": session.get("output_tokens_per_s"),
        "version": "" if manifest is None else manifest.provenance.get("roleeval", ""),
        "stage": "" if manifest is None else manifest.stages.get("score", ""),
    }


def table_data(table: Table) -> dict[str, Any]:
    """A report's table as the page shows it: every cell is its lines."""
    return {
        "title": table.title,
        "caption": table.caption,
        "columns": table.columns,
        "rows": table.rows,
        "notes": table.notes,
    }
