"""CoSER's overlap metrics are those of the packages that published numbers were made with; counts are the scene's."""

import json
import warnings
from pathlib import Path
from typing import Any

import nltk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleeval.benchmarks.coser import CoserOverlap, NextSpeaker, SceneFacts
from roleeval.benchmarks.coser.metrics import _word_tokeniser, rouge_l, sentence_bleu4, sentence_tokens
from roleeval.types import Part, Persona, Sample, Score, Status, Transcript, Turn

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "coser_overlap.json").read_text(encoding="utf-8"))["pairs"]


def has_punkt() -> bool:
    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        return False
    return True


@pytest.mark.parametrize("pair", GOLDEN)
def test_rouge_l_is_that_of_rouge_chinese(pair: dict[str, Any]) -> None:
    assert rouge_l(pair["text"], pair["reference"]) == pytest.approx(pair["rouge_l_f1"], abs=1e-12)


def test_bleu_is_nltk_s_and_its_name_says_which_sentences() -> None:
    tokenise, name = _word_tokeniser()
    assert name == ("coser/bleu4" if has_punkt() else "coser/bleu4_untrained")
    for pair in GOLDEN:
        tokens, reference = tokenise(pair["text"].lower()), tokenise(pair["reference"].lower())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = nltk.translate.bleu_score.sentence_bleu([reference], tokens)
        assert sentence_bleu4(tokens, reference) == expected
        # Without trained abbreviations a few tokens differ; on these texts the values stay close.
        assert expected == pytest.approx(pair["bleu4_punkt"], abs=1e-12 if has_punkt() else 0.03)


@given(st.text(alphabet="ab?。”’… .\n"), st.text(alphabet="ab?。”’… .\n"))
def test_rouge_l_is_an_f1_over_the_longest_common_subsequence(text: str, reference: str) -> None:
    tokens, expected = sentence_tokens(text), sentence_tokens(reference)
    value = rouge_l(text, reference)
    if not tokens or not expected:
        assert value == 0.0
        return
    table = [[0] * (len(expected) + 1) for _ in range(len(tokens) + 1)]
    for i, token in enumerate(tokens):
        for j, other in enumerate(expected):
            table[i + 1][j + 1] = table[i][j] + 1 if token == other else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    precision, recall = common / len(tokens), common / len(expected)
    assert value == pytest.approx(2 * precision * recall / (precision + recall + 1e-8), abs=1e-12)
    assert 0 <= value <= 1


def turn(speaker: str, said: str, part: Part = "model", note: str = "") -> Turn:
    return Turn(speaker, (), said, said, "", "ok", "stop", 1, 1, "", part=part, note=note)


SAMPLE = Sample(
    "b-1-0",
    0,
    "id",
    "b",
    Persona("", "", "en"),
    "s",
    {},
    material={"reference": "Ann: Hello there, my old friend.\n\nBo: Yes."},
)
TURNS = (
    turn("Ann", "Hello there, my old friend."),
    turn("NSP", "Bo", "next_speaker", "exact"),
    turn("Bo", ""),
    turn("NSP", "Environment", "next_speaker", "unknown"),
    turn("Environment", "It rains.", "environment"),
    turn("NSP", "Ann", "next_speaker", "random"),
    turn("Ann", "Good night."),
)


def rows(metric: Any, transcript: Transcript, sample: Sample = SAMPLE) -> dict[str, Score]:
    return {score.metric: score for score in metric.score(sample, transcript)}


def test_what_happened_is_counted() -> None:
    facts = rows(SceneFacts(), Transcript("b-1-0", "ok", TURNS))
    assert facts["coser/actor_turns"].value == 3
    assert facts["coser/words_per_turn"].value == 3.5
    assert facts["coser/unanswered_turns"].value == 1
    steps = rows(NextSpeaker(), Transcript("b-1-0", "ok", TURNS))
    assert {name: score.value for name, score in steps.items() if score.value} == {
        "coser/nsp_exact": 1,
        "coser/nsp_unknown": 1,
        "coser/nsp_random": 1,
        "coser/nsp_drawn_unasked": 1,
    }


def test_the_reference_itself_overlaps_whole_and_given_turns_count_on_neither_side() -> None:
    same = (turn("Ann", "Hello there, my old friend."), turn("NSP", "Bo", "next_speaker"), turn("Bo", "Yes."))
    scores = rows(CoserOverlap(), Transcript("b-1-0", "ok", same))
    assert all(score.value == pytest.approx(1.0, abs=1e-7) for score in scores.values()) and len(scores) == 2
    given = (turn("Ann", "Hello there, my old friend.", "reference"), turn("Bo", "No."))
    rest = Sample(
        "b-1-0",
        0,
        "id",
        "b",
        Persona("", "", "en"),
        "s",
        {},
        material={**SAMPLE.material, "reference_rest": "Bo: Yes."},
    )
    scores = rows(CoserOverlap(), Transcript("b-1-0", "ok", given), rest)
    assert scores["coser/rougeL_f1_rouge_chinese"].value == pytest.approx(0.5)


@pytest.mark.parametrize("status", ["engine_failed", "unsupported_role"])
def test_a_scene_that_did_not_happen_is_missing_everywhere(status: Status) -> None:
    for metric in (CoserOverlap(), SceneFacts(), NextSpeaker()):
        for score in metric.score(SAMPLE, Transcript("b-1-0", status, TURNS[:1])):
            assert (score.value, score.status) == (None, status)


def test_a_scene_without_a_word_is_worth_nothing_and_says_why() -> None:
    scores = rows(CoserOverlap(), Transcript("b-1-0", "no_answer", (turn("Ann", ""),)))
    assert {(score.value, score.status) for score in scores.values()} == {(0.0, "no_answer")}
