"""Whether two runs can be compared, and what is different about them."""

from collections.abc import Iterator, Mapping, Sequence

from roleeval.errors import ResultError
from roleeval.report.regress.kept import KeptRun, Side
from roleeval.report.regress.policy import Policy
from roleeval.report.regress.read import judges_of

_NAMES = {"helpers": "helper models (such as the user's)", "items": "samples"}
_SHOWN = 3
# In these, a key that only one side has is a difference; elsewhere another version of roleeval knows more options.
_WHOLE = ("data", "prompts", "helpers")


class NotComparableError(ResultError):
    """Two sides cannot be compared.

    Attributes:
        reasons: one sentence each.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def require_comparable(baseline: Side, current: Side, policy: Policy, *, partly: bool = False) -> None:
    """Refuses two sides of which no decision could be right.

    Args:
        baseline, current: the two.
        policy: says what may differ.
        partly: the current results may lack whole clusters, which are yet to be run.

    Raises:
        NotComparableError: says why, for every model.
    """
    shared = [key for key in baseline.runs if key in current.runs]
    if not shared:
        there, here = (", ".join(f"{model} on {name}" for name, model in each.runs) for each in (baseline, current))
        raise NotComparableError(
            [
                f"no model is on both sides: the baseline has {there}; the current results {here}. Models are paired by"
                " name: give both the same model.name, or compare them with roleeval report --reference"
            ]
        )
    reasons = [
        f"{model} on {benchmark}: {reason}"
        for benchmark, model in shared
        for reason in _reasons(baseline.runs[benchmark, model], current.runs[benchmark, model], policy, partly=partly)
    ]
    if reasons:
        raise NotComparableError(reasons)


def _reasons(before: Sequence[KeptRun], now: Sequence[KeptRun], policy: Policy, *, partly: bool) -> Iterator[str]:
    one, other = before[0], now[0]
    for aspect in ("data", "prompts", "protocol", "helpers", "decoding"):
        there, here = one.asked.get(aspect, {}), other.asked.get(aspect, {})
        if aspect not in policy.allow and (changed := _changed(there, here, whole=aspect in _WHOLE)):
            yield _sentence(aspect, changed)
    if "items" not in policy.allow and (reason := _other_items(one, other, partly=partly)):
        yield reason
    if "judge" not in policy.allow:
        yield from _other_judges(one, other)
    if "metrics" not in policy.allow:
        yield from _other_metrics(one, other, policy)


def _sentence(aspect: str, changed: Sequence[str]) -> str:
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return f"other {_NAMES.get(aspect, aspect)}: {', '.join(changed[:_SHOWN])}{more} (policy key allow: {aspect})"


def _changed(there: Mapping[str, str], here: Mapping[str, str], *, whole: bool) -> list[str]:
    found = []
    for key in dict.fromkeys((*there, *here)):
        before, now = there.get(key), here.get(key)
        if before != now and (whole or (before is not None and now is not None)):
            found.append(f"{key} is {_short(before)} in the baseline and {_short(now)} now")
    return found


def _short(value: str | None) -> str:
    return "absent" if value is None else value if len(value) <= 40 else f"{value[:12]}… ({len(value)} characters)"


def _other_items(one: KeptRun, other: KeptRun, *, partly: bool) -> str:
    there, here = ({sample.id for sample in run.samples} for run in (one, other))
    if partly:
        clusters = {sample.cluster for sample in other.samples}
        there = {sample.id for sample in one.samples if sample.cluster in clusters}
    if there == here:
        return ""
    return (
        f"other samples: {len(there)} in the baseline, {len(here)} now, {len(there & here)} in both (same limit and"
        " splits? policy key allow: items compares what both have)"
    )


def _other_judges(one: KeptRun, other: KeptRun) -> Iterator[str]:
    there, here = judges_of(one), judges_of(other)
    for judge, columns in there.items():
        now = here.get(judge)
        if now is None:
            yield f"the judge {judge} has not judged the current run; run it with judge={judge}"
        elif now != columns:
            yield (
                f"another judge: {judge} has other prompts, model or settings ({', '.join(sorted(columns))} in the"
                f" baseline, {', '.join(sorted(now))} now)"
            )


def _other_metrics(one: KeptRun, other: KeptRun, policy: Policy) -> Iterator[str]:
    for name in policy.gated({**other.infos, **one.infos}):
        there, here = one.infos.get(name), other.infos.get(name)
        if there is None:
            continue  # what the baseline does not know is not tested, and is said
        if here is None:
            if not any(name.startswith(f"{column}/") for column in one.asked.get("judge", {})):
                yield f"the metric {name} is not in the current results; score them with the same metrics"
            continue
        if (there.unit, there.higher_is_better) != (here.unit, here.higher_is_better):
            yield f"the metric {name} has another unit or direction than in the baseline"


def changes(before: Sequence[KeptRun], now: Sequence[KeptRun]) -> list[str]:
    """What differs between two runs that can be compared, a few words each: "adapters (3 of 10)", "seed"."""
    one, other = before[0], now[0]
    found = []
    for aspect in dict.fromkeys((*one.made, *other.made)):
        there, here = one.made.get(aspect, {}), other.made.get(aspect, {})
        keys = [key for key in dict.fromkeys((*there, *here)) if there.get(key) != here.get(key)]
        if keys:
            many = len({*there, *here})
            found.append(
                f"{aspect} ({', '.join(keys[:_SHOWN])}{', …' if len(keys) > _SHOWN else ''}; {len(keys)} of {many})"
            )
    for aspect in ("data", "prompts", "protocol", "helpers", "decoding", "judge"):
        keys = [
            key
            for key in dict.fromkeys((*one.asked.get(aspect, {}), *other.asked.get(aspect, {})))
            if one.asked.get(aspect, {}).get(key) != other.asked.get(aspect, {}).get(key)
        ]
        if keys:
            found.append(f"{aspect} ({', '.join(keys[:_SHOWN])})")
    seeds = [sorted(str(run.seed) for run in runs) for runs in (before, now)]
    if seeds[0] != seeds[1]:
        found.append(f"seed ({', '.join(seeds[0])} in the baseline, {', '.join(seeds[1])} now)")
    return found
