"""Positive controls: faults at doses, what a judge is asked about them, and what its answers say of it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_stubs import Script, scripted, shown_answers
from judged import SAMPLE, asked, configured, entry, execute, points, put, winner

from roleeval.engines import ModelSource
from roleeval.errors import ConfigError
from roleeval.judging import (
    Answer,
    Case,
    Judge,
    PairwiseJudge,
    RankingJudge,
    RubricJudge,
    SeenTurn,
    control_record,
    controls,
    spoil,
)
from roleeval.judging._faults import DOSES, Fault, inject, load_faults
from roleeval.results import read_judgements
from roleeval.stages.run import RunOutcome
from roleeval.types import Language, Request, Sample

GOOD = "Elementary, my dear fellow. I saw it from your boots. You came by the morning train."
FAULTS = {fault.name: fault for fault in load_faults()}
OF_REFERENCES = [fault for fault in FAULTS.values() if fault.suits("reference")]
PHRASES = {phrase for fault in load_faults() for texts in fault.phrases.values() for phrase in texts}


def samples(count: int, *, clusters: int = 4, language: Language = "en") -> list[Sample]:
    persona = replace(SAMPLE.persona, language=language)
    return [
        replace(
            SAMPLE, id=f"eng/{n}", index=n, cluster=f"role {n % clusters}", persona=persona, references={"SPE": (GOOD,)}
        )
        for n in range(count)
    ]


def cases(given: Iterable[Sample]) -> list[Case]:
    """A run whose own answers say nothing, so that only references can be good answers."""
    return [Case(sample, "m/run", {"m/run": Answer.said("")}) for sample in given]


def faults_in(text: str) -> int:
    """How much of a text is not the good answer: injected phrases, sentences said twice, sentences that are gone."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s", GOOD) if part]
    repeated = sum(max(0, text.count(sentence) - 1) for sentence in sentences)
    gone = sum(sentence not in text for sentence in sentences)
    return sum(phrase in text for phrase in PHRASES) + repeated + gone


def attentive(request: Request) -> str:
    (text,) = shown_answers(request).values()
    return points(5 - min(4, faults_in(text)), quote=text.split(".")[0])


def attentive_pair(request: Request) -> str:
    a, b = map(faults_in, shown_answers(request).values())
    return winner(*["A" if a < b else "B" if b < a else "tie"] * 2)


def measured(judge: Judge, script: Script, given: list[Sample]) -> dict[str, Any]:
    asked_about = controls(cases(given), judge)
    return control_record(judge, [(control, put(judge, script, control.case)) for control in asked_about])


def test_the_faults_of_the_project_have_both_languages() -> None:
    assert set(FAULTS) == {
        "out_of_character",
        "speaks_for_user",
        "repeats_itself",
        "refuses",
        "wrong_language",
        "reveals_ai",
        "swaps_names",
        "forgets",
    }
    for fault in FAULTS.values():
        for language, phrases in fault.phrases.items():
            chinese = [bool(re.search(r"[\u4e00-\u9fff]", phrase)) for phrase in phrases]
            assert all(chinese) if language == "zh" and fault.name != "wrong_language" else not any(chinese)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
@given(
    seed=st.integers(0, 2**31 - 1), text=st.text(min_size=1).filter(str.strip), language=st.sampled_from(["en", "zh"])
)
def test_a_fault_is_the_same_for_the_same_seed_and_spoils_every_answer(
    fault: Fault, seed: int, text: str, language: Language
) -> None:
    none, one, three = (inject(text, fault, dose, language=language, seed=seed) for dose in DOSES)
    assert none == text and len({text.strip(), one, three}) == 3
    assert three == inject(text, fault, 3, language=language, seed=seed)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_greater_dose_holds_the_smaller_one(fault: Fault) -> None:
    for seed in range(20):
        none, one, three = (inject(GOOD, fault, dose, language="en", seed=seed) for dose in DOSES)
        assert faults_in(none) < faults_in(one) < faults_in(three)
        there = [{phrase for phrase in PHRASES if phrase in text} for text in (one, three)]
        assert there[0] <= there[1]


def test_a_reference_is_not_shown_beside_the_answer_that_was_made_of_it() -> None:
    for control in controls(cases(samples(2)), RubricJudge(controls=2)):
        (question,) = RubricJudge().questions(control.case)
        prompt = question.messages[1].content
        assert "(none given)" in prompt and prompt.count("Elementary") <= 2 * (control.fault == "repeats_itself") + 1


def test_an_attentive_judge_of_points_ranks_every_fault_in_order() -> None:
    record = measured(RubricJudge(controls=8), attentive, samples(20))
    assert (record["answers"], record["asked"], record["metric"], record["kind"]) == (8, 8, "overall", "points")
    for name, fault in record["faults"].items():
        assert fault["verdict"] == "in order", (name, fault)
        assert fault["ordered"]["mean"] == 1 and fault["ordered"]["n"] == 8
        assert fault["doses"]["0"]["mean"] == 5 > fault["doses"]["1"]["mean"] > fault["doses"]["3"]["mean"]


@pytest.mark.parametrize("judge", [PairwiseJudge(controls=8), RankingJudge(controls=8)], ids=lambda judge: judge.name)
def test_an_attentive_judge_that_compares_prefers_the_unspoilt_answer(judge: Judge) -> None:
    def decide(request: Request) -> str:
        if isinstance(judge, PairwiseJudge):
            return attentive_pair(request)
        a, b = map(faults_in, shown_answers(request).values())
        order = '["A", "B"]' if a < b else '["B", "A"]'
        part = f'{{"reason": "", "ranking": {order}}}'
        return f'{{"style": {part}, "knowledge": {part}}}'

    record = measured(judge, decide, samples(20))
    assert record["kind"] == "wins"
    for fault in record["faults"].values():
        assert fault["verdict"] == "in order" and fault["doses"]["3"]["mean"] == 1 and fault["ordered"]["mean"] == 1


def test_a_judge_that_sees_nothing_is_not_in_order_and_one_that_says_nothing_is_not_measured() -> None:
    blind = measured(
        RubricJudge(controls=4), lambda r: points(3, next(iter(shown_answers(r).values()))[:9]), samples(8)
    )
    assert {fault["verdict"] for fault in blind["faults"].values()} == {"not in order"}
    assert {fault["reason"] for fault in blind["faults"].values()} == {"dose 3 not separable"}
    first = measured(PairwiseJudge(controls=4), lambda request: winner("A", "A"), samples(8))
    assert {fault["verdict"] for fault in first["faults"].values()} == {"not in order"}
    silent = measured(RubricJudge(controls=4, attempts=1), lambda request: "-", samples(8))
    assert {fault["verdict"] for fault in silent["faults"].values()} == {"not measured"}
    assert silent["faults"]["refuses"]["doses"]["3"]["missing"] == 4
    lonely = measured(RubricJudge(controls=4), attentive, samples(8, clusters=1))
    assert lonely["faults"]["refuses"]["reason"] == "one cluster: no interval"
    assert measured(RubricJudge(controls=4), attentive, [replace(SAMPLE, references={})])["faults"] == {}


def test_the_wrong_way_round_is_not_in_order() -> None:
    def admires(request: Request) -> str:
        (text,) = shown_answers(request).values()
        return points(1 + min(4, faults_in(text)), quote=text.split(".")[0])

    record = measured(RubricJudge(controls=6), admires, samples(8))
    assert {fault["verdict"] for fault in record["faults"].values()} == {"not in order"}
    assert record["faults"]["refuses"]["reason"] == "means out of order"


def judged(folder: Path, script: str, count: int) -> RunOutcome:
    def reply(request: Request) -> str:
        (text,) = shown_answers(request).values()
        return points(4, quote=text[:12])

    judge = RubricJudge(engine=scripted(script, reply), source=ModelSource("judge"), controls=count)
    return execute(configured(folder, judge))


def test_controls_stand_in_judgements_and_manifest_and_in_no_score(tmp_path: Path) -> None:
    plain = judged(tmp_path / "plain", "plain", 0)
    outcome = judged(tmp_path / "controlled", "controlled", 3)
    assert entry(outcome, "/overall") == entry(plain, "/overall")
    rows = list(read_judgements(outcome.folder.judgements))
    control_rows = [row for row in rows if row.control is not None]
    assert len(rows) - len(control_rows) == 20 and len(control_rows) == 3 * (1 + 2 * len(OF_REFERENCES))
    assert {row.control["dose"] for row in control_rows} == set(DOSES)
    manifest = outcome.folder.manifest()
    assert manifest is not None
    (record,) = manifest.judge_records.values()
    assert record.controls is not None
    assert record.questions == 20 and record.controls["questions"] == len(control_rows)
    assert record.controls["answers"] == 3 and record.controls["statuses"] == {"ok": len(control_rows)}


def test_controls_are_added_to_a_judged_folder_and_asked_once(tmp_path: Path) -> None:
    assert not judged(tmp_path, "before", 0).skipped
    assert not judged(tmp_path, "added", 2).skipped
    assert asked("added") == 2 * (1 + 2 * len(OF_REFERENCES))
    assert judged(tmp_path, "again", 2).skipped
    assert judged(tmp_path, "without", 0).skipped


def test_what_a_file_of_faults_lacks_is_named(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("shouts:\n  how: scream\n")
    with pytest.raises(ConfigError, match=r"shouts.how is 'scream'; give one of insert, append"):
        load_faults(str(file))
    file = tmp_path / "few.yaml"
    file.write_text("shouts:\n  how: insert\n  en: [A, B, C]\n  zh: [甲]\n")
    with pytest.raises(ConfigError, match=r"shouts.zh needs at least 3 different phrases"):
        load_faults(str(file))
    with pytest.raises(ConfigError, match=r"judge.controls: -1 is invalid"):
        RubricJudge(controls=-1)


def talk(*parts: str) -> Answer:
    """A conversation of turns with these parts, each with words of its own; "" is a turn of the model without any."""
    turns = [
        SeenTurn(
            number, part or "Holmes", part or "model", f"This is turn {number}. It has two sentences." if part else ""
        )
        for number, part in enumerate(parts)
    ]
    return Answer(tuple(turns), conversation=True)


SESSION = talk(
    "prologue", "user", "model", "user", "", "user", "model", "user", "model", "user", "model", "user", "model"
)


def changed(good: Answer, spoilt: Answer) -> dict[int, str]:
    assert [turn.number for turn in good.turns] == [turn.number for turn in spoilt.turns]
    return {new.number: new.text for old, new in zip(good.turns, spoilt.turns, strict=True) if old.text != new.text}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_in_a_conversation_a_dose_is_so_many_drawn_turns_of_the_model(fault: Fault) -> None:
    drawn = set()
    for seed in range(30):
        none, one, three = (spoil(SESSION, fault, dose, language="en", seed=seed) for dose in DOSES)
        assert none == SESSION and three == spoil(SESSION, fault, 3, language="en", seed=seed)
        few, many = changed(SESSION, one), changed(SESSION, three)
        assert (len(few), len(many)) == (1, 3) and set(many) <= {2, 6, 8, 10, 12} and set(few) < set(many)
        phrases = [{phrase for phrase in PHRASES if phrase in text} for text in many.values()]
        if fault.how != "repeat":
            assert all(len(each) == 1 for each in phrases) and len(set.union(*phrases)) == 3
            ((number, text),) = few.items()
            assert {p for p in PHRASES if p in text} == {p for p in PHRASES if p in many[number]}
        drawn |= set(few)
    assert drawn == {2, 6, 8, 10, 12}


def test_a_short_conversation_takes_the_whole_dose_all_the_same() -> None:
    short = talk("model", "user", "model")
    for fault in FAULTS.values():
        one, three = (changed(short, spoil(short, fault, dose, language="en", seed=5)) for dose in (1, 3))
        assert len(one) == 1 and len(three) == 2 and set(one) <= set(three)
        if fault.how != "repeat":
            assert sum(phrase in text for text in three.values() for phrase in PHRASES) == 3
    alone = talk("user", "model")
    assert set(changed(alone, spoil(alone, FAULTS["reveals_ai"], 3, language="en", seed=5))) == {1}


def test_where_there_are_no_references_the_runs_own_answers_are_the_base() -> None:
    bare = [replace(sample, references={}) for sample in samples(6)]
    said = [Answer.said(GOOD), SESSION, talk("user", "user"), Answer.said(" "), Answer.said(GOOD, status="refused")]
    given = [Case(s, "m/run", {"m/run": answer}) for s, answer in zip(bare, said, strict=False)]
    found = controls(given, RubricJudge(controls=9))
    assert {control.sample.id for control in found} == {"eng/0", "eng/1"} and {c.base for c in found} == {"transcript"}
    unspoilt = {control.sample.id: control.case.answers["dose0"] for control in found if not control.fault}
    assert unspoilt == {"eng/0": said[0], "eng/1": said[1]}
    compared = controls(given, PairwiseJudge(controls=9))
    assert all(control.case.answers["dose0"] == unspoilt[control.sample.id] for control in compared)


def test_of_a_conversation_the_reference_of_a_single_answer_is_no_base() -> None:
    found = controls([Case(sample, "m/run", {"m/run": SESSION}) for sample in samples(3)], RubricJudge(controls=1))
    assert found[0].case.answers["dose0"] == SESSION and found[0].base == "transcript"


def test_a_judge_that_declares_no_metric_has_no_controls() -> None:
    class Silent(Judge):
        pass

    with pytest.raises(ConfigError, match=r"judge.controls: Silent declares no metric; return a MetricInfo"):
        controls(cases(samples(2)), Silent(name="silent", pack="judges/rubric", controls=1))


def test_a_fault_that_needs_a_reference_is_left_out_where_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("forgets:\n  how: repeat\n  needs: reference\nagain:\n  how: repeat\n")
    faults = load_faults(str(file))
    judge = RubricJudge(controls=2)
    assert [fault.needs for fault in faults] == ["reference", None]
    assert {c.fault for c in controls(cases(samples(3)), judge, faults)} == {"", "forgets", "again"}
    own = [Case(replace(sample, references={}), "m/run", {"m/run": Answer.said(GOOD)}) for sample in samples(3)]
    assert {c.fault for c in controls(own, judge, faults)} == {"", "again"}
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("forgets:\n  how: repeat\n  needs: luck\n")
    with pytest.raises(ConfigError, match=r"forgets.needs is 'luck'; give reference"):
        load_faults(str(wrong))
