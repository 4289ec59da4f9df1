"""What all renderings say, in words and cells: written once, escaped by each of them."""

from collections.abc import Mapping, Sequence

from roleeval.metrics import MetricInfo
from roleeval.report.regress.clusters import LostCluster
from roleeval.report.regress.compare import ComparedModel, Regression, Tested
from roleeval.report.regress.exact import FirstDifference, Texts
from roleeval.report.regress.guards import Guard, words
from roleeval.report.regress.kept import Spoken
from roleeval.report.regress.worst import WorstItem
from roleeval.report.tables.columns import value_text
from roleeval.report.tables.heads import heads
from roleeval.stats.gate import GateOutcome

_FEW_CHANGED = 10
_FEW_CLUSTERS = 5
HEADS = ("metric", "baseline", "now", "change", "interval", "margin", "outcome")
# (benchmark, model, sample) -> where the leaderboard shows both answers beside each other
Links = Mapping[tuple[str, str, str], str]
_MEANING = {
    GateOutcome.PASS: "no metric lost its margin",
    GateOutcome.FAIL: "at least one metric lost more than its margin, or a guard is broken",
    GateOutcome.INCONCLUSIVE: "the data cannot tell whether a margin is lost",
}


def headline(found: Regression) -> str:
    """The outcome in one line."""
    meaning = _MEANING[found.outcome]
    if found.outcome is GateOutcome.FAIL:
        failed = [each.paired.name for each in found.tested if each.outcome is GateOutcome.FAIL]
        broken = [guard for guard in found.guards if guard.broken]
        changed = sum(len(texts.changed) for texts in found.texts) if found.policy.exact else 0
        parts = [
            f"{count} {one if count == 1 else several}"
            for count, one, several in (
                (len(failed), "metric lost more than its margin", "metrics lost more than their margins"),
                (len(broken), "guard is broken", "guards are broken"),
                (len(found.lost_clusters), "single cluster got worse", "single clusters got worse"),
                (changed, "text changed", "texts changed"),
            )
            if count
        ]
        meaning = ", ".join(parts)
    if found.outcome is GateOutcome.INCONCLUSIVE and not found.blocks:
        meaning += "; the policy lets it pass"
    return meaning


def sides(found: Regression) -> str:
    """What was compared."""
    return f"baseline {found.baseline}, current {found.current}"


def model_words(model: ComparedModel) -> str:
    """One model: how much was compared, and what differs."""
    changed = f"changed: {'; '.join(model.changed)}" if model.changed else "nothing in its manifest changed"
    seeds = "" if model.seeds == (1, 1) else f", {model.seeds[0]} and {model.seeds[1]} runs"
    return f"{model.model} on {model.benchmark}: {model.samples} samples{seeds}; {changed}"


def of_model(found: Regression, model: ComparedModel) -> list[Tested]:
    """The metrics of one model: what failed first, then what is in doubt."""
    order = [GateOutcome.FAIL, GateOutcome.INCONCLUSIVE, GateOutcome.PASS]
    mine = [
        each for each in found.tested if (each.paired.benchmark, each.paired.model) == (model.benchmark, model.model)
    ]
    return sorted(mine, key=lambda each: order.index(each.outcome))


def cells(tested: Sequence[Tested]) -> list[list[str]]:
    """Rows for `HEADS`."""
    infos = {each.paired.info.name: each.paired.info for each in tested}
    said = dict(zip(infos, heads(list(infos), infos), strict=True))
    return [_row(each, said[each.paired.info.name]) for each in tested]


def _row(tested: Tested, name: str) -> list[str]:
    paired, decision = tested.paired, tested.decision
    name += f" in {paired.group}" if paired.group else ""
    if decision is None:
        return [name, "–", "–", "–", "–", str(paired.declared), "PASS" if tested.repeated else "not tested"]
    low, high = decision.interval
    info = paired.info
    return [
        name,
        _value(info, decision.baseline),
        _value(info, decision.current),
        _signed(info, decision.change),
        f"[{_signed(info, low)}, {_signed(info, high)}]",
        _value(info, paired.margin),
        tested.outcome.value,
    ]


def _value(info: MetricInfo, value: float) -> str:
    return value_text(info.unit, value)


def _signed(info: MetricInfo, value: float) -> str:
    text = value_text(info.unit, value)
    text = text.removeprefix("-") if float(text) == 0 else text
    return text if text.startswith("-") else f"+{text}" if float(text) else text


def level_words(found: Regression) -> str:
    """How to read the table."""
    alpha = found.policy.alpha
    return (
        f"Interval: of the change, {(1 - 2 * alpha) * 100:g} %, over clusters. PASS: a loss of the margin is excluded."
        f" FAIL: there is a loss (p of at most {alpha:g} over all {len(found.tested)} tests together),"
        " and it exceeds the margin."
    )


def sequential_words(found: Regression) -> str:
    """After how many batches it was decided, or what to run next; "" where nothing was decided in batches."""
    gate = found.sequential
    if gate is None:
        return ""
    if gate.next_batch and found.outcome is GateOutcome.FAIL:
        return f"Sequential: failed after {gate.share:.0%} of the clusters; no metric's test has decided yet"
    if gate.next_batch:
        names = ", ".join(name.partition("/")[2] for name in gate.next_batch)
        return f"Sequential: open after {gate.share:.0%} of the clusters; run next: {names}"
    return f"Sequential: decided after batch {gate.ended}, with {gate.share:.0%} of the clusters"


def needs(found: Regression) -> list[str]:
    """Of every inconclusive metric what it would take, one line each."""
    lines = []
    for each in found.tested:
        if each.outcome is not GateOutcome.INCONCLUSIVE:
            continue
        if each.decision is None:
            lines.append(f"{each.paired.name}: not tested: {each.untested}")
        elif needed := each.decision.needed:
            of = next(
                m.clusters for m in found.models if (m.benchmark, m.model) == (each.paired.benchmark, each.paired.model)
            )
            lines.append(
                f"{each.paired.name}: about {needed.clusters} {of[needed.clusters != 1]} with {needed.items} values in"
                f" all would tell (now {each.decision.clusters} with {each.decision.items}), if {needed.assuming}"
            )
        else:
            lines.append(f"{each.paired.name}: the change is too near the margin for any number of samples to tell")
    return lines


def guard_words(guard: Guard) -> str:
    """One guard in a line."""
    examples = f" ({', '.join(guard.examples)}{', …' if guard.newly > len(guard.examples) else ''})"
    return (
        f"{guard.model} on {guard.benchmark}: {words(guard.name)}: {guard.before:.1%} of {guard.items} items before,"
        f" {guard.now:.1%} now; {guard.newly} newly{examples if guard.examples else ''}, {guard.mended} no longer;"
        f" may rise by {guard.limit:.1%}"
    )


def cluster_lines(found: Regression) -> list[str]:
    """The single clusters that got worse, a line each; no more than a reader takes in."""
    lines = [cluster_words(found, lost) for lost in found.lost_clusters[:_FEW_CLUSTERS]]
    more = len(found.lost_clusters) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def cluster_words(found: Regression, lost: LostCluster) -> str:
    """A cluster that got worse, in a line."""
    word = next(m.clusters[0] for m in found.models if (m.benchmark, m.model) == (lost.benchmark, lost.model))
    return (
        f"{lost.model} on {lost.benchmark}: the {word} {lost.cluster} got worse: {lost.info.label}"
        f" {_value(lost.info, lost.before)} → {_value(lost.info, lost.now)}; of {lost.items} items {lost.worse} are"
        f" worse and {lost.better} better (p {lost.p:.1g}, corrected)"
    )


def texts_words(texts: Texts) -> str:
    """How many texts changed."""
    sampled = f" ({texts.not_exact})" if texts.not_exact and texts.changed else ""
    return f"{texts.model} on {texts.benchmark}: {len(texts.changed)} of {texts.items} texts changed{sampled}"


def difference_words(found: FirstDifference) -> str:
    """Where a text changed."""
    before, now = (repr(each) if each else "the end" for each in (found.before, found.now))
    return f"{found.sample}: turn {found.turn}, token {found.token}, after {found.context!r}: {before} became {now}"


def listed_differences(found: Regression) -> list[FirstDifference]:
    """Where texts changed; only where each of them matters: in exact mode, or where they are few."""
    return [
        each
        for texts in found.texts
        for each in texts.differences
        if found.policy.exact or len(texts.changed) <= _FEW_CHANGED
    ]


def worst_words(item: WorstItem) -> str:
    """What is bad about an item."""
    parts = [f"{item.sample} ({item.cluster})", f"{item.model} on {item.benchmark}"]
    if item.values is not None and item.metric is not None:
        parts.append(f"{item.metric.label} {item.values[0]:.4g} → {item.values[1]:.4g}")
        parts.append(f"{item.loss:.1f} margins lost")
    parts += [words(name) for name in item.guards]
    return "; ".join(parts)


def said(spoken: Spoken | None, *, length: int) -> str:
    """What the model said in an item, shortened; one line a turn."""
    if spoken is None:
        return "(no text at hand: save the baseline with --texts, or give its result folder)"
    several = len(spoken.turns) > 1
    lines = [f"{speaker}: {visible}" if several and speaker else visible for speaker, visible, _ in spoken.turns]
    text = "\n".join(lines).strip()
    return (text if len(text) <= length else f"{text[:length]} …") or "(empty)"
