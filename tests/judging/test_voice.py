"""Which of two roles speaks: both orders, the same other role for every run, and roles that the judge does not know."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from judge_stubs import shown_answers
from judged import SAMPLE, case, put, scores

from roleeval.errors import ConfigError
from roleeval.judging import Answer, Case, VoiceJudge
from roleeval.types import Message, Persona, Request, Sample, Sampling

JUDGE = VoiceJudge()
ROLE = SAMPLE.persona.role


def names(request: Request) -> tuple[str, str]:
    assert request.messages is not None
    first, second = request.messages[-1].content.rpartition("Who speaks: ")[2].rstrip("?").split(" or ")
    return first, second


def says(name: str) -> str:
    return json.dumps({"speaker": name})


def the_role(request: Request) -> str:
    return says(ROLE)


def test_the_true_role_in_both_orders_is_in_voice_and_the_other_one_is_not() -> None:
    judged = case("Observe the mud upon his boots.")
    rows = scores(JUDGE, judged, put(JUDGE, the_role, judged))
    assert rows["in_voice"].value == 1 and rows["first_slot"].value == 0.5
    wrong = scores(JUDGE, judged, put(JUDGE, lambda r: says(next(n for n in names(r) if n != ROLE)), judged))
    assert wrong["in_voice"].value == 0 and wrong["first_slot"].value == 0.5


def test_a_judge_that_always_takes_the_first_name_has_said_nothing() -> None:
    judged = case("Observe the mud upon his boots.")
    rows = scores(JUDGE, judged, put(JUDGE, lambda request: says(names(request)[0]), judged))
    assert rows["in_voice"].value == 0.5 and rows["first_slot"].value == 1


def test_all_runs_are_set_against_the_same_other_role_and_orders_differ() -> None:
    for seed in range(20):
        judge = VoiceJudge(seed=seed)
        one, other = (judge.questions(case(text)) for text in ("Elementary.", "Bah! Humbug."))
        asked = [question.item.split("|")[1:] for question in (*one, *other)]
        assert asked[0] == asked[2] == asked[1][::-1] == asked[3][::-1]
        assert ROLE in asked[0] and len(set(asked[0])) == 2


def test_the_prompt_shows_the_answer_and_two_names_and_nothing_of_what_was_asked() -> None:
    (question, _) = JUDGE.questions(case("Observe."))
    assert question.messages[0].role == "system"
    text = "\n".join(message.content for message in question.messages)
    assert "{" not in text and SAMPLE.question not in text and SAMPLE.persona.description not in text
    request = Request(messages=(Message("user", text),), sampling=Sampling(), seed=0)
    assert shown_answers(request) == {"answer": "Observe."}
    assert json.loads(question.schema or "")["properties"]["speaker"]["enum"] == list(names(request))


@pytest.mark.parametrize("reply", ["Sherlock", says("Watson"), "{}", says("x") + says("y")])
def test_one_unusable_order_leaves_no_verdict(reply: str) -> None:
    judged = case("Observe.")
    first = names_of(judged)[0]
    found = put(VoiceJudge(attempts=2), lambda r: reply if names(r)[0] == first else says(ROLE), judged)
    row = scores(JUDGE, judged, found)["in_voice"]
    assert row.value is None and row.status == "judge_failed" and row.detail["reason"]


def names_of(judged: Case) -> list[str]:
    return JUDGE.questions(judged)[0].item.split("|")[1:]


def test_answers_that_were_not_given_need_no_judge() -> None:
    for status, value in (("no_answer", 0.0), ("truncated_reasoning", 0.0), ("engine_failed", None)):
        judged = case("", statuses={0: status})  # type: ignore[dict-item]
        assert JUDGE.questions(judged) == []
        row = scores(JUDGE, judged, [])["in_voice"]
        assert row.value == value and row.status == status


def test_a_role_that_the_judge_does_not_know_is_missing() -> None:
    stranger = replace(SAMPLE, persona=Persona("Doctor Watson", "", "en"))
    judged = Case(stranger, "m/run", {"m/run": Answer.said("I was there.")})
    assert JUDGE.questions(judged) == []
    row = scores(JUDGE, judged, [])["in_voice"]
    assert row.value is None and row.status == "judge_failed" and "does not know" in row.detail["reason"]


def test_the_other_role_speaks_the_same_language() -> None:
    for role in ("林黛玉", "猪八戒", "诸葛亮", "王熙凤"):
        sample: Sample = replace(SAMPLE, persona=Persona(role, "", "zh"))
        (first, _) = JUDGE.questions(Case(sample, "m/run", {"m/run": Answer.said("罢了。")}))
        assert not any(name.isascii() for name in first.item.split("|")[1:])


def test_several_samples_are_taken_together() -> None:
    judge = VoiceJudge(samples_per_item=3, aggregate="mean", sampling=Sampling(temperature=0.5))
    judged = case("Observe.")
    found = put(judge, the_role, judged)
    assert len(found) == 6 and scores(judge, judged, found)["in_voice"].value == 1


def test_a_pack_without_roles_is_named(tmp_path: Path) -> None:
    for name in ("manifest.yaml", "system.txt", "user.txt", "schema.json"):
        (tmp_path / name).write_text((JUDGE.prompts.folder / name).read_text("utf-8"), "utf-8")
    judge = VoiceJudge(pack=str(tmp_path))
    with pytest.raises(ConfigError, match=r"no roles.yaml"):
        judge.questions(case("Observe."))
    (tmp_path / "roles.yaml").write_text("en: [Sherlock Holmes]\n", "utf-8")
    with pytest.raises(ConfigError, match=r"roles.yaml: needs en, a list of at least two names"):
        judge.questions(case("Observe."))
