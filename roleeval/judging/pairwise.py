"""Pairwise comparison: every pair of answers in both orders; if the orders disagree, it is a tie (stats.settled).

    question of a pair:  "<sample>|<shown first>|<shown second>", the same whichever of the two runs is judged,
                         so two runs that are compared with each other share their calls

HerRm is the same comparison by a generative reward model that replies in free text.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from roleeval.errors import ConfigError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.judging._fence import echoes, fence_token, fenced
from roleeval.judging._infos import FIRST_SLOT, FLIP, criterion_title, share_info
from roleeval.judging._json import read_verdict
from roleeval.judging._protocol import (
    REPEATS_SETTLED,
    Case,
    Form,
    Judge,
    Judgement,
    Question,
    UnusableReplyError,
    mean_or_none,
)
from roleeval.judging._rubric import check_verdict, criteria_schema, judge_messages, load_rubric
from roleeval.metrics import MetricInfo
from roleeval.stats import Settled, length_controlled, settled
from roleeval.types import Sample, Score, Status

_SLOTS = ("A", "B")
_WINNERS = '{"type": "string", "enum": ["A", "B", "tie"]}'
_POINTS = {"A": 1.0, "tie": 0.5, "B": 0.0}
# HER-RM's own replies; the candidates are the answers in the order in which they are shown.
_BETTER = {"type": "object", "properties": {"better_response": {}}, "required": ["better_response"]}
_CANDIDATES = {"cand_1": "A", "cand_2": "B", "tie": "tie"}
_WINNER = re.compile(
    r"(?:(?:final\s+)?winner|胜者|结论)\s*[:：=]\s*(?:answer\s+|reply\s+|回答\s*|回复\s*)?(A|B|tie|平局)(?!\w)\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What the judge made of one opponent: per criterion `Settled.value` or missing; and its habits."""

    wins: Mapping[str, float | None]
    flip: float | None
    first: float | None
    status: Status
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PairwiseJudge(Judge):
    """Which of two answers is better on each criterion (conf/judge/rolebench_pairwise.yaml).

    An answer that was not given loses against one that was; two of them, and two equal texts, are a tie. None of these
    is asked. Flips and first slots are counted over asked pairs.

    Attributes:
        against: models of the same results_dir, or "references"; None: all other comparable runs.
    """

    name: str = "rolebench_pairwise"
    pack: str = "judges/rolebench_pairwise"
    against: tuple[str, ...] | None = field(default=None, metadata=OUTSIDE_IDENTITY)

    compares: ClassVar[bool] = True
    form: ClassVar[Form] = "pairs"

    @property
    def arithmetic(self) -> str:
        return REPEATS_SETTLED if self.samples_per_item > 1 else ""

    @property
    def _criteria(self) -> Mapping[str, str]:
        return load_rubric(self.prompts).criteria

    def questions(self, case: Case) -> list[Question]:
        pairs = [sorted((case.own, opponent)) for opponent in case.opponents if _to_ask(case, opponent)]
        return [self._question(case, order) for pair in pairs for order in itertools.permutations(pair)]

    def _question(self, case: Case, order: Sequence[str]) -> Question:
        token = fence_token(self.seed, self.name, case.sample.id, sorted(order))
        texts = [case.answers[run_id].text for run_id in order]
        shown = {
            f"answer_{slot.lower()}": fenced(t, f"answer {slot}", token) for slot, t in zip(_SLOTS, texts, strict=True)
        }
        return Question(
            item=_item(case.sample, *order),
            sample_id=case.sample.id,
            messages=judge_messages(self.prompts, case.sample, self._criteria, **shown),
            schema=self._schema(),
            read=lambda reply: self._read(reply, "\n".join(texts)),
            slots=tuple(order),
        )

    def _schema(self) -> str | None:
        schema = criteria_schema(self.prompts, self._criteria)
        check_verdict(self.prompts, schema, "winner", kinds=("string",), example=_WINNERS)
        one = next(iter(schema["properties"].values()))
        if set(one["properties"]["winner"].get("enum", ())) != set(_POINTS):
            raise ConfigError(f"{self.prompts.folder / 'schema.json'}: the winner must be {_WINNERS}")
        return json.dumps(schema)

    def _read(self, reply: str, judged: str) -> Mapping[str, Any]:
        verdict: Mapping[str, Any] = read_verdict(reply, json.loads(self._schema() or "{}"), judged=judged)
        return verdict

    def numbers(self, verdict: Mapping[str, Any]) -> Mapping[str, float]:
        """Per criterion the points of the answer shown first."""
        return {name: _POINTS[part["winner"]] for name, part in verdict.items()}

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        pairs = [
            {opponent: self._pair(case, opponent, judgements) for opponent in case.opponents}
            for case, judgements in judged
        ]
        controlled = _controlled([case for case, _ in judged], pairs)
        return [
            (case.sample, self._rows(found, values))
            for (case, _), found, values in zip(judged, pairs, controlled, strict=True)
        ]

    def _pair(self, case: Case, opponent: str, judgements: Sequence[Judgement]) -> _Pair:
        own, other = case.answers[case.own], case.answers[opponent]
        if not own.happened:
            return self._without_judge(None, own.outcome)
        if not other.happened:
            return self._without_judge(None, other.outcome, "what became of the opponent's answer")
        if not _to_ask(case, opponent):
            return self._without_judge(0.5 if own.given == other.given else float(own.given), own.outcome)
        orders = [_item(case.sample, *order) for order in ((case.own, opponent), (opponent, case.own))]
        return self._settled([[j for j in judgements if j.item == item] for item in orders])

    def _without_judge(self, value: float | None, status: Status, reason: str = "") -> _Pair:
        return _Pair(dict.fromkeys(self._criteria, value), None, None, status, reason)

    def _settled(self, orders: Sequence[Sequence[Judgement]]) -> _Pair:
        """Judgements where the own answer was shown first, and where it was shown second."""
        first, second = ([j.verdict for j in each if j.verdict is not None] for each in orders)
        if not first or not second:  # one order alone carries its bias
            reason = next(j.reason for each in orders for j in each if j.verdict is None)
            return self._without_judge(None, "judge_failed", reason)
        found: dict[str, Settled] = {}
        for name in self._criteria:
            own_first = [_POINTS[verdict[name]["winner"]] for verdict in first]
            own_second = [1 - _POINTS[verdict[name]["winner"]] for verdict in second]
            found[name] = settled(own_first, own_second, aggregate=self.aggregate)
        flip = mean_or_none([each.flip for each in found.values()])
        first_slot = mean_or_none([each.first_slot for each in found.values()])
        return _Pair({name: each.value for name, each in found.items()}, flip, first_slot, "ok")

    def _rows(self, pairs: Mapping[str, _Pair], controlled: float | None) -> list[Score]:
        names = tuple(self._criteria) if len(self._criteria) > 1 else ()
        worst = next((pair for pair in pairs.values() if None in pair.wins.values()), None)
        status = worst.status if worst else next(iter(pairs.values())).status
        detail = {"reason": worst.reason} if worst and worst.reason else {}
        overall = {run_id: mean_or_none(list(pair.wins.values())) for run_id, pair in pairs.items()}
        values = {f"{name}/win": mean_or_none([pair.wins[name] for pair in pairs.values()]) for name in names}
        values["overall/win"] = mean_or_none(list(overall.values()))
        values["overall/win_length_controlled"] = controlled
        rows = [Score(name, value, status, detail=detail) for name, value in values.items()]
        if len(pairs) > 1:
            rows += [Score(f"overall/win_against/{n}", v, pairs[n].status) for n, v in overall.items()]
        asked = [pair for pair in pairs.values() if pair.flip is not None or pair.status == "judge_failed"]
        if asked:
            failed: Status = next((pair.status for pair in asked if pair.flip is None), "ok")
            rows.append(Score("flip", mean_or_none([pair.flip for pair in asked]), failed))
            rows.append(Score("first_slot", mean_or_none([pair.first for pair in asked]), failed))
        return rows

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        found = []
        for name, text in self._criteria.items():
            what = f"Mean win over the opponents, a tie is half: {text}"
            found.append(share_info(f"{name}/win", f"{criterion_title(name)}: win rate", what, headline=True))
        over = "Mean win over the criteria and the opponents, a tie is half"
        found.append(share_info("overall/win", "Win rate", f"{over}.", headline=True, primary=True))
        controlled = f"{over}, as it would be for answers of equal length."
        found.append(share_info("overall/win_length_controlled", "Win rate at equal length", controlled))
        for run_id in opponents if len(opponents) > 1 else ():
            against = f"Mean win over the criteria against {run_id}, a tie is half."
            found.append(share_info(f"overall/win_against/{run_id}", f"Win rate against {run_id}", against))
        return [*found, FLIP, FIRST_SLOT]


def _item(sample: Sample, first: str, second: str) -> str:
    return f"{sample.id}|{first}|{second}"


def _to_ask(case: Case, opponent: str) -> bool:
    own, other = case.answers[case.own], case.answers[opponent]
    return own.given and other.given and own.text != other.text


def _controlled(cases: Sequence[Case], pairs: Sequence[Mapping[str, _Pair]]) -> list[float | None]:
    """Per case the win against the mean opponent, as it would be for answers of equal length."""
    found: list[list[float | None]] = [[] for _ in cases]
    for opponent in cases[0].opponents if cases else ():
        wins = [mean_or_none(list(pair[opponent].wins.values())) for pair in pairs]
        for values, value in zip(found, _without_length(cases, opponent, wins), strict=True):
            values.append(value)
    return [mean_or_none(values) for values in found]


def _without_length(cases: Sequence[Case], opponent: str, wins: Sequence[float | None]) -> list[float | None]:
    """The wins against one opponent, controlled for length within each split, as tables have means of splits.

    What no judge was asked about keeps its outcome: no answer has lost to any other, and not for being short.
    """
    import numpy as np

    controlled = list(wins)
    parts: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        if wins[place] is not None and _to_ask(case, opponent):
            parts.setdefault(case.sample.split, []).append(place)
    for places in parts.values():
        asked = np.array([wins[place] for place in places], dtype=np.float64)
        answers = [(cases[place].answers[cases[place].own], cases[place].answers[opponent]) for place in places]
        longer = np.array([len(own.text) - len(other.text) for own, other in answers], dtype=np.float64)
        for place, value in zip(places, length_controlled(asked, longer).tolist(), strict=True):
            controlled[place] = value
    return controlled


@dataclass(frozen=True, kw_only=True)
class HerRm(PairwiseJudge):
    """A generative reward model in HER's manner: principles, analysis, and a last line "Winner: A", "B" or "tie".

    HER-RM itself, as it was released, replies in JSON, whose "better_response" is "cand_1", "cand_2" or "tie"; such a
    reply is read as well.

    Source: HER (arXiv 2601.21459); spec/coser.md, section 6.
    """

    name: str = "her_rm"
    pack: str = "judges/her_rm"

    def _schema(self) -> str | None:
        return None

    def _read(self, reply: str, judged: str) -> Mapping[str, Any]:
        winner = _winner(reply, judged)
        return {name: {"winner": winner} for name in self._criteria}


def _winner(reply: str, judged: str) -> str:
    """The winner that a reward model names, "A", "B" or "tie"."""
    if "better_response" not in reply:
        return _in_last_line(reply, judged)
    try:
        return _in_json(reply, judged)
    except UnusableReplyError as error:
        try:
            return _in_last_line(reply, judged)  # it only quotes the word
        except UnusableReplyError:
            raise error from None


def _in_last_line(reply: str, judged: str) -> str:
    lines = [line.strip().strip("*_#>` ") for line in reply.splitlines()]
    lines = [line for line in lines if line]
    match = _WINNER.search(lines[-1]) if lines else None
    if match is None:
        raise UnusableReplyError("the last line names no winner")
    if echoes("\n".join(reply.strip().splitlines()[-2:]), judged):
        raise UnusableReplyError("the reply ends with a quotation of the judged text")
    return "tie" if match[1].lower() in ("tie", "平局") else match[1].upper()


def _in_json(reply: str, judged: str) -> str:
    """The winner of HER-RM's own form of reply."""
    better = read_verdict(reply, _BETTER, judged=judged)["better_response"]
    name = str(better).strip().casefold()
    if name not in _CANDIDATES:
        raise UnusableReplyError(f"better_response is {better!r}; it must be cand_1, cand_2 or tie")
    return _CANDIDATES[name]
