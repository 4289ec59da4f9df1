"""The inner life the HER- and RAR-style demo models are trained on: a gap or a stray tag would end up in a model."""

import json

import pytest

from roleeval.types import Persona
from roleeval.zoo._data import load_corpus, tasks_folder

VOICES: dict[str, dict[str, list[str]]] = json.loads(
    (tasks_folder() / "embedded" / "inner_voices.json").read_text("utf-8")
)
PERSONAS = load_corpus(tasks_folder()).personas
KINDS = ("plans", "thoughts", "actions", "reasoning")


def test_every_embedded_role_has_an_inner_life_and_nobody_else() -> None:
    assert len(PERSONAS) == 10
    assert set(VOICES) == {persona.role for persona in PERSONAS}


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.role)
def test_each_kind_has_variety_in_the_language_of_the_role(persona: Persona) -> None:
    voice = VOICES[persona.role]
    assert tuple(voice) == KINDS
    for kind in KINDS:
        assert len(voice[kind]) >= 6
        for sentence in voice[kind]:
            assert sentence.isascii() == (persona.language == "en"), sentence


def test_no_sentence_can_break_a_chat_format_or_belongs_to_two_roles() -> None:
    sentences = [s for voice in VOICES.values() for kind in KINDS for s in voice[kind]]
    for sentence in sentences:
        assert sentence and sentence == sentence.strip()
        # Tags, action marks and quotes are put around the sentences when a training document is built.
        assert not set(sentence) & set('<>[](){}（）【】《》“”"*\n'), sentence
    assert len(set(sentences)) == len(sentences)
