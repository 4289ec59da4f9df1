"""Guards against hard breaks: items that failed, are empty, refused or cut off, counted one by one.

A share that rises beyond its limit breaks the guard. Where chance alone moves such shares (all but engine_failed), it
must also have risen by more than chance explains: an exact sign test over the items that changed, at 0.1 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from roleeval.report.regress.kept import KeptRun, Side
from roleeval.report.regress.pairs import Paired
from roleeval.report.regress.policy import Policy

_LEVEL = 0.001
_HARD = ("engine_failed",)
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Guard:
    """What one guard saw of one model.

    Attributes:
        name: of the guard.
        limit: by how much the share may rise.
        before, now: share of such items, over the run's seeds.
        newly, mended: items that are worse, and better, than before.
        items: all of them.
        broken: whether the guard fails.
        examples: some of the items that are worse.
    """

    benchmark: str
    model: str
    name: str
    limit: float
    before: float
    now: float
    newly: int
    mended: int
    items: int
    broken: bool
    examples: tuple[str, ...]


def guards(baseline: Side, current: Side, pairs: Sequence[Paired], policy: Policy) -> list[Guard]:
    """Every guard of every model that is on both sides and has transcripts."""
    return [
        guard
        for key in baseline.runs
        if key in current.runs
        for guard in _of_model(baseline.runs[key], current.runs[key], pairs, policy)
    ]


def _of_model(
    before: Sequence[KeptRun], now: Sequence[KeptRun], pairs: Sequence[Paired], policy: Policy
) -> Iterator[Guard]:
    for name, limit in policy.guards.items():
        if name == "cluster":  # a test of its own: clusters.py
            continue
        shares = [_without_value(runs, pairs) if name == "coverage" else _share(runs, name) for runs in (before, now)]
        items = [item for item in shares[0] if item in shares[1]]
        if not items:
            continue
        there, here = ([side[item] for item in items] for side in shares)
        newly = [item for item, one, other in zip(items, there, here, strict=True) if other > one]
        mended = sum(other < one for one, other in zip(there, here, strict=True))
        rise = (sum(here) - sum(there)) / len(items)
        beyond = rise > limit + 1e-12
        yield Guard(
            benchmark=before[0].benchmark,
            model=before[0].model,
            name=name,
            limit=limit,
            before=sum(there) / len(items),
            now=sum(here) / len(items),
            newly=len(newly),
            mended=mended,
            items=len(items),
            broken=beyond and (name in _HARD or sign_test(len(newly), mended) <= _LEVEL),
            examples=tuple(newly[:_EXAMPLES]),
        )


def sign_test(worse: int, better: int) -> float:
    """One-sided p of "an item that changed is as likely to have become better": at least so many became worse.

    Source: McNemar's test, exact: Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13.
    """
    from scipy.stats import binom

    return float(binom.sf(worse - 1, worse + better, 0.5))


def _share(runs: Sequence[KeptRun], name: str) -> dict[str, float]:
    """Sample -> the share of its runs in which it trips a guard; only samples with a transcript."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for sample in run.samples:
            if sample.status:
                found.setdefault(sample.id, []).append(float(name in sample.breaks))
    return {sample: sum(values) / len(values) for sample, values in found.items()}


def _without_value(runs: Sequence[KeptRun], pairs: Sequence[Paired]) -> dict[str, float]:
    """Sample -> the share of its rows of gated metrics that have no value."""
    gated = {each.info.name for each in pairs if (each.benchmark, each.model) == (runs[0].benchmark, runs[0].model)}
    found: dict[str, list[float]] = {}
    for run in runs:
        for (metric, _), series in run.series.items():
            if metric in gated:
                for place, value in zip(series.samples, series.values, strict=True):
                    found.setdefault(run.samples[place].id, []).append(float(value is None))
    return {sample: sum(values) / len(values) for sample, values in found.items()}


def words(name: str) -> str:
    """What a guard counts, for people."""
    return _WORDS[name]


_WORDS: Mapping[str, str] = {
    "engine_failed": "failed calls",
    "empty": "empty answers",
    "truncated_reasoning": "reasoning cut off",
    "refused": "refused by the server",
    "cut_off": "cut off at the token limit",
    "coverage": "without a value",
}
