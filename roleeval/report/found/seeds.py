"""Combines runs that differ only in their seed into one row: mean over seeds, interval, and the seeds' spread."""

import statistics
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from roleeval.errors import ResultError
from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import Collection, Entry, NotShown, RunResult, Spread
from roleeval.report.found.rows import MetricFrames, cluster_numbers, mean_rows, score_rows
from roleeval.stats import Estimate, Range, mean_of_means, pooled


def with_rows(collection: Collection) -> Collection:
    """The same collection with the rows that tables show."""
    rows, trouble = table_rows(collection.runs)
    not_shown = sorted([*collection.not_shown, *trouble], key=lambda item: str(item.path))
    return replace(collection, rows=tuple(rows), not_shown=tuple(not_shown))


def table_rows(runs: Sequence[RunResult]) -> tuple[list[RunResult], list[NotShown]]:
    """One row for each model, in the order of the runs; and which runs' score rows could not be read for a mean."""
    parts: dict[Hashable, list[RunResult]] = {}
    for run in runs:
        parts.setdefault(_key(run), []).append(run)
    rows: list[RunResult] = []
    trouble: list[NotShown] = []
    for part in parts.values():
        if not _are_seeds_of_one(part):
            rows += part
            continue
        try:
            rows.append(_merged(sorted(part, key=lambda run: run.facts.seed or 0)))
        except ResultError as error:
            rows += part
            trouble.append(NotShown(part[0].path, f"its mean over {len(part)} seeds: {error}"))
    return rows, trouble


def _key(run: RunResult) -> Hashable:
    return run.benchmark, run.model, run.family, run.facts.identity, repr(sorted(run.facts.sampling.items()))


def _are_seeds_of_one(part: Sequence[RunResult]) -> bool:
    """Whether runs can be averaged: a seed each, and the same metrics in the same groups."""
    seeds = {run.facts.seed for run in part}
    contents = {tuple((metric, *sorted(groups)) for metric, groups in sorted(run.entries.items())) for run in part}
    return len(part) > 1 and None not in seeds and len(seeds) == len(part) and len(contents) == 1


def member_rows(run: RunResult, metrics: Iterable[str] | None = None) -> MetricFrames:
    """The score rows of a table's row, of all metrics or of those that are named.

    Raises:
        ResultError: they cannot be read.
    """
    if run.members:
        return mean_rows([score_rows(member.path, metrics) for member in run.members])
    return score_rows(run.path, metrics)


def _merged(runs: Sequence[RunResult]) -> RunResult:
    rows = mean_rows([score_rows(run.path) for run in runs])
    entries = {
        metric: {
            group: _entry([run.entries[metric][group] for run in runs], runs[0].infos[metric], group, rows)
            for group in groups
        }
        for metric, groups in runs[0].entries.items()
    }
    speeds = [run.facts.tokens_per_s for run in runs if run.facts.tokens_per_s is not None]
    facts = replace(
        runs[0].facts,
        seed=None,
        planned=sum(run.facts.planned for run in runs),
        statuses=_summed(run.facts.statuses for run in runs),
        rows_skipped=max(run.facts.rows_skipped for run in runs),
        tokens_per_s=statistics.fmean(speeds) if len(speeds) == len(runs) else None,
    )
    name = f"seeds {', '.join(str(run.facts.seed) for run in runs)}"
    return replace(runs[0], name=name, facts=facts, entries=entries, members=tuple(runs))


def _entry(entries: Sequence[Entry], info: MetricInfo, group: str, rows: MetricFrames) -> Entry:
    groups = entries[0].mean_of or (group,)
    estimate = _estimate(info.name, groups, rows, over_rows=entries[0].over_rows, within=info.range)
    means = [entry.mean for entry in entries if entry.mean is not None]
    whole = len(means) == len(entries)
    return Entry(
        mean=estimate.mean,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        n=sum(entry.n for entry in entries),
        missing=sum(entry.missing for entry in entries),
        clusters=estimate.clusters,
        method=estimate.method,
        statuses=_summed(entry.statuses for entry in entries),
        mean_of=entries[0].mean_of,
        over_rows=entries[0].over_rows,
        spread=Spread(statistics.stdev(means), min(means), max(means)) if whole else None,
        bounds=_bounds(entries),
    )


def _bounds(entries: Sequence[Entry]) -> tuple[float, float] | None:
    """What the mean over seeds would be if all that judges left out were the worst, and the best, possible."""
    bounds = [entry.bounds for entry in entries if entry.bounds is not None]
    if len(bounds) < len(entries):
        return None
    return statistics.fmean(worst for worst, _ in bounds), statistics.fmean(best for _, best in bounds)


def _estimate(metric: str, groups: Sequence[str], rows: MetricFrames, *, over_rows: bool, within: Range) -> Estimate:
    if absent := [group for group in groups if (metric, group) not in rows]:
        raise ResultError(f"scores.parquet has no rows of {metric} in {', '.join(absent)}; score the runs again")
    frames = [rows[metric, group] for group in groups]
    clusters = cluster_numbers(frame["cluster"] for frame in frames)
    values = [frame["value"].to_numpy(dtype=float) for frame in frames]
    parts = list(zip(values, clusters, strict=True))
    return mean_of_means(pooled(parts) if over_rows else parts, within=within)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
