"""The gate: two sides, a policy, and what became of every metric, guard and text."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from roleeval.errors import ConfigError, ResultError
from roleeval.report.regress.baseline import read_baseline
from roleeval.report.regress.batches import Batches, planned_batches
from roleeval.report.regress.clusters import LostCluster, lost_clusters
from roleeval.report.regress.comparable import NotComparableError, changes, require_comparable
from roleeval.report.regress.exact import Texts, changed_texts
from roleeval.report.regress.guards import Guard, guards
from roleeval.report.regress.kept import Side
from roleeval.report.regress.pairs import FEWEST_CLUSTERS, Paired, gated_pairs
from roleeval.report.regress.policy import Policy
from roleeval.report.regress.read import read_folder
from roleeval.report.regress.worst import WorstItem, worst_items
from roleeval.stats.gate import Compared, Decision, GateOutcome, decide
from roleeval.stats.gate_sequential import SequentialGate, decide_sequentially


@dataclass(frozen=True, slots=True)
class Tested:
    """One gated metric of one model.

    Attributes:
        paired: what was compared.
        decision: what the test says; None where there was nothing to test.
        untested: why not.
        repeated: the same model, by the hashes of all that it is made from, gave the same texts and values again: there
            is nothing that a test could be about.
    """

    paired: Paired
    decision: Decision | None
    untested: str = ""
    repeated: bool = False

    @property
    def outcome(self) -> GateOutcome:
        """What the test says; a metric that could not be tested is inconclusive."""
        if self.repeated:
            return GateOutcome.PASS
        return self.decision.outcome if self.decision else GateOutcome.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One model of one benchmark, as it was compared.

    Attributes:
        benchmark, model: which.
        samples: how many both sides have.
        seeds: runs of the baseline, and of the current results.
        clusters: what its clusters are called, one and several.
        changed: what differs between the two, in words.
    """

    benchmark: str
    model: str
    samples: int
    seeds: tuple[int, int]
    clusters: tuple[str, str]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Regression:
    """What the gate found.

    Attributes:
        baseline, current: what was compared, for people.
        policy: by which.
        models: what was compared.
        tested: every gated metric.
        guards: every guard.
        lost_clusters: single clusters that got worse.
        texts: how many texts changed.
        worst: the items that lost most.
        notes: what a reader must know besides: models on one side only, folders that could not be read.
        sequential: what was decided batch by batch; None without that.
    """

    baseline: str
    current: str
    policy: Policy
    models: tuple[ComparedModel, ...]
    tested: tuple[Tested, ...]
    guards: tuple[Guard, ...]
    lost_clusters: tuple[LostCluster, ...]
    texts: tuple[Texts, ...]
    worst: tuple[WorstItem, ...]
    notes: tuple[str, ...]
    sequential: SequentialGate | None = None

    @property
    def outcome(self) -> GateOutcome:
        """FAIL where a metric or a cluster fails, a guard is broken or, in exact mode, a text changed; else PASS where
        all pass."""
        if self.lost_clusters or any(guard.broken for guard in self.guards):
            return GateOutcome.FAIL
        if self.policy.exact and any(texts.changed for texts in self.texts):
            return GateOutcome.FAIL
        found = {each.outcome for each in self.tested}
        for outcome in (GateOutcome.FAIL, GateOutcome.INCONCLUSIVE):
            if outcome in found:
                return outcome
        return GateOutcome.PASS

    @property
    def decided(self) -> bool:
        """Whether the batches that are left need not be run; exact mode passes only what was compared in full."""
        if self.outcome is GateOutcome.FAIL:
            return True
        return not self.policy.exact and self.sequential is not None and self.sequential.ended is not None

    @property
    def blocks(self) -> bool:
        """Whether a merge should wait."""
        stops = self.outcome is GateOutcome.INCONCLUSIVE and self.policy.inconclusive == "blocks"
        return stops or self.outcome is GateOutcome.FAIL

    @property
    def exit_code(self) -> int:
        """0: go on; 1: FAIL; 3: INCONCLUSIVE, where the policy blocks on that."""
        return 0 if not self.blocks else 1 if self.outcome is GateOutcome.FAIL else 3


def read_side(path: Path) -> Side:
    """A result folder (or one above some), or a baseline file.

    Raises:
        ResultError: it is neither, or cannot be read.
    """
    if path.is_file():
        return read_baseline(path)
    if not path.exists():
        raise ResultError(f"{path}: does not exist; give a result folder, or a file of roleeval regress --save")
    return read_folder(path)


def regress(
    baseline: Path | Side,
    current: Path | Side,
    policy: Policy | None = None,
    *,
    sequential: bool = False,
    batches: Batches | None = None,
) -> Regression:
    """Compares current results with a baseline.

    Args:
        baseline: a baseline file, or a result folder.
        current: a result folder, or one above some.
        policy: margins and limits; None is the defaults.
        sequential: decide after each batch of clusters; the current results may lack those of later batches.
        batches: with `sequential`, these; None are those of the baseline's models that both sides have.

    Raises:
        NotComparableError: the two were asked different things, or in different ways; says which.
        ResultError: one of them cannot be read.
        ConfigError: the policy does not fit the metrics.
    """
    policy = policy or Policy()
    before, now = (read_side(each) if isinstance(each, Path) else each for each in (baseline, current))
    require_comparable(before, now, policy, partly=sequential)
    texts = changed_texts(before, now)
    if policy.exact:
        _require_exact(texts)
    pairs = gated_pairs(before, now, policy)
    models = tuple(_models(before, now))
    gate = _batch_by_batch(pairs, policy, batches or planned_batches(_shared(before, now))) if sequential else None
    tested = test(pairs, policy, same=_repeated(models, texts), gate=gate)
    found = guards(before, now, pairs, policy)
    return Regression(
        baseline=before.name,
        current=now.name,
        policy=policy,
        models=models,
        tested=tuple(tested),
        guards=tuple(found),
        lost_clusters=tuple(lost_clusters(pairs, policy.guards["cluster"])),
        texts=tuple(texts),
        worst=tuple(worst_items(before, now, _in_doubt(tested), [g for g in found if g.broken], count=policy.worst)),
        notes=tuple(_notes(before, now, pairs)),
        sequential=gate,
    )


def _require_exact(texts: Sequence[Texts]) -> None:
    reasons = [
        f"{each.model} on {each.benchmark}: no exact comparison: {each.not_exact}" for each in texts if each.not_exact
    ]
    if reasons or not texts:
        raise NotComparableError(reasons or ["no exact comparison: one side has no transcripts"])


def _repeated(models: Sequence[ComparedModel], texts: Sequence[Texts]) -> set[tuple[str, str]]:
    """The models of which nothing changed, not a text either, and whose weights are known by their hashes."""
    same = {(each.benchmark, each.model) for each in texts if not each.changed and not each.elsewhere}
    return {(model.benchmark, model.model) for model in models if not model.changed} & same


def _batch_by_batch(pairs: Sequence[Paired], policy: Policy, batches: Batches) -> SequentialGate | None:
    """What is decided after each batch; None where nothing can be tested."""
    able = [_compared(each) for each in _able(pairs)]
    return decide_sequentially(able, batches=batches, alpha=policy.alpha) if able else None


def _shared(baseline: Side, current: Side) -> Side:
    """The baseline's runs of the models that are on both sides."""
    return replace(baseline, runs={key: runs for key, runs in baseline.runs.items() if key in current.runs})


def test(
    pairs: Sequence[Paired],
    policy: Policy,
    *,
    same: Collection[tuple[str, str]] = (),
    gate: SequentialGate | None = None,
) -> list[Tested]:
    """The test of every metric, corrected for all of them together.

    Args:
        pairs: what is tested.
        policy: with the level.
        same: benchmark and model of those that repeated themselves.
        gate: what was decided batch by batch; None to decide with all that is there.

    Raises:
        ConfigError: there is nothing to test.
    """
    if not pairs:
        raise ConfigError(
            "nothing to test: no headline metric with a direction is on both sides; name metrics in the policy"
        )
    able = _able(pairs)
    if gate:
        decisions = gate.decisions
    else:
        decisions = decide([_compared(each) for each in able], alpha=policy.alpha) if able else []
    known = dict(zip([each.name for each in able], decisions, strict=True))
    return [
        Tested(
            each,
            known.get(each.name),
            _untested(each),
            repeated=(each.benchmark, each.model) in same and each.before == each.now,
        )
        for each in pairs
    ]


def _able(pairs: Sequence[Paired]) -> list[Paired]:
    return [each for each in pairs if not _untested(each)]


def _untested(pair: Paired) -> str:
    if not pair.rows:
        return "no sample has a value on both sides"
    if len(set(pair.clusters)) < FEWEST_CLUSTERS:
        return "all samples are of one cluster; a test needs several"
    if not pair.margin > 0:
        return f"a margin of {pair.declared} of 0 is 0; give an absolute margin in the policy"
    return ""


def _compared(pair: Paired) -> Compared:
    return Compared(
        name=pair.name,
        baseline=pair.before,
        current=pair.now,
        clusters=pair.clusters,
        margin=pair.margin,
        higher_is_better=bool(pair.info.higher_is_better),
        bounds=pair.info.range,
    )


def _in_doubt(tested: Sequence[Tested]) -> list[Paired]:
    """The metrics that worst items are chosen by: those that failed, else the undecided ones, else all."""
    for outcome in (GateOutcome.FAIL, GateOutcome.INCONCLUSIVE):
        if found := [each.paired for each in tested if each.outcome is outcome and each.paired.rows]:
            return found
    return [each.paired for each in tested]


def _models(before: Side, now: Side) -> Iterator[ComparedModel]:
    for key in before.runs:
        if key in now.runs:
            there, here = before.runs[key], now.runs[key]
            shared = {sample.id for sample in there[0].asked_samples} & {sample.id for sample in here[0].asked_samples}
            yield ComparedModel(
                *key, len(shared), (len(there), len(here)), here[0].cluster, tuple(changes(there, here))
            )


def _notes(before: Side, now: Side, pairs: Sequence[Paired]) -> Iterator[str]:
    for benchmark, model in sorted(before.runs.keys() - now.runs.keys()):
        yield f"{model} on {benchmark} is in the baseline and not in the current results: it was not compared"
    for benchmark, model in sorted(now.runs.keys() - before.runs.keys()):
        yield f"{model} on {benchmark} is not in the baseline: it was not compared"
    for side in (before, now):
        yield from (f"left out: {each}" for each in side.not_read)
    for pair in pairs:
        if pair.missing[0] or pair.missing[1]:
            yield (
                f"{pair.name}: compared on {len(pair.rows)} values; missing are {pair.missing[0]} of the baseline and"
                f" {pair.missing[1]} of the current run"
            )
