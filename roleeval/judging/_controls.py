"""Positive controls: faults injected into good answers, at doses that a usable judge ranks in order.

Good answers are the benchmark's references, if its samples are single answers that have one; the judge is not shown the
reference that an answer was made from. Otherwise (scenes, sessions, no references) they are what the run itself said:
good or not, a fault makes it worse. A judge of single answers is asked about every dose; a comparative judge is asked
whether the unmodified answer beats each dose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from roleeval.errors import ConfigError
from roleeval.judging._faults import DOSES, Fault, load_faults, spoil
from roleeval.judging._protocol import Case, Judge, Judgement
from roleeval.judging._rubric import reference
from roleeval.judging._view import Answer
from roleeval.metrics import MetricInfo, primary
from roleeval.seeds import derive_seed
from roleeval.stats import Estimate, cluster_codes, clustered_mean, paired_difference
from roleeval.types import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

IN_ORDER, NOT_IN_ORDER, NOT_MEASURED = "in order", "not in order", "not measured"
_SHARE = (0.0, 1.0)
# What faults are put into: a reference answer, or what the run itself has said.
Base = Literal["reference", "transcript"]


@dataclass(frozen=True, slots=True)
class Control:
    """One case that a judge is asked about to measure the judge.

    Attributes:
        fault: its name; "" for the unspoilt answer, which all faults share.
        dose: of DOSES.
        sample: whose answer the faults are put into.
        case: what the judge is asked about; its sample is the original under another id, without references.
        base: what the unspoilt answer is.
    """

    fault: str
    dose: int
    sample: Sample
    case: Case
    base: Base

    @property
    def identity(self) -> dict[str, Any]:
        """What a line of judgements.jsonl says of it."""
        return {"fault": self.fault, "dose": self.dose, "sample": self.sample.id}


def controls(cases: Sequence[Case], judge: Judge, faults: Sequence[Fault] | None = None) -> list[Control]:
    """A judge's controls: of `judge.controls` drawn samples with a good answer, or of all where there are fewer.

    Args:
        cases: all of the run's.
        judge: whose.
        faults: None are those of judges/controls/faults.yaml.

    Raises:
        ConfigError: the judge declares no metric that could be ordered by dose.
    """
    if not judge.infos(()):
        raise ConfigError(
            f"judge.controls: {type(judge).__name__} declares no metric; return a MetricInfo for each from infos()"
        )
    base, good = _good_answers(cases)
    drawn = sorted(good, key=lambda pair: (derive_seed(judge.seed, pair[0].id), pair[0].id))
    chosen = sorted(drawn[: judge.controls], key=lambda pair: pair[0].index)
    suited = [fault for fault in (load_faults() if faults is None else faults) if fault.suits(base)]
    return [control for sample, answer in chosen for control in _of_sample(sample, answer, base, judge, suited)]


def _good_answers(cases: Sequence[Case]) -> tuple[Base, list[tuple[Sample, Answer]]]:
    """Samples that have an answer to put faults into; all of one kind, so that a dose's mean is of one thing."""
    answers = [(case.sample, case.answers[case.own]) for case in cases]
    if not any(answer.given and answer.conversation for _, answer in answers):
        references = [(sample, Answer.said(text)) for sample, _ in answers if (text := reference(sample))]
        if references:
            return "reference", references
    said = [(sample, answer) for sample, answer in answers if answer.given]
    return "transcript", [(s, a) for s, a in said if any(turn.own and not turn.is_blank for turn in a.turns)]


def _of_sample(sample: Sample, good: Answer, base: Base, judge: Judge, faults: Sequence[Fault]) -> list[Control]:
    good = judge.excerpt(good)
    found = [] if judge.compares else [_control(sample, "", 0, {"dose0": good}, base)]
    for fault in filter(None, (fault.about(sample) for fault in faults)):
        seed = derive_seed(judge.seed, sample.id, speaker=fault.name)
        for dose in DOSES[1:]:
            answers = {"dose0": good} if judge.compares else {}
            answers[f"dose{dose}"] = spoil(good, fault, dose, language=sample.persona.language, seed=seed)
            found.append(_control(sample, fault.name, dose, answers, base))
    return found


def _control(sample: Sample, fault: str, dose: int, answers: Mapping[str, Answer], base: Base) -> Control:
    # The judge's questions are named and seeded by the sample's id, so each control has one of its own.
    asked = replace(sample, id=f"control|{fault or 'good'}|{dose}|{sample.id}", references={})
    return Control(fault, dose, sample, Case(asked, next(iter(answers)), answers), base)


def control_record(judge: Judge, judged: Sequence[tuple[Control, Sequence[Judgement]]]) -> dict[str, Any]:
    """What controls say of a judge, for the manifest.

    Returns:
        {"asked", "answers", "base", "metric", "kind": "points" or "wins", "faults": {fault: {"doses": {dose: estimate},
        "ordered": estimate, "verdict", "reason"}}}. Of points a dose has its mean; of wins the share of comparisons
        that the unmodified answer won against it. `ordered` is the share of samples whose doses are in order, with at
        least one step. A judge that has `hits` adds to each fault its "metric", and "also": other faults' metrics that
        dose 3 makes worse, by the whole interval, although the fault is none of theirs, {metric: estimate}.
    """
    values = _Values()
    for control, judgements in judged:
        values.add(control, judge, judgements)
    faults: dict[str, Any] = {}
    for fault in dict.fromkeys(control.fault for control, _ in judged if control.fault):
        metric = judge.hits.get(fault, (values.primary,))[0]
        doses = [values.of_dose("" if dose == 0 else fault, dose, metric) for dose in DOSES]
        if judge.compares:
            faults[fault] = _wins(doses[1:], values.codes)
        else:
            faults[fault] = _points(doses, values.codes, values.infos[metric])
        if judge.hits:
            faults[fault] |= {"metric": metric, "also": values.lowered(fault, judge)}
    return {
        "asked": judge.controls,
        "answers": len(values.clusters),
        "base": judged[0][0].base if judged else None,
        "metric": values.primary,
        "kind": "wins" if judge.compares else "points",
        "faults": faults,
    }


@dataclass
class _Values:
    """What a judge scored its controls with.

    Attributes:
        rows: (fault, dose, sample) -> metric -> value.
        clusters: sample -> cluster.
        infos: metric -> what the judge declares.
        primary: the metric of faults that are no metric's own.
    """

    rows: dict[tuple[str, int, str], Mapping[str, float | None]] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    infos: dict[str, MetricInfo] = field(default_factory=dict)
    primary: str = ""

    def add(self, control: Control, judge: Judge, judgements: Sequence[Judgement]) -> None:
        rows = {row.metric: row.value for _, scores in judge.scores([(control.case, judgements)]) for row in scores}
        if not self.infos:
            self.infos = {info.name: info for info in judge.infos(control.case.opponents)}
            self.primary = primary([info for info in self.infos.values() if info.name in rows]).name
        self.rows[control.fault, control.dose, control.sample.id] = rows
        self.clusters[control.sample.id] = control.sample.cluster

    @property
    def codes(self) -> "NDArray[np.intp]":
        return cluster_codes(list(self.clusters.values()))

    def of_dose(self, fault: str, dose: int, metric: str) -> "Floats":
        """[samples] values; NaN where there is none."""
        import numpy as np

        found = [self.rows.get((fault, dose, name), {}).get(metric) for name in self.clusters]
        return np.array(found, dtype=np.float64)

    def lowered(self, fault: str, judge: Judge) -> dict[str, Any]:
        """Metric -> how much worse dose 3 of a fault makes it, of those that it should leave alone and does not."""
        found = {}
        own = {metric for metrics in judge.hits.values() for metric in metrics[:1]}
        for metric in sorted(own - set(judge.hits.get(fault, own))):
            info = self.infos[metric]
            sign = -1.0 if info.higher_is_better is False else 1.0
            three, none = sign * self.of_dose(fault, DOSES[-1], metric), sign * self.of_dose("", 0, metric)
            fall = paired_difference([(three, none, self.codes)], within=info.range).estimate
            if fall.ci_low is not None and fall.ci_low > 0:
                found[metric] = asdict(fall)
        return found


def _points(doses: "Sequence[Floats]", clusters: "NDArray[np.intp]", info: MetricInfo) -> dict[str, Any]:
    sign = -1.0 if info.higher_is_better is False else 1.0
    within = info.range
    none, one, three = (sign * values for values in doses)
    ordered = ((none >= one) & (one >= three) & (none > three)).astype(float)
    ordered[_absent(doses)] = float("nan")
    estimates = [clustered_mean(values, clusters, within=within) for values in doses]
    fall = paired_difference([(three, none, clusters)], within=within).estimate
    means = [sign * estimate.mean for estimate in estimates if estimate.mean is not None]
    in_order = len(means) == len(doses) and means == sorted(means, reverse=True)
    return {
        "doses": {str(dose): asdict(estimate) for dose, estimate in zip(DOSES, estimates, strict=True)},
        "ordered": asdict(clustered_mean(ordered, clusters, within=_SHARE)),
        "fall": asdict(fall),
        **_verdict(in_order, fall, level=0.0, wrong="means out of order"),
    }


def _wins(doses: "Sequence[Floats]", clusters: "NDArray[np.intp]") -> dict[str, Any]:
    one, three = doses
    ordered = ((one >= 0.5) & (three >= 0.5) & (one + three > 1)).astype(float)
    ordered[_absent(doses)] = float("nan")
    estimates = [clustered_mean(values, clusters, within=_SHARE) for values in doses]
    in_order = all(estimate.mean is not None and estimate.mean >= 0.5 for estimate in estimates)
    return {
        "doses": {str(dose): asdict(estimate) for dose, estimate in zip(DOSES[1:], estimates, strict=True)},
        "ordered": asdict(clustered_mean(ordered, clusters, within=_SHARE)),
        **_verdict(in_order, estimates[-1], level=0.5, wrong="a spoilt answer wins"),
    }


def _absent(doses: "Sequence[Floats]") -> "NDArray[np.bool_]":
    import numpy as np

    absent: NDArray[np.bool_] = np.isnan(np.stack(doses).sum(axis=0))
    return absent


def _verdict(in_order: bool, greatest: Estimate, *, level: float, wrong: str) -> dict[str, str]:
    """In order: the means are, and the greatest dose is told from none by its whole interval."""
    if greatest.mean is None:
        return {"verdict": NOT_MEASURED, "reason": "no usable judgement"}
    if not in_order:
        return {"verdict": NOT_IN_ORDER, "reason": wrong}
    if greatest.ci_low is None:
        return {"verdict": NOT_MEASURED, "reason": "one cluster: no interval"}
    if greatest.ci_low <= level:
        return {"verdict": NOT_IN_ORDER, "reason": "dose 3 not separable"}
    return {"verdict": IN_ORDER, "reason": ""}
