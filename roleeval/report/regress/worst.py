"""The items that lost most, with both answers where texts are at hand."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roleeval.metrics import MetricInfo
from roleeval.report.regress.guards import Guard
from roleeval.report.regress.kept import KeptRun, Side, Spoken
from roleeval.report.regress.pairs import Paired
from roleeval.report.regress.read import spoken

# A metric, and sample -> its loss (Paired.losses)
Losing = tuple[Paired, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class WorstItem:
    """One item that is worse than before.

    Attributes:
        benchmark, model, sample, cluster: which.
        loss: mean over the metrics that it was chosen by, in margins.
        metric: the one that lost most.
        values: of that metric, before and now; the mean over its rows.
        guards: the broken guards that it trips.
        before, now: what was said; None where no text is at hand.
    """

    benchmark: str
    model: str
    sample: str
    cluster: str
    loss: float
    metric: MetricInfo | None
    values: tuple[float, float] | None
    guards: tuple[str, ...]
    before: Spoken | None
    now: Spoken | None


def worst_items(
    baseline: Side, current: Side, chosen: Sequence[Paired], broken: Sequence[Guard], *, count: int
) -> list[WorstItem]:
    """Those that trip a broken guard first, then by their loss over the metrics that are given; none that lost nothing.

    Args:
        baseline, current: the two sides.
        chosen: the metrics that failed; or, where none did, those that are in doubt.
        broken: the guards that are broken.
        count: how many at most.

    Raises:
        ResultError: transcripts are damaged.
    """
    losing = [(each, each.losses) for each in chosen]
    found: list[tuple[tuple[str, str], str, float]] = []
    tripped: dict[tuple[str, str, str], list[str]] = {}
    for guard in broken:
        for sample in guard.examples:
            tripped.setdefault((guard.benchmark, guard.model, sample), []).append(guard.name)
    for key in baseline.runs:
        if key in current.runs:
            metrics = [lost for each, lost in losing if (each.benchmark, each.model) == key]
            samples = dict.fromkeys([name for *of, name in tripped if tuple(of) == key])
            samples |= dict.fromkeys(name for losses in metrics for name in losses)
            for sample in samples:
                losses = [each[sample] for each in metrics if sample in each]
                loss = statistics.fmean(losses) if losses else 0.0
                if loss > 0 or (*key, sample) in tripped:
                    found.append((key, sample, loss))
    found.sort(key=lambda each: ((*each[0], each[1]) not in tripped, -each[2]))
    return _with_texts(baseline, current, losing, tripped, found[:count])


def _with_texts(
    baseline: Side,
    current: Side,
    losing: Sequence[Losing],
    tripped: dict[tuple[str, str, str], list[str]],
    found: Sequence[tuple[tuple[str, str], str, float]],
) -> list[WorstItem]:
    keys = dict.fromkeys(key for key, _, _ in found)
    wanted = {key: [sample for other, sample, _ in found if other == key] for key in keys}
    texts = {key: [spoken(side.runs[key][0], wanted[key]) for side in (baseline, current)] for key in keys}
    items = []
    for key, sample, loss in found:
        metric, values = _most_lost(losing, key, sample)
        items.append(
            WorstItem(
                benchmark=key[0],
                model=key[1],
                sample=sample,
                cluster=_cluster(current.runs[key][0], sample),
                loss=loss,
                metric=metric,
                values=values,
                guards=tuple(tripped.get((*key, sample), ())),
                before=texts[key][0].get(sample),
                now=texts[key][1].get(sample),
            )
        )
    return items


def _most_lost(
    losing: Sequence[Losing], key: tuple[str, str], sample: str
) -> tuple[MetricInfo | None, tuple[float, float] | None]:
    mine = [each for each in losing if (each[0].benchmark, each[0].model) == key and sample in each[1]]
    if not mine:
        return None, None
    worst, _ = max(mine, key=lambda each: each[1][sample])
    at = [place for place, row in enumerate(worst.rows) if row[0] == sample]
    before, now = (statistics.fmean(values[place] for place in at) for values in (worst.before, worst.now))
    return worst.info, (before, now)


def _cluster(run: KeptRun, sample: str) -> str:
    return next((each.cluster for each in run.samples if each.id == sample), "")
