"""report.csv: one line per run, metric and group, with full precision, for further analysis.

A mean over seeds has separate lines after the runs: `seeds` lists the averaged seeds, and `seed` is empty.
"""

from collections.abc import Iterator

from roleeval.report.found.collect import Collection, Entry, RunResult
from roleeval.report.found.groups import planned_rows
from roleeval.report.tables.columns import ordered
from roleeval.report.tables.csv_lines import csv_lines

COLUMNS = (
    "benchmark",
    "model",
    "family",
    "run",
    "metric",
    "group",
    "mean",
    "ci_low",
    "ci_high",
    "n",
    "missing",
    "clusters",
    "statuses",
    "data_hash",
    "prompt_pack",
    "seed",
    "limit",
    "planned",
    "seeds",
    "seeds_sd",
    "seeds_min",
    "seeds_max",
    "base_parameters",
    "adapter_parameters",
    "parameters_per_added_role",
    "bound_worst",
    "bound_best",
    "ci_method",
    "chosen_clusters",
)


def csv_text(collection: Collection) -> str:
    """The lines of all runs, in the report's order."""
    return csv_lines(COLUMNS, _lines(collection))


def _lines(collection: Collection) -> Iterator[dict[str, str | float | None]]:
    for run in (*collection.runs, *(row for row in collection.rows if row.members)):
        for metric in ordered(run.entries, run.infos):
            for group, entry in sorted(run.entries[metric].items()):
                yield _line(run, metric, group, entry)


def _line(run: RunResult, metric: str, group: str, entry: Entry) -> dict[str, str | float | None]:
    facts = run.facts
    planned = None if run.infos[metric].per == "cluster" else planned_rows(run, group, entry)
    return {
        "benchmark": run.benchmark,
        "model": run.label,
        "family": run.family,
        "run": run.name,
        "metric": metric,
        "group": group,
        "mean": entry.mean,
        "ci_low": entry.ci_low,
        "ci_high": entry.ci_high,
        "ci_method": entry.method,
        "n": entry.n,
        "missing": entry.missing,
        "clusters": entry.clusters,
        "statuses": ";".join(f"{status}={count}" for status, count in sorted(entry.statuses.items())),
        "bound_worst": entry.bounds and entry.bounds[0],
        "bound_best": entry.bounds and entry.bounds[1],
        "data_hash": facts.data_hash,
        "prompt_pack": ";".join(f"{p.name}@{p.version}:{p.sha256}" for p in facts.prompt_packs),
        "seed": facts.seed,
        "limit": facts.limit,
        "chosen_clusters": None if facts.chosen is None else ";".join(facts.chosen),
        "planned": planned,
        "seeds": ";".join(str(member.facts.seed) for member in run.members) or None,
        "seeds_sd": entry.spread.sd if entry.spread else None,
        "seeds_min": entry.spread.low if entry.spread else None,
        "seeds_max": entry.spread.high if entry.spread else None,
        "base_parameters": facts.parameters.base,
        "adapter_parameters": facts.parameters.adapters,
        "parameters_per_added_role": facts.parameters.per_added_role,
    }
