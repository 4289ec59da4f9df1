"""Group chat assessment (GCA): a scene's flaws on each dimension, with severities, become points.

One question per dimension and scene. Only severities count; the description of a flaw is for readers.
Source: CoSER (arXiv 2502.09082), section on evaluation; spec/coser.md, section 3.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from roleeval.benchmarks.coser.critic import OWN_PACK, Dimension, critic_messages, load_critic, pack_file
from roleeval.errors import ConfigError
from roleeval.judging import (
    Answer,
    Case,
    Judge,
    Judgement,
    Question,
    UnusableReplyError,
    criterion_title,
    disarmed,
    fence_token,
    fenced,
    mean_or_none,
    points_info,
    read_number,
    read_schema,
    read_verdict,
)
from roleeval.metrics import MetricInfo
from roleeval.prompts import fill
from roleeval.types import Sample, Sampling, Score, Status

LOWEST, MILDEST, WORST_FLAW = 0.0, 1, 10
_PER_SEVERITY, _PER_ROUND, _START = 5.0, 1.5, 100.0
# What is read, where a reply is not constrained: severities are read by `read_severity`, all other keys may be absent.
_READ: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "flaws": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"instance": {}, "type": {}, "severity": {}},
                "required": ["severity"],
            },
        }
    },
    "required": ["flaws"],
}


_SEVERITY = MetricInfo(
    "severity",
    label="Mean severity of flaws",
    unit="number",
    recipe="Mean severity of a scene's flaws; none without a flaw.",
    low=float(MILDEST),
    high=float(WORST_FLAW),
    higher_is_better=False,
    habit=True,
)


def read_severity(value: Any) -> tuple[float, bool]:
    """A severity, and whether it was not a whole number as it should be.

    A number in quotes is taken for the number, and 4.5 for 4.5.

    Raises:
        UnusableReplyError: it is no number, or not from 1 to 10 (spec/coser.md, section 6).
    """
    written = f"severity {value!r:.40}"
    number = read_number(value, written)
    if not MILDEST <= number <= WORST_FLAW:
        raise UnusableReplyError(f"{written} is out of range ({MILDEST} to {WORST_FLAW})")
    return float(number), isinstance(value, str) or number != int(number)


def gca_points(severities: Sequence[float], rounds: int, *, cap: float | None) -> float:
    """The points of one dimension: clip(100 - 5 * sum(severities) + 1.5 * rounds, 0, cap).

    Args:
        severities: of all flaws, each from 1 to 10.
        rounds: turns of actors, neither the environment's nor the next-speaker model's nor the reference's.
        cap: the highest score; None is no cap.

    Source: spec/coser.md, section 3; severities 2, 3, 2, 3 over 11 rounds are 66.5 points.
    """
    points = _START - _PER_SEVERITY * sum(severities) + _PER_ROUND * rounds
    return max(LOWEST, points if cap is None else min(points, cap))


def gca_infos(briefs: Mapping[str, str], *, rounds: int, cap: float | None) -> list[MetricInfo]:
    """The points and flaws of every dimension, and the points' mean.

    Args:
        briefs: dimension's metric -> what it is about.
        rounds, cap: of the best possible scene; see `gca_points`.
    """
    best = gca_points([], rounds, cap=cap)
    asked = {**briefs, "avg": "Mean over the dimensions."}
    infos = [points_info(name, brief, low=LOWEST, high=best, primary=name == "avg") for name, brief in asked.items()]
    infos[-1] = replace(infos[-1], caution="" if cap is None else _capped(cap))
    return [*(replace(info, source="CoSER (arXiv 2502.09082)") for info in infos), *_flaw_infos(briefs)]


def _capped(cap: float) -> str:
    paid = _PER_ROUND / _PER_SEVERITY
    return (
        f"and its dimensions are cut at {cap:g}: each turn of the model makes up for {paid:g} of severity, so that"
        " flaws can leave full points. Read the numbers of flaws as well."
    )


def gca_numbers(verdict: Mapping[str, Any]) -> dict[str, float]:
    """A verdict as one number: the sum of its flaws' severities."""
    return {"severities": float(sum(flaw["severity"] for flaw in verdict["flaws"]))}


def _flaw_infos(dimensions: Iterable[str]) -> list[MetricInfo]:
    return [
        MetricInfo(
            f"{name}/flaws",
            label=f"{criterion_title(name)}: flaws",
            unit="count",
            recipe="Flaws that the judge lists.",
            low=0.0,
            higher_is_better=False,
            headline=True,
        )
        for name in dimensions
    ]


@dataclass(frozen=True, kw_only=True)
class GcaJudge(Judge):
    """Flaws with severities on each dimension of a scene (conf/judge/gca.yaml).

    A severity that is no number from 1 to 10 makes a reply unusable: the next attempt is made. A scene that was played
    and in which the model under test said nothing has 0 points without asking; it keeps its status.

    Attributes:
        cap: highest score of a dimension; None is no cap (CoSER's paper).
        max_flaws: longest list that a constrained reply may hold.
        max_rounds: turns of the model in a scene at most, for the best possible score where there is no cap.
        count_empty_turns: turns in which the model said nothing are rounds too, as in CoSER's code, where each is worth
            1.5 points; by default only turns in which it said something are.
    """

    name: str = "gca"
    pack: str = OWN_PACK
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=2048))
    cap: float | None = 100.0
    max_flaws: int = 26
    max_rounds: int = 20
    count_empty_turns: bool = False

    def __post_init__(self) -> None:
        Judge.__post_init__(self)
        if self.max_flaws < 1 or self.max_rounds < 1 or (self.cap is not None and self.cap <= 0):
            raise ConfigError(
                "judge: cap must be above 0 or null; max_flaws and max_rounds must be whole numbers of 1 or more"
            )

    @property
    def _dimensions(self) -> tuple[Dimension, ...]:
        return load_critic(self.prompts).dimensions

    @property
    def arithmetic(self) -> str:
        """Severities once ended at 5, also in the reply's schema, which imported packs share."""
        return f"severities up to {WORST_FLAW}"

    def _rounds(self, answer: Answer) -> int:
        return sum(turn.own for turn in answer.turns) if self.count_empty_turns else answer.rounds

    def questions(self, case: Case) -> list[Question]:
        answer = case.answers[case.own]
        if not _played(answer):
            return []
        rounds = self._rounds(answer)
        if self.cap is None and rounds > self.max_rounds:
            raise ConfigError(
                f"judge.max_rounds={self.max_rounds}: {case.sample.id} has {rounds} rounds; raise it (it bounds the"
                " scores if there is no cap)"
            )
        return [self._question(case, dimension, answer) for dimension in self._dimensions]

    def _schema(self) -> dict[str, Any]:
        where = f"{self.prompts.folder / 'schema.json'}"
        schema = read_schema(fill(pack_file(self.prompts, "schema.json"), max_flaws=str(self.max_flaws)), where)
        flaw = schema.get("properties", {}).get("flaws", {}).get("items", {})
        if "severity" not in flaw.get("properties", {}) or "severity" not in flaw.get("required", ()):
            raise ConfigError(f"{where}: a verdict needs flaws, a list of objects with a severity (see judges/gca)")
        return schema

    def _question(self, case: Case, dimension: Dimension, answer: Answer) -> Question:
        schema = self._schema()
        token = fence_token(self.seed, self.name, case.sample.id)
        official = load_critic(self.prompts).user is None
        shown = disarmed(answer.text) if official else fenced(answer.text, "conversation", token)
        messages = critic_messages(self.prompts, dimension, case.sample, conversation=shown, thoughts=self.thoughts)
        return Question(
            item=f"{case.sample.id}:{dimension.metric}",
            sample_id=case.sample.id,
            messages=messages,
            schema=json.dumps(_object(dimension.name, schema)),
            read=lambda reply: _verdict(reply, dimension.name, answer.text),
            slots=(case.own,),
        )

    def numbers(self, verdict: Mapping[str, Any]) -> Mapping[str, float]:
        """See `gca_numbers`."""
        return gca_numbers(verdict)

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case, judgements)) for case, judgements in judged]

    def _rows(self, case: Case, judgements: Sequence[Judgement]) -> list[Score]:
        answer, dimensions = case.answers[case.own], self._dimensions
        if not _played(answer):
            value = LOWEST if answer.happened else None
            status: Status = "no_answer" if answer.given else answer.outcome
            points = [Score(name, value, status) for name in self._point_names]
            return [*points, *(Score(f"{d.metric}/flaws", None, status) for d in dimensions)]
        found = {d.metric: [j for j in judgements if j.item.endswith(f":{d.metric}")] for d in dimensions}
        points = [self._points(name, each, self._rounds(answer)) for name, each in found.items()]
        average = mean_or_none([row.value for row in points])
        rows = [*points, Score("avg", average, "ok" if average is not None else "judge_failed")]
        rows += [self._count(name, each) for name, each in found.items()]
        severities = [s for each in found.values() for severities in _severities(each) for s in severities]
        if average is not None and severities:  # without a flaw there is no mean severity, and nothing is missing
            rows.append(Score("severity", sum(severities) / len(severities)))
        return rows

    def _points(self, name: str, judgements: Sequence[Judgement], rounds: int) -> Score:
        usable = _severities(judgements)
        if not usable:
            return Score(name, None, "judge_failed", detail={"reason": judgements[-1].reason})
        value = self.aggregated([gca_points(severities, rounds, cap=self.cap) for severities in usable])
        counted = {"usable": len(usable)} if len(usable) < len(judgements) else {}
        return Score(name, value, detail={"severities": usable, "rounds": rounds, **counted})

    def _count(self, name: str, judgements: Sequence[Judgement]) -> Score:
        count = self.aggregated([float(len(severities)) for severities in _severities(judgements)])
        return Score(f"{name}/flaws", count, "ok" if count is not None else "judge_failed")

    @property
    def _point_names(self) -> tuple[str, ...]:
        return (*(dimension.metric for dimension in self._dimensions), "avg")

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        briefs = {dimension.metric: dimension.brief for dimension in self._dimensions}
        return [*gca_infos(briefs, rounds=self.max_rounds, cap=self.cap), _SEVERITY]


def _played(answer: Answer) -> bool:
    """Whether the model under test said anything; the environment and the reference may have spoken alone."""
    return answer.given and answer.rounds > 0


def _object(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _verdict(reply: str, dimension: str, judged: str) -> Mapping[str, Any]:
    """The flaws in a reply, under the dimension's name or (a reply that leaves it out) without."""
    try:
        found = read_verdict(reply, _object(dimension, _READ), judged=judged)[dimension]
    except UnusableReplyError as error:
        try:
            found = read_verdict(reply, _READ, judged=judged)
        except UnusableReplyError:
            raise error from None
    severities = [read_severity(flaw["severity"]) for flaw in found["flaws"]]
    flaws = [
        {"instance": str(flaw.get("instance") or ""), "type": str(flaw.get("type") or ""), "severity": severity}
        for flaw, (severity, _) in zip(found["flaws"], severities, strict=True)
    ]
    return {"flaws": flaws, "coerced": sum(coerced for _, coerced in severities)}


def _severities(judgements: Sequence[Judgement]) -> list[list[float]]:
    """Per usable judgement the severities of its flaws."""
    return [[flaw["severity"] for flaw in j.verdict["flaws"]] for j in judgements if j.verdict is not None]
