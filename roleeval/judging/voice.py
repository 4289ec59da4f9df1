"""Which of two roles is speaking? A question that a very small model can be trained for (docs/zoo.md).

question of an answer:  "<sample>|<named first>|<named second>", both orders; the other role is drawn per sample,
                        so all runs' answers to a sample get the same one
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from roleeval.errors import ConfigError
from roleeval.judging._fence import fence_token, fenced
from roleeval.judging._infos import FIRST_SLOT, share_info
from roleeval.judging._json import read_schema, read_verdict
from roleeval.judging._protocol import REPEATS_SETTLED, Case, Judge, Judgement, Question
from roleeval.metrics import MetricInfo
from roleeval.prompts import PromptPack, check_places, fill, read_yaml
from roleeval.seeds import derive_seed
from roleeval.stats import settled
from roleeval.types import Language, Message, Sample, Score

_LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True, kw_only=True)
class VoiceJudge(Judge):
    """Whether an answer sounds like its role and not like another one that the judge knows (conf/judge/zoo_voice.yaml).

    `in_voice` is 1 where the judge picks the true role in both orders of the names, 0.5 where the orders disagree, 0
    where it picks the other role twice. An answer that was asked for and not given is not in voice, without asking.
    Roles that are not in the pack's roles.yaml are missing (judge_failed).
    """

    name: str = "zoo_voice"
    pack: str = "judges/zoo_voice"

    @property
    def arithmetic(self) -> str:
        return REPEATS_SETTLED if self.samples_per_item > 1 else ""

    def questions(self, case: Case) -> list[Question]:
        answer, other = case.answers[case.own], self._other(case.sample)
        if not answer.given or other is None:
            return []
        role = case.sample.persona.role
        return [self._question(case, order) for order in ((role, other), (other, role))]

    def _other(self, sample: Sample) -> str | None:
        """The role that the sample's is set against; None where the judge does not know the sample's."""
        role = sample.persona.role
        known = _roles(self.prompts)[sample.persona.language]
        others = [name for name in known if name != role]
        if role not in known or not others:
            return None
        return others[derive_seed(self.seed, sample.id, turn=0, speaker=self.name) % len(others)]

    def _question(self, case: Case, order: tuple[str, str]) -> Question:
        pack, sample, text = self.prompts, case.sample, case.answers[case.own].text
        first, second = order
        schema = _schema(pack, order)
        shown = fenced(text, "answer", fence_token(self.seed, self.name, sample.id))
        template, places = pack.template("user.txt"), {"answer": shown, "first": first, "second": second}
        check_places(template, places, f"judge pack {pack.folder}: user.txt")
        user = fill(template, **places)

        def read(reply: str) -> Mapping[str, Any]:
            verdict: Mapping[str, Any] = read_verdict(reply, schema, judged=text)
            return verdict

        return Question(
            item=_item(sample, order),
            sample_id=sample.id,
            messages=(Message("system", pack.template("system.txt")), Message("user", user)),
            schema=json.dumps(schema, ensure_ascii=False),
            read=read,
            slots=(case.own,),
        )

    def scores(self, judged: Sequence[tuple[Case, Sequence[Judgement]]]) -> list[tuple[Sample, list[Score]]]:
        return [(case.sample, self._rows(case, judgements)) for case, judgements in judged]

    def _rows(self, case: Case, judgements: Sequence[Judgement]) -> list[Score]:
        answer, other, role = case.answers[case.own], self._other(case.sample), case.sample.persona.role
        if not answer.given:
            return [Score("in_voice", 0.0 if answer.happened else None, answer.outcome)]
        if other is None:
            return [Score("in_voice", None, "judge_failed", detail={"reason": "a role that the judge does not know"})]
        items = [_item(case.sample, order) for order in ((role, other), (other, role))]
        picks = [[j.verdict["speaker"] for j in judgements if j.item == item and j.verdict] for item in items]
        first, second = ([float(pick == role) for pick in each] for each in picks)
        if not first or not second:  # one order alone carries its bias
            detail = {"reason": next(j.reason for j in judgements if j.verdict is None)}
            return [Score(name, None, "judge_failed", detail=detail) for name in ("in_voice", "first_slot")]
        usable = min(len(first), len(second))
        counted = {"usable": usable} if usable < self.samples_per_item else {}
        found = settled(first, second, aggregate=self.aggregate)
        return [Score("in_voice", found.value, detail=counted), Score("first_slot", found.first_slot)]

    def infos(self, opponents: Sequence[str]) -> Sequence[MetricInfo]:
        what = (
            "1 where the judge picks the true role of two in both orders of the names, 0.5 where the orders disagree."
        )
        return [share_info("in_voice", "In the role's voice", what, headline=True, primary=True), FIRST_SLOT]


def _item(sample: Sample, order: tuple[str, str]) -> str:
    return "|".join((sample.id, *order))


@lru_cache(maxsize=8)
def _roles(pack: PromptPack) -> Mapping[Language, tuple[str, ...]]:
    file = pack.folder / "roles.yaml"
    if not file.is_file():
        raise ConfigError(f"judge pack {pack.folder}: no roles.yaml (the roles that the judge knows)")
    data = read_yaml(file)
    names = {language: data.get(language) if isinstance(data, dict) else None for language in _LANGUAGES}
    if bad := [key for key, found in names.items() if not isinstance(found, list) or len(set(found)) < 2]:
        raise ConfigError(f"{file}: needs {bad[0]}, a list of at least two names")
    return {language: tuple(str(name) for name in found or ()) for language, found in names.items()}


def _schema(pack: PromptPack, speakers: Sequence[str]) -> dict[str, Any]:
    file = pack.folder / "schema.json"
    text = fill(pack.template("schema.json"), speakers=json.dumps(list(speakers), ensure_ascii=False))
    schema = read_schema(text, str(file))
    if "speaker" not in schema.get("properties", {}) or "speaker" not in schema.get("required", ()):
        raise ConfigError(f'{file}: a verdict needs "speaker": {{"type": "string", "enum": {{speakers}}}}')
    return schema
