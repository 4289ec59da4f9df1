"""A scalar rubric: points on each criterion, with a quotation as evidence that is checked against the text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roleeval.errors import ConfigError
from roleeval.judging._fence import fence_token, fenced, quoted
from roleeval.judging._infos import points_info
from roleeval.judging._json import read_verdict
from roleeval.judging._protocol import Case, Judge, Judgement, Question, UnusableReplyError, mean_or_none
from roleeval.judging._rubric import Rubric, check_verdict, criteria_schema, judge_messages, load_rubric
from roleeval.metrics import MetricInfo
from roleeval.types import Sample, Score

_LABEL = "answer"
_SCORE = '{"type": "integer", "minimum": {low}, "maximum": {high}}'
_CUT_QUOTES = "quotes that were cut off count"


@dataclass(frozen=True, kw_only=True)
class RubricJudge(Judge):
    """Points from the rubric's scale on each of its criteria (conf/judge/rubric.yaml).

    An answer that was asked for and not given (no answer, refused, cut off in its reasoning) gets the lowest points
    without asking, as metrics score it as the empty string; it keeps its status.

    Attributes:
        check_quotes: a verdict whose evidence is not in the answer is unusable; one that the schema's limit cut off is
            looked for without its last fifth.
    """

    name: str = "rubric"
    pack: str = "judges/rubric"
    check_quotes: bool = True

    @property
    def arithmetic(self) -> str:
        return _CUT_QUOTES if self.check_quotes else ""

    @property
    def _rubric(self) -> Rubric:
        return load_rubric(self.prompts)

    @property
    def _scale(self) -> tuple[int, int]:
        scale = self._rubric.scale
        if scale is None:
            raise ConfigError(f"{self.prompts.folder}/rubric.yaml: needs scale, for example [1, 5]")
        return scale

    def _schema(self) -> dict[str, Any]:
        low, high = self._scale
        schema = criteria_schema(self.prompts, self._rubric.criteria, low=low, high=high)
        check_verdict(self.prompts, schema, "score", kinds=("integer", "number"), example=_SCORE)
        return schema

    def questions(self, case: Case) -> list[Question]:
        answer = case.answers[case.own]
        if not answer.given:
            return []
        criteria, (low, high) = self._rubric.criteria, self._scale
        schema = self._schema()
        longest = next(iter(schema["properties"].values()))["properties"].get("quote", {}).get("maxLength")
        token = fence_token(self.seed, self.name, case.sample.id)
        shown = {"answer": fenced(answer.text, _LABEL, token), "low": str(low), "high": str(high)}

        def read(reply: str) -> Mapping[str, Any]:
            verdict: Mapping[str, Any] = read_verdict(reply, schema, judged=answer.text)
            if self.check_quotes:
                for name, part in verdict.items():
                    if not quoted(part.get("quote", ""), answer.text, longest=longest):
                        raise UnusableReplyError(f"quote not found ({name})")
            return verdict

        messages = judge_messages(self.prompts, case.sample, criteria, **shown)
        return [Question(case.sample.id, case.sample.id, messages, json.dumps(schema), read, (case.own,))]

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case, judgements)) for case, judgements in judged]

    def _rows(self, case: Case, judgements: Sequence[Judgement]) -> list[Score]:
        answer, criteria = case.answers[case.own], self._rubric.criteria
        if not answer.given:
            value = float(self._scale[0]) if answer.happened else None
            return [Score(name, value, answer.outcome) for name in (*criteria, "overall")]
        verdicts = [judgement.verdict for judgement in judgements if judgement.verdict is not None]
        values = {name: self.aggregated([verdict[name]["score"] for verdict in verdicts]) for name in criteria}
        values["overall"] = mean_or_none(list(values.values()))
        if not verdicts:
            detail = {"reason": judgements[-1].reason}
            return [Score(name, None, "judge_failed", detail=detail) for name in values]
        counted = {"usable": len(verdicts)} if len(verdicts) < len(judgements) else {}
        return [Score(name, value, detail=counted) for name, value in values.items()]

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        self._schema()
        low, high = map(float, self._scale)
        asked = {**self._rubric.criteria, "overall": "Mean over the criteria."}
        return [points_info(name, text, low=low, high=high, primary=name == "overall") for name, text in asked.items()]
