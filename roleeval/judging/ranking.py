"""Listwise ranking: all models' answers to a sample at once, in a random order and in its reverse."""

import json
import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from roleeval.errors import ConfigError
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.judging._fence import fence_token, fenced
from roleeval.judging._infos import FIRST_SLOT, FLIP, criterion_title, share_info
from roleeval.judging._json import read_verdict
from roleeval.judging._protocol import Case, Form, Judge, Judgement, Question, UnusableReplyError, mean_or_none
from roleeval.judging._rubric import check_verdict, criteria_schema, judge_messages, load_rubric
from roleeval.metrics import MetricInfo
from roleeval.seeds import derive_seed
from roleeval.types import Sample, Score

_RANKING = '{"type": "array", "items": {"type": "string", "enum": {letters}}, "minItems": {count}}'
_LETTERS = string.ascii_uppercase


@dataclass(frozen=True, kw_only=True)
class RankingJudge(Judge):
    """Ranks the answers of all comparable runs on each criterion (conf/judge/rolebench_ranking.yaml).

    Answers that were not given are not shown; they share the last places.

    Attributes:
        against: see PairwiseJudge.

    Source: RoleLLM (arXiv 2310.00746), its evaluator; the drawn order and its reverse are an addition.
    """

    name: str = "rolebench_ranking"
    pack: str = "judges/rolebench_ranking"
    against: tuple[str, ...] | None = field(default=None, metadata=OUTSIDE_IDENTITY)

    compares: ClassVar[bool] = True
    form: ClassVar[Form] = "ranking"

    @property
    def _criteria(self) -> Mapping[str, str]:
        return load_rubric(self.prompts).criteria

    def questions(self, case: Case) -> list[Question]:
        shown = _shown(case)
        if case.own not in shown or len(shown) < 2:
            return []
        if len(shown) > len(_LETTERS):
            raise ConfigError(
                f"judge={self.name}: {len(shown)} runs to rank, at most {len(_LETTERS)}; set judge.against"
            )
        random.Random(derive_seed(self.seed, "|".join([case.sample.id, *shown]))).shuffle(shown)
        return [self._question(case, order) for order in (shown, shown[::-1])]

    def _schema(self, letters: str) -> dict[str, Any]:
        schema = criteria_schema(self.prompts, self._criteria, letters=list(letters), count=len(letters))
        check_verdict(self.prompts, schema, "ranking", kinds=("array",), example=_RANKING)
        return schema

    def _question(self, case: Case, order: Sequence[str]) -> Question:
        letters = _LETTERS[: len(order)]
        schema = self._schema(letters)
        token = fence_token(self.seed, self.name, case.sample.id, sorted(order))
        texts = [case.answers[run_id].text for run_id in order]
        answers = "\n\n".join(fenced(t, f"answer {letter}", token) for letter, t in zip(letters, texts, strict=True))

        def read(reply: str) -> Mapping[str, Any]:
            verdict: Mapping[str, Any] = read_verdict(reply, schema, judged="\n".join(texts))
            for name, part in verdict.items():
                if sorted(part["ranking"]) != list(letters):
                    raise UnusableReplyError(f"the ranking on {name} does not name every answer once")
            return verdict

        return Question(
            item="|".join([case.sample.id, *order]),
            sample_id=case.sample.id,
            messages=judge_messages(
                self.prompts, case.sample, self._criteria, answers=answers, letters=", ".join(letters)
            ),
            schema=json.dumps(schema),
            read=read,
            slots=tuple(order),
        )

    def numbers(self, verdict: Mapping[str, Any]) -> Mapping[str, float]:
        """Per criterion the place of the answer shown first."""
        return {name: float(part["ranking"].index(_LETTERS[0]) + 1) for name, part in verdict.items()}

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case, judgements)) for case, judgements in judged]

    def _rows(self, case: Case, judgements: Sequence[Judgement]) -> list[Score]:
        metrics = [f"{name}/{what}" for name in (*self._criteria, "overall") for what in ("rank", "beats")]
        answers, own = case.answers, case.answers[case.own]
        absent = next((answers[run_id].status for run_id in answers if not answers[run_id].happened), None)
        if absent is not None:
            return [Score(name, None, absent if own.happened else own.status) for name in metrics]
        shown, total = _shown(case), len(answers)
        if not own.given or len(shown) < 2:
            # the places after those shown are shared
            rank = 1.0 if own.given else (len(shown) + 1 + total) / 2
            return [Score(name, _value(name, rank, total), own.outcome) for name in metrics]
        both = _in_both_orders(judgements)
        if not both:
            reason = next(j.reason for j in judgements if j.verdict is None)
            habits = ("flip", "first_slot")
            return [Score(name, None, "judge_failed", detail={"reason": reason}) for name in (*metrics, *habits)]
        ranks: dict[str, float | None] = {name: self._rank(case, name, both) for name in self._criteria}
        ranks["overall"] = mean_or_none(list(ranks.values()))
        rows = [Score(name, _value(name, ranks[name.partition("/")[0]], total)) for name in metrics]
        firsts = [_first(judgement, name) for pair in both for judgement in pair for name in self._criteria]
        flips = [_first(one, name)[0] != _first(two, name)[0] for one, two in both for name in self._criteria]
        rows.append(Score("flip", sum(flips) / len(flips)))
        return [*rows, Score("first_slot", sum(slot == 0 for _, slot in firsts) / len(firsts))]

    def _rank(self, case: Case, criterion: str, both: Sequence[tuple[Judgement, Judgement]]) -> float | None:
        """The mean place over both orders."""
        places = [[_ranking(j, criterion).index(case.own) + 1 for j in pair] for pair in both]
        return self.aggregated([sum(pair) / 2 for pair in places])

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        found = []
        for name, text in {**self._criteria, "overall": "Mean over the criteria."}.items():
            rank = MetricInfo(
                f"{name}/rank",
                label=f"{criterion_title(name)}: rank",
                unit="rank",
                recipe=f"Mean place over both orders, 1 is the best: {text}",
                low=1.0,
                high=float(len(opponents) + 1),
                higher_is_better=False,
                headline=True,
            )
            beats = f"Share of the opponents that are ranked behind: {text}"
            found += [
                rank,
                share_info(f"{name}/beats", f"{criterion_title(name)}: beats", beats, primary=name == "overall"),
            ]
        return [*found, FLIP, FIRST_SLOT]


def _in_both_orders(judgements: Sequence[Judgement]) -> list[tuple[Judgement, Judgement]]:
    """The repeats with a verdict in both orders: one alone carries the judge's preference for a slot."""
    by_repeat: dict[int, list[Judgement]] = {}
    for judgement in judgements:
        if judgement.verdict is not None:
            by_repeat.setdefault(judgement.repeat, []).append(judgement)
    return [(pair[0], pair[1]) for pair in by_repeat.values() if len(pair) == 2]


def _ranking(judgement: Judgement, criterion: str) -> list[str]:
    """Labels, the best first."""
    assert judgement.verdict is not None
    return [judgement.slots[_LETTERS.index(letter)] for letter in judgement.verdict[criterion]["ranking"]]


def _first(judgement: Judgement, criterion: str) -> tuple[str, int]:
    """Whose answer is ranked first, and in which slot it stood."""
    run_id = _ranking(judgement, criterion)[0]
    return run_id, judgement.slots.index(run_id)


def _shown(case: Case) -> list[str]:
    return sorted(run_id for run_id, answer in case.answers.items() if answer.given)


def _value(metric: str, rank: float | None, total: int) -> float | None:
    """A rank, or the share of opponents ranked lower."""
    if rank is None or metric.endswith("/rank"):
        return rank
    return (total - rank) / (total - 1) if total > 1 else None
