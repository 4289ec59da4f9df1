"""Joins two sides: the values of each gated metric, sample by sample, for the tests of stats/gate.py."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from roleeval.metrics import MetricInfo
from roleeval.report.regress.kept import KeptRun, Side
from roleeval.report.regress.policy import Margin, Policy

FEWEST_CLUSTERS = 2  # that a metric needs to be tested
# (sample, group of rows) -> value
Rows = Mapping[tuple[str, str], float | None]


@dataclass(frozen=True, slots=True)
class Paired:
    """One gated metric of one model in both runs; a row is a sample in one group of rows.

    Attributes:
        benchmark, model: whose.
        info: the metric.
        group: "" for all rows together.
        rows: (sample, group) of the rows that both sides have.
        before, now: their values, each the mean over the run's seeds.
        clusters: theirs.
        margin: the accepted loss, in the metric's unit; 0 where none follows from the policy.
        declared: the margin as the policy has it.
        missing: rows without a value: in the baseline, now.
    """

    benchmark: str
    model: str
    info: MetricInfo
    group: str
    rows: tuple[tuple[str, str], ...]
    before: tuple[float, ...]
    now: tuple[float, ...]
    clusters: tuple[str, ...]
    margin: float
    declared: Margin
    missing: tuple[int, int]

    @property
    def name(self) -> str:
        """Unique in one comparison."""
        group = f" in {self.group}" if self.group else ""
        return f"{self.benchmark}/{self.model}: {self.info.name}{group}"

    @property
    def losses(self) -> dict[str, float]:
        """Sample -> how much worse it is now, in margins; the mean over its rows."""
        sign = 1 if self.info.higher_is_better else -1
        found: dict[str, list[float]] = {}
        for (sample, _), before, now in zip(self.rows, self.before, self.now, strict=True):
            found.setdefault(sample, []).append(sign * (before - now) / (self.margin or 1.0))
        return {sample: statistics.fmean(losses) for sample, losses in found.items()}


def gated_pairs(baseline: Side, current: Side, policy: Policy) -> list[Paired]:
    """Every gated metric of every model that is on both sides.

    Raises:
        ConfigError: the policy names no metric of theirs.
    """
    shared = [key for key in baseline.runs if key in current.runs]
    infos = [{**current.runs[key][0].infos, **baseline.runs[key][0].infos} for key in shared]
    wanted = set(policy.gated({name: info for each in reversed(infos) for name, info in each.items()}))
    found = []
    for key, known in zip(shared, infos, strict=True):
        before, now = baseline.runs[key], current.runs[key]
        for name in known:
            if name in wanted and all(name in runs[0].infos for runs in (before, now)):
                found += list(_of_metric(before, now, known[name], policy))
    return found


def _of_metric(before: Sequence[KeptRun], now: Sequence[KeptRun], info: MetricInfo, policy: Policy) -> Iterator[Paired]:
    there, here = mean_rows(before, info.name), mean_rows(now, info.name)
    clusters = {sample.id: sample.cluster for run in (*now, *before) for sample in run.samples}
    shared = [row for row in there if row in here]
    for group, parts in _groups(before[0], shared, policy).items():
        rows = [row for row in shared if row[1] in parts]
        pairs = [(row, there[row], here[row]) for row in rows]
        whole = [(row, one, other) for row, one, other in pairs if one is not None and other is not None]
        if not rows:
            continue
        declared = policy.margin(info)
        # of all that the baseline has: the same margin, however much of the current run is there
        values = [one for row, one in there.items() if row[1] in parts and one is not None]
        mean = statistics.fmean(values) if values else 0.0
        yield Paired(
            benchmark=before[0].benchmark,
            model=before[0].model,
            info=info,
            group=group,
            rows=tuple(row for row, _, _ in whole),
            before=tuple(one for _, one, _ in whole),
            now=tuple(other for _, _, other in whole),
            clusters=tuple(f"{before[0].benchmark}/{clusters[row[0]]}" for row, _, _ in whole),
            margin=declared.resolve(info, mean),
            declared=declared,
            missing=(sum(one is None for _, one, _ in pairs), sum(other is None for _, _, other in pairs)),
        )


def _groups(run: KeptRun, rows: Sequence[tuple[str, str]], policy: Policy) -> dict[str, set[str]]:
    """The groups that are tested apart -> their groups of rows."""
    present = {group for _, group in rows}
    if not policy.by_group:
        return {"": present}
    splits = {group: {part.partition("/")[0] for part in parts} for group, parts in run.groups.items()}
    return {
        group: {each for each in present if each in parts or each.partition("/")[0] in splits[group]}
        for group, parts in run.groups.items()
    }


def mean_rows(runs: Sequence[KeptRun], metric: str) -> Rows:
    """(sample, group) -> mean over the runs that have a value; None where none has."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for (name, group), series in run.series.items():
            if name != metric:
                continue
            for place, value in zip(series.samples, series.values, strict=True):
                values = found.setdefault((run.samples[place].id, group), [])
                if value is not None:
                    values.append(value)
    return {row: statistics.fmean(values) if values else None for row, values in found.items()}
