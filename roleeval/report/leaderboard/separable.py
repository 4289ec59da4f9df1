"""Which rows of a set are not separable from its best one, metric by metric and group by group.

Paired differences over the samples that both have, Holm-corrected over the rows: the same tests as a report's table of
differences, with the best row as the reference.
"""

from collections.abc import Mapping, Sequence

from roleeval.errors import ResultError
from roleeval.metrics import MetricInfo
from roleeval.report.found.collect import RunResult
from roleeval.report.found.compare import RunSet
from roleeval.report.found.rows import MetricFrames, cluster_numbers
from roleeval.report.found.seeds import member_rows
from roleeval.stats import Difference, conclusion, holm, paired_difference

# (metric, group) -> [row] of "best", a conclusion of stats.conclusion, or "" where there is none
Standings = dict[tuple[str, str], list[str]]


def standings(run_set: RunSet, metrics: Sequence[str], groups: Sequence[str]) -> Standings:
    """What tests say of each row against the best one; nothing where a metric has no direction.

    Raises:
        ResultError: score rows cannot be read.
    """
    wanted = {
        (metric, group): best
        for metric in metrics
        for group in groups
        if (best := _best(run_set.rows, metric, group, run_set.infos[metric])) is not None
    }
    if not wanted:
        return {}
    frames = [member_rows(row) for row in run_set.rows]
    return {key: _compared(run_set, frames, *key, best=best) for key, best in wanted.items()}


def _best(rows: Sequence[RunResult], metric: str, group: str, info: MetricInfo) -> int | None:
    means = {
        number: entry.mean
        for number, row in enumerate(rows)
        if (entry := row.entries.get(metric, {}).get(group)) is not None and entry.mean is not None
    }
    if len(set(means.values())) < 2 or info.higher_is_better is None:
        return None  # nothing is best where all are equal
    choose = max if info.higher_is_better else min
    return choose(means, key=lambda number: means[number])


def _compared(run_set: RunSet, frames: Sequence[MetricFrames], metric: str, group: str, *, best: int) -> list[str]:
    reference = run_set.rows[best].entries[metric][group]
    parts = [(metric, part) for part in reference.mean_of or (group,)]
    differences: dict[int, Difference] = {}
    for number, row in enumerate(run_set.rows):
        entry = row.entries.get(metric, {}).get(group)
        if number == best or entry is None or entry.mean_of != reference.mean_of:
            continue
        if all(part in frames[number] and part in frames[best] for part in parts):
            within = run_set.infos[metric].range
            pairs = [_joined(frames[best], frames[number], part) for part in parts]
            differences[number] = paired_difference(pairs, over_rows=entry.over_rows, within=within)
    tested = [number for number, found in differences.items() if found.p is not None]
    corrected = dict(zip(tested, holm([differences[number].p or 0.0 for number in tested]), strict=True))
    words = [""] * len(run_set.rows)
    for number, row in enumerate(run_set.rows):
        entry = row.entries.get(metric, {}).get(group)
        if entry is not None and entry.mean == reference.mean:
            words[number] = "best"
    for number, found in differences.items():
        words[number] = words[number] or conclusion(found, corrected.get(number), len(tested))
    return words


def _joined(reference: MetricFrames, other: MetricFrames, part: tuple[str, str]):  # type: ignore[no-untyped-def]
    frame = reference[part].add_suffix("_reference").join(other[part], how="outer").sort_index()
    (clusters,) = cluster_numbers([frame["cluster_reference"].fillna(frame["cluster"])])
    return frame["value_reference"].to_numpy(dtype=float), frame["value"].to_numpy(dtype=float), clusters


def readable_standings(run_set: RunSet, metrics: Sequence[str], groups: Sequence[str]) -> Mapping[str, list[str]]:
    """`standings` by "metric group"; {} where score rows cannot be read, which the runs' own pages say."""
    try:
        found = standings(run_set, metrics, groups)
    except ResultError:
        return {}
    return {f"{metric} {group}": words for (metric, group), words in found.items()}
