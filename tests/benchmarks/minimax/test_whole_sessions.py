"""Whole sessions with known faults at known rounds: a judge that finds them all gives the scores worked out by hand.

sessions/LANGUAGE.json: a seed, its dialogue in the released tables' form, and its faults. English has two chunks of ten
messages of the character's, in one of which nothing is said; Chinese has one of ten and one of two.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from judged import put, scores

from roleeval.benchmarks.minimax import MinimaxErrors
from roleeval.benchmarks.minimax.rubric import load_dimensions, subtypes_of
from roleeval.judging import Answer, Case, SeenTurn
from roleeval.types import MODEL, Persona, Request, Sample

SUBTYPES = subtypes_of(load_dimensions(MinimaxErrors().prompts))
# Points lost in a chunk: 100 * (sum of severities / 3) / messages of the character.
BY_HAND = {
    "en": {
        "basics": (90 + (100 - 10 * (2 / 3 + 1))) / 2,  # French; words of round 22 again, and an empty message
        "logic": ((100 - 10 * 4 / 3) + 100) / 2,  # names swapped, and a fact forgotten
        "knowledge": (100 + (100 - 10 * 2 / 3)) / 2,
        "diversity": (100 + (100 - 10 / 3)) / 2,
        "content_logic": 100,
        "interaction": (90 + 80) / 2,  # speaks for Gil; refuses, and is silent once
        "worlds_mean": 92 + 2 / 9,
        "worlds_sum": 76 + 2 / 3,
        "stories_mean": 99 + 1 / 6,
        "stories_sum": 98 + 1 / 3,
        "preferences_mean": 85,
        "preferences_sum": 85,
        "overall_mean": 92.152777777,
        "overall_sum": 84 + 1 / 6,
        "chunk_1": 85 + 5 / 6,
        "chunk_2": 82.5,
        "worst_chunk": 82.5,
        "first_error_round": 6,
        "errors/mixed_up": 1,
        "errors/repetition": 1,
        "errors/empty": 2,
    },
    "zh": {
        "basics": (100 - 10 / 3 + 100) / 2,
        "logic": (90 + 100) / 2,
        "knowledge": (100 + 50) / 2,  # one severe error in a chunk of two messages
        "diversity": 100,
        "content_logic": (100 - 20 / 3 + 100) / 2,
        "interaction": ((100 - 10 / 3) + (100 - 100 / 3)) / 2,
        "worlds_mean": 89 + 4 / 9,
        "worlds_sum": 68 + 1 / 3,
        "stories_mean": 98 + 1 / 3,
        "stories_sum": 96 + 2 / 3,
        "preferences_mean": 81 + 2 / 3,
        "preferences_sum": 81 + 2 / 3,
        "overall_mean": 89.722222222,
        "overall_sum": 78.75,
        "chunk_1": 90 + 5 / 6,
        "chunk_2": 66 + 2 / 3,
        "worst_chunk": 66 + 2 / 3,
        "first_error_round": 8,
        "errors/setting_rule": 1,
    },
}


def whole_session(language: str) -> tuple[Case, list[dict[str, Any]]]:
    """A session as a judge gets it, and its faults as an attentive judge lists them."""
    row = json.loads((Path(__file__).parent / "sessions" / f"{language}.json").read_text(encoding="utf-8"))
    names = {"ai": row["ai_name"], "user": row["user_name"]}
    parts = {"ai": MODEL, "user": "user"}
    turns = []
    for entry in row["dialogue"]:
        part = "given" if entry["round"] < 2 else parts[entry["role"]]
        status: Any = "ok" if entry["text"] else "no_answer"
        turns.append(SeenTurn(entry["round"], names[entry["role"]], part, entry["text"], status))
    persona = Persona(row["ai_name"], row["ai_setting"], "zh" if language == "zh" else "en")
    material = {"user_name": row["user_name"], "user_setting": row["user_setting"]}
    sample = Sample(f"{row['id']}/run_1", 0, language, row["id"], persona, turns[1].text, {}, {}, material)
    faults = [{k: fault[k] for k in ("round", "subtype", "severity", "quote")} for fault in row["faults"]]
    listed = [{**fault, "dimension": SUBTYPES[fault["subtype"]]} for fault in faults]
    return Case(sample, "own", {"own": Answer(tuple(turns), conversation=True)}), listed


def found(language: str, *, nowhere: Sequence[str] = (), calls: Any = "one") -> dict[str, float | None]:
    """Scores by a judge that lists a session's faults, each in its chunk, and in every chunk others."""
    case, faults = whole_session(language)
    messages = len(case.answers["own"].turns) - 2
    judge = MinimaxErrors(samples_per_item=1, attempts=1, calls=calls, messages=messages)

    def script(request: Request) -> str:
        error = json.loads(request.json_schema or "")["properties"]["errors"]["items"]["properties"]
        first, last = error["round"]["minimum"], error["round"]["maximum"]
        here = [f for f in faults if first <= f["round"] <= last and f["dimension"] in error["dimension"]["enum"]]
        other = {"round": first, "subtype": error["subtype"]["enum"][0], "severity": 3}
        other["dimension"] = SUBTYPES[other["subtype"]]
        return json.dumps({"errors": [*here, *({**other, "quote": quote} for quote in nowhere)]}, ensure_ascii=False)

    return {name: row.value for name, row in scores(judge, case, put(judge, script, case)).items()}


@pytest.mark.parametrize("language", BY_HAND)
def test_a_judge_that_finds_all_faults_gives_the_scores_worked_out_by_hand(language: str) -> None:
    values = found(language)
    assert {name: values[name] for name in BY_HAND[language]} == pytest.approx(BY_HAND[language])
    counted = {name.removeprefix("errors/") for name, value in values.items() if name.startswith("errors/") and value}
    assert counted - {"empty"} == {fault["subtype"] for fault in whole_session(language)[1]}
    assert values["unquoted"] == 0


@pytest.mark.parametrize("language", BY_HAND)
@pytest.mark.parametrize("calls", ["one", "category"])
def test_what_a_judge_cannot_quote_changes_no_score(language: str, calls: str) -> None:
    """Quotes from the user, from the context, from nowhere."""
    turns = whole_session(language)[0].answers["own"].turns
    quotes = [turns[1].text, turns[3].text, turns[0].text[:12], "nothing of the kind"]
    values = found(language, nowhere=quotes, calls=calls)
    assert {name: values[name] for name in BY_HAND[language]} == pytest.approx(BY_HAND[language])
    questions = 2 * (1 if calls == "one" else 3)
    faults = len(whole_session(language)[1])
    assert values["unquoted"] == pytest.approx(4 * questions / (4 * questions + faults))
