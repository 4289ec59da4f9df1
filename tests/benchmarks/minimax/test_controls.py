"""Faults in sessions: each lowers its own dimension in the order of its doses; the card says what else it lowers."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from judged import put

from roleeval.benchmarks.minimax import MinimaxErrors
from roleeval.benchmarks.minimax.errors import CHUNK
from roleeval.judging import Answer, Case, SeenTurn, control_record, controls, load_faults
from roleeval.prompts import fill
from roleeval.types import MODEL, Language, Persona, Request, Sample

JUDGE = MinimaxErrors(samples_per_item=1, attempts=1, controls=6)
SUBTYPE = {
    "repeats_itself": "repetition",
    "wrong_language": "mixed_language",
    "swaps_names": "mixed_up",
    "forgets": "forgotten",
    "out_of_character": "out_of_character",
    "reveals_ai": "out_of_character",
    "speaks_for_user": "speaks_for_user",
    "refuses": "refusal",
}
NAMES = {"role": "Holmes", "other": "Ada"}


def case(number: int, language: Language) -> Case:
    said = "First one of {}. Then another of {}." if language == "en" else "这是第{}句。这是另外的第{}句。"
    turns = [SeenTurn(0, "Holmes", "given", "Come in."), SeenTurn(1, "Ada", "given", "Good evening.")]
    for place in range(2, 2 + 2 * CHUNK):
        turn = f"{number}-{place}"
        own = place % 2 == 0
        part, name = (MODEL, "Holmes") if own else ("user", "Ada")
        turns.append(SeenTurn(place, name, part, said.format(turn, turn) if own else "Go on."))
    persona = Persona("Holmes", "a detective", language)
    material = {"user_name": "Ada", "user_setting": "a clerk"}
    sample = Sample(f"s{number}/run_1", number, language, f"s{number}", persona, "Good evening.", {}, {}, material)
    return Case(sample, "own", {"own": Answer(tuple(turns), conversation=True)})


def checked_chunk(request: Request) -> dict[int, str]:
    """Round -> message of the character in the chunk that is asked about."""
    assert request.messages is not None
    text = re.split(r"# To be checked|# 要检查的部分", request.messages[-1].content)[1]
    return {int(n): said.strip() for n, said in re.findall(r"\[(\d+)\] Holmes: (.*?)(?=\n\n\[|\n<<end)", text, re.S)}


def errors_in(round_: int, text: str, language: Language) -> list[dict[str, Any]]:
    """What an attentive judge lists of a message."""
    found = []
    for fault in load_faults():
        for phrase in fault.phrases.get(language, ()):
            if (quote := fill(phrase, **NAMES)) in text:
                found.append((fault.name, quote))
    sentences = [part for part in re.split(r"(?<=[.!?。])\s*", text) if part]
    twice = next((sentence for sentence in sentences if sentences.count(sentence) > 1), None)
    if twice:
        found.append(("repeats_itself", twice))
    severity = 2 + round_ // 2 % 2  # of some sessions milder than of others
    return [
        {"round": round_, "dimension": "basics", "subtype": SUBTYPE[name], "severity": severity, "quote": quote}
        for name, quote in found
    ]


def record(script: Any, language: Language, judge: MinimaxErrors = JUDGE) -> Mapping[str, Any]:
    asked = controls([case(number, language) for number in range(6)], judge)
    return control_record(judge, [(control, put(judge, script, control.case)) for control in asked])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_attentive_judge_lowers_each_faults_own_dimension_in_order_and_no_other(language: Any) -> None:
    def script(request: Request) -> str:
        errors = [e for round_, text in checked_chunk(request).items() for e in errors_in(round_, text, language)]
        return json.dumps({"errors": errors})

    found = record(script, language)
    assert set(found["faults"]) == set(SUBTYPE) and found["base"] == "transcript"
    for name, fault in found["faults"].items():
        assert fault["verdict"] == "in order", (name, fault)
        assert fault["metric"] == MinimaxErrors.hits[name][0] and fault["also"] == {}
        assert fault["doses"]["0"]["mean"] == 100
        assert 90 <= fault["doses"]["1"]["mean"] <= 94


def test_a_judge_that_calls_everything_one_thing_is_found_out() -> None:
    def script(request: Request) -> str:
        errors = [e for round_, text in checked_chunk(request).items() for e in errors_in(round_, text, "en")]
        return json.dumps({"errors": [{**error, "subtype": "forgotten"} for error in errors]})

    faults = record(script, "en")["faults"]
    assert (faults["forgets"]["verdict"], faults["forgets"]["also"]) == ("in order", {})
    assert faults["speaks_for_user"]["verdict"] == "not in order"
    assert list(faults["speaks_for_user"]["also"]) == ["logic"]


def test_a_control_is_asked_about_one_chunk_and_of_a_shorter_session_about_all_of_it() -> None:
    asked = controls([case(0, "en")], replace(JUDGE, controls=1))
    assert {len(JUDGE.questions(control.case)) for control in asked} == {1}
    assert len(JUDGE.questions(case(0, "en"))) == 2
