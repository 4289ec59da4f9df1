"""A judge of single turns: errors with a quotation out of the turn that they name, and points for the manner."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roleeval.judging import (
    Answer,
    Case,
    Judge,
    Judgement,
    Question,
    SeenTurn,
    UnusableReplyError,
    check_schema,
    fence_token,
    fenced,
    mean_or_none,
    quoted,
    read_verdict,
)
from roleeval.metrics import MetricInfo
from roleeval.prompts import fill
from roleeval.types import Message, Sample, Score

LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, kw_only=True)
class ErrorJudge(Judge):
    """Asks about each turn of the model under test: what is wrong in it, and how well it is said.

    Attributes:
        max_errors: of one turn, that a constrained reply can list.
    """

    name: str = "inn_errors"
    pack: str = "pkg://inn/judge_pack"
    max_errors: int = 4

    def questions(self, case: Case) -> list[Question]:
        answer = case.answers[case.own]
        return [self._question(case, answer, turn) for turn in _judged(answer)] if answer.happened else []

    def _question(self, case: Case, answer: Answer, turn: SeenTurn) -> Question:
        pack, sample = self.prompts, case.sample
        places = {"turn": str(turn.number), "max_errors": str(self.max_errors)}
        schema = json.loads(fill(pack.template("schema.json"), **places))
        check_schema(schema, f"{pack.folder}/schema.json")
        token = fence_token(self.seed, self.name, sample.id, turn.number)
        scene = "\n".join(f"[{t.number}] {t.speaker}: {t.text}" for t in answer.turns if t.number <= turn.number)
        shown = {
            **places,
            "cast": sample.persona.description,
            "opening": sample.question,
            "speaker": turn.speaker,
            "scene": fenced(scene, "scene", token),
        }

        def read(reply: str) -> Mapping[str, Any]:
            verdict: Mapping[str, Any] = read_verdict(reply, schema, judged=scene)
            for error in verdict["errors"]:
                if error["turn"] != turn.number:
                    raise UnusableReplyError("an error of another turn")
                if not quoted(error["quote"], turn.text):
                    raise UnusableReplyError("quote not found in the turn")
            return verdict

        language = sample.persona.language
        texts = [fill(pack.template(f"{name}.txt", language=language), **shown) for name in ("system", "user")]
        messages = (Message("system", texts[0]), Message("user", texts[1]))
        return Question(f"{sample.id}|{turn.number}", sample.id, messages, json.dumps(schema), read, (case.own,))

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case.answers[case.own], judgements)) for case, judgements in judged]

    def _rows(self, answer: Answer, judgements: Sequence[Judgement]) -> list[Score]:
        if not judgements:  # nothing was said, or the scene was never played
            lowest = float(LOWEST) if answer.happened else None
            return [Score("overall", lowest, answer.outcome), Score("errors", None, answer.outcome)]
        turns: dict[str, list[Mapping[str, Any]]] = {judgement.item: [] for judgement in judgements}
        for judgement in judgements:
            if judgement.verdict is not None:
                turns[judgement.item].append(judgement.verdict)
        points = mean_or_none([self.aggregated([each["manner"]["score"] for each in v]) for v in turns.values()])
        errors = [self.aggregated([float(len(each["errors"])) for each in verdicts]) for verdicts in turns.values()]
        total = None if None in errors else sum(each for each in errors if each is not None)
        if points is None or total is None:
            reason = {"reason": next(j.reason for j in judgements if j.verdict is None)}
            return [Score(name, None, "judge_failed", detail=reason) for name in ("overall", "errors")]
        return [Score("overall", points), Score("errors", total)]

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        overall = MetricInfo(
            "overall",
            label="Manner (points)",
            unit="points",
            recipe="Mean over the turns of the points for how well the part is spoken.",
            low=float(LOWEST),
            high=float(HIGHEST),
            higher_is_better=True,
            headline=True,
            primary=True,
        )
        errors = MetricInfo(
            "errors",
            label="Errors of a scene",
            unit="count",
            recipe="Errors that the judge quotes from the turns of the model under test.",
            low=0.0,
            higher_is_better=False,
            headline=True,
        )
        return [overall, errors]


def _judged(answer: Answer) -> list[SeenTurn]:
    return [turn for turn in answer.turns if turn.own and not turn.is_blank]
