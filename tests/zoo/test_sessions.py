"""What the small models learn of sessions: train sessions only, each side by its own prompt, HER's in tags."""

import re

import pytest

from roleeval.benchmarks.minimax.data import Seed, read_seeds
from roleeval.models._her_reply import parse_her
from roleeval.resources import resource, zoo_path
from roleeval.zoo._data import Corpus, TrainSession, load_corpus, tasks_folder
from roleeval.zoo._documents import Exchange
from roleeval.zoo._sessions import acted_in_tags, her_session_documents, recast, session_turns, user_documents

TEST: list[Seed] = []
for language in ("en", "zh"):
    TEST += read_seeds(resource("tasks/minimax/embedded") / language / "seeds.jsonl", language)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(tasks_folder())


def _text(document: Exchange) -> str:
    return "\n".join([*(message.content for message in document.messages), document.answer])


def test_no_test_seed_is_trained_on(corpus: Corpus) -> None:
    trained = "\n".join(map(_text, (*her_session_documents(corpus.sessions), *user_documents(corpus.sessions))))
    assert len(TEST) == 16 and not {s.seed.id for s in corpus.sessions} & {seed.id for seed in TEST}
    for seed in TEST:
        assert seed.user_name not in trained
        for text in (seed.ai_setting, seed.user_setting, seed.ai_prologue, seed.initial_user_input):
            assert text not in trained


def test_train_sessions_are_whole_and_in_one_language(corpus: Corpus) -> None:
    assert [s.seed.language for s in corpus.sessions].count("en") >= 6
    assert [s.seed.language for s in corpus.sessions].count("zh") >= 6
    for session in corpus.sessions:
        assert 10 <= len(session.lines) <= 14 and len(session.lines) % 2 == 0
        assert len(set(session.lines)) == len(session.lines) and len(session.plans) >= 2
        for text in (*session.lines, *session.plans):
            assert text.strip() == text and text.count("*") % 2 == 0
            assert bool(re.search("[一-鿿]", text)) == (session.seed.language == "zh"), text


def test_each_side_is_sent_its_own_prompt_and_all_earlier_messages(corpus: Corpus) -> None:
    for session in corpus.sessions:
        turns = session_turns(session)
        assert [turn.answer for turn in turns.character] == list(session.lines[2::2])
        assert [turn.answer for turn in turns.user] == list(session.lines[3::2])
        last_of_character, last_of_user = turns.character[-1].messages, turns.user[-1].messages
        assert session.seed.ai_setting in last_of_character[0].content
        assert session.seed.ai_setting not in last_of_user[0].content
        assert session.seed.user_setting in last_of_user[0].content
        assert [message.content for message in last_of_user[1:]] == list(session.lines[:-1])
        assert [message.role for message in last_of_user[1:]] == ["user", "assistant"] * 5 + ["user"]


def test_lines_are_learned_between_other_cards_of_their_language_too(corpus: Corpus) -> None:
    cast_ = recast(corpus.sessions, 2)
    assert cast_[: len(corpus.sessions)] == list(corpus.sessions) and len(cast_) == 3 * len(corpus.sessions)
    assert len({session.seed.id for session in cast_}) == len(cast_)
    for session in cast_:
        assert bool(re.search("[一-鿿]", session.seed.user_setting)) == (session.seed.language == "zh")
        assert session.lines[:2] == (session.seed.ai_prologue, session.seed.initial_user_input)


def test_her_messages_are_the_lines_in_tags_and_plans_stay_out_of_memory(corpus: Corpus) -> None:
    documents = her_session_documents(corpus.sessions)
    said = {acted_in_tags(text) for session in corpus.sessions for text in session.lines[2::2]}
    assert {document.answer.partition("</system_thinking>")[2] for document in documents} == said
    for document in documents:
        reply = parse_her(document.answer, "stop")
        assert reply.status == "ok" and reply.thoughts and "*" not in document.answer
        assert not any("system_thinking" in message.content for message in document.messages)


def test_actions_become_tags() -> None:
    assert acted_in_tags("*bows* Good day. *sits* Well?") == (
        "<role_action>bows</role_action>Good day.<role_action>sits</role_action>Well?"
    )


def test_the_user_learns_all_its_messages_of_a_session(corpus: Corpus) -> None:
    from roleeval.zoo.build import own_base

    encoder = own_base(zoo_path("base")).encoder
    tokenizer = encoder.tokenizer
    session: TrainSession = corpus.sessions[-1]
    (document,) = user_documents([session])
    assert document.answer == session.lines[-1]
    found = encoder.encode(document)
    taught = [tokenizer.decode(found.body[begin : end - 1]) for begin, end in found.earlier]
    assert taught == list(session.lines[1:-2:2])
