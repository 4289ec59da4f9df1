"""Positive controls: faults put into good answers, at doses that a usable judge ranks in order.

Good answers are the benchmark's references; the judge is not shown the reference that an answer was made of. What the
faults are stands in judges/controls/faults.yaml. A judge of single answers is asked about every dose; one that compares
is asked whether the unspoilt answer beats each dose.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from roleeval.errors import ConfigError
from roleeval.judging._protocol import Answer, Case, Judge, Judgement
from roleeval.judging._rubric import reference
from roleeval.metrics import MetricInfo, primary
from roleeval.resources import resource
from roleeval.seeds import derive_seed
from roleeval.stats import Estimate, cluster_codes, clustered_mean
from roleeval.types import Language, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DOSES = (0, 1, 3)
FAULTS_FILE = "judges/controls/faults.yaml"
IN_ORDER, NOT_IN_ORDER, NOT_MEASURED = "in order", "not in order", "not measured"
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)|(?<=[。！？])(?![”’」』])|(?<=[。！？][”’」』])")
_HOW = ("insert", "append", "open", "replace", "repeat")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to spoil an answer; faults.yaml says what `how` means.

    Attributes:
        name: as tables show it.
        how: insert, append, open, replace or repeat.
        phrases: language -> at least as many as the greatest dose; empty for repeat.
        alone_from: the dose from which phrases stand alone; None is never.
    """

    name: str
    how: str
    phrases: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    alone_from: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """One case that a judge is asked about to measure the judge.

    Attributes:
        fault: its name; "" for the unspoilt answer, which all faults share.
        dose: of DOSES.
        sample: whose reference the answers are.
        case: what the judge is asked about; its sample is the original under another id, without references.
    """

    fault: str
    dose: int
    sample: Sample
    case: Case

    @property
    def identity(self) -> dict[str, Any]:
        """What a line of judgements.jsonl says of it."""
        return {"fault": self.fault, "dose": self.dose, "sample": self.sample.id}


@lru_cache(maxsize=4)
def load_faults(path: str = FAULTS_FILE) -> tuple[Fault, ...]:
    """Reads a file of faults.

    Raises:
        ConfigError: it is not what faults.yaml's first lines say.
    """
    import yaml

    file = resource(path)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML ({error})") from error
    found = []
    for name, node in data.items():
        how = node.get("how")
        if how not in _HOW:
            raise ConfigError(f"{file}: {name}.how is {how!r}; give one of {', '.join(_HOW)}")
        phrases = {language: tuple(node.get(language, ())) for language in _LANGUAGES}
        for language, given in phrases.items():
            if how != "repeat" and len(set(given)) < max(DOSES):
                raise ConfigError(f"{file}: {name}.{language} needs at least {max(DOSES)} different phrases")
        found.append(Fault(str(name), how, {} if how == "repeat" else phrases, node.get("alone_from")))
    return tuple(found)


def inject(text: str, fault: Fault, dose: int, *, language: Language, seed: int) -> str:
    """A good answer with a fault in it; dose 0 is the answer itself.

    Args:
        text: the answer.
        fault: what to do to it.
        dose: how often; a greater dose holds what a smaller one has put in.
        language: of the role.
        seed: draws phrases and places.
    """
    if dose == 0:
        return text
    draw = random.Random(seed)
    phrases = list(fault.phrases.get(language, ()))
    draw.shuffle(phrases)
    if fault.alone_from is not None and dose >= fault.alone_from:
        return _joined(phrases[:dose], language)
    if fault.how == "append":
        return "\n".join([text.strip(), *phrases[:dose]])
    sentences = [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]
    return _joined(_spoilt(sentences, fault.how, phrases[:dose], dose, draw), language)


def _spoilt(sentences: list[str], how: str, phrases: list[str], dose: int, draw: random.Random) -> list[str]:
    if how == "open":
        return [*phrases, *sentences]
    if how == "replace":
        return [*sentences[: max(0, len(sentences) - dose)], *reversed(phrases)]
    if how == "repeat":
        place = draw.randrange(len(sentences))
        return [*sentences[:place], *[sentences[place]] * dose, *sentences[place:]]
    for phrase in phrases:
        sentences.insert(draw.randint(1, len(sentences)), phrase)
    return sentences


def _joined(sentences: Sequence[str], language: Language) -> str:
    return ("" if language == "zh" else " ").join(sentences)


def controls(samples: Sequence[Sample], judge: Judge) -> list[Control]:
    """A judge's controls: `judge.controls` drawn samples that have a reference, or all where there are fewer."""
    drawn = sorted((s for s in samples if reference(s)), key=lambda s: (derive_seed(judge.seed, s.id), s.id))
    chosen = sorted(drawn[: judge.controls], key=lambda s: s.index)
    return [control for sample in chosen for control in _of_sample(sample, judge)]


def _of_sample(sample: Sample, judge: Judge) -> list[Control]:
    good, language = reference(sample), sample.persona.language
    found = [] if judge.compares else [_control(sample, "", 0, {"dose0": good})]
    for fault in load_faults():
        seed = derive_seed(judge.seed, sample.id, speaker=fault.name)
        for dose in DOSES[1:]:
            answers = {"dose0": good} if judge.compares else {}
            answers[f"dose{dose}"] = inject(good, fault, dose, language=language, seed=seed)
            found.append(_control(sample, fault.name, dose, answers))
    return found


def _control(sample: Sample, fault: str, dose: int, answers: Mapping[str, str]) -> Control:
    # The judge's questions are named and seeded by the sample's id, so each control has one of its own.
    asked = replace(sample, id=f"control|{fault or 'good'}|{dose}|{sample.id}", references={})
    return Control(fault, dose, sample, Case(asked, next(iter(answers)), {n: Answer(t) for n, t in answers.items()}))


def control_record(judge: Judge, judged: Sequence[tuple[Control, Sequence[Judgement]]]) -> dict[str, Any]:
    """What controls say of a judge, for the manifest.

    Returns:
        {"asked", "answers", "metric", "kind": "points" or "wins", "faults": {fault: {"doses": {dose: estimate},
        "ordered": estimate, "verdict", "reason"}}}. Of points a dose has its mean; of wins the share of comparisons
        that the unspoilt answer won against it. `ordered` is the share of samples whose doses stand in order, with at
        least one step.
    """
    info: MetricInfo | None = None
    values, clusters = {}, {}
    for control, judgements in judged:
        rows = {row.metric: row.value for _, scores in judge.scores([(control.case, judgements)]) for row in scores}
        if info is None:
            info = primary([each for each in judge.infos(control.case.opponents) if each.name in rows])
        values[control.fault, control.dose, control.sample.id] = rows[info.name]
        clusters[control.sample.id] = control.sample.cluster
    names = list(clusters)
    codes = cluster_codes([clusters[name] for name in names])

    def column(fault: str, dose: int) -> "Floats":
        import numpy as np

        return np.array([values.get((fault, dose, name)) for name in names], dtype=np.float64)

    faults: dict[str, Any] = {}
    for fault in load_faults() if names else ():
        if judge.compares:
            faults[fault.name] = _wins([column(fault.name, dose) for dose in DOSES[1:]], codes)
        else:
            doses = [column("", 0), *(column(fault.name, dose) for dose in DOSES[1:])]
            faults[fault.name] = _points(doses, codes, info is None or info.higher_is_better is not False)
    return {
        "asked": judge.controls,
        "answers": len(names),
        "metric": info.name if info else "",
        "kind": "wins" if judge.compares else "points",
        "faults": faults,
    }


def _points(doses: "Sequence[Floats]", clusters: "NDArray[np.intp]", upwards: bool) -> dict[str, Any]:
    sign = 1.0 if upwards else -1.0
    none, one, three = (sign * values for values in doses)
    ordered = ((none >= one) & (one >= three) & (none > three)).astype(float)
    ordered[_absent(doses)] = float("nan")
    estimates = [clustered_mean(values, clusters) for values in doses]
    fall = clustered_mean(none - three, clusters)
    means = [sign * estimate.mean for estimate in estimates if estimate.mean is not None]
    in_order = len(means) == len(doses) and means == sorted(means, reverse=True)
    return {
        "doses": {str(dose): asdict(estimate) for dose, estimate in zip(DOSES, estimates, strict=True)},
        "ordered": asdict(clustered_mean(ordered, clusters)),
        "fall": asdict(fall),
        **_verdict(in_order, fall, level=0.0, wrong="means out of order"),
    }


def _wins(doses: "Sequence[Floats]", clusters: "NDArray[np.intp]") -> dict[str, Any]:
    one, three = doses
    ordered = ((one >= 0.5) & (three >= 0.5) & (one + three > 1)).astype(float)
    ordered[_absent(doses)] = float("nan")
    estimates = [clustered_mean(values, clusters) for values in doses]
    in_order = all(estimate.mean is not None and estimate.mean >= 0.5 for estimate in estimates)
    return {
        "doses": {str(dose): asdict(estimate) for dose, estimate in zip(DOSES[1:], estimates, strict=True)},
        "ordered": asdict(clustered_mean(ordered, clusters)),
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
