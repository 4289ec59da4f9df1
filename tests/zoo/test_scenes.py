"""What the small models learn of scenes: train scenes only, nobody's thoughts but their own, and in HER's tags."""

import re
from itertools import chain

import pytest

from roleeval.benchmarks.coser.data import ENVIRONMENT, Scene, read_scenes
from roleeval.benchmarks.coser.next import END
from roleeval.benchmarks.coser.text import without_thoughts
from roleeval.models._her_reply import parse_her
from roleeval.resources import resource
from roleeval.types import Message
from roleeval.zoo._data import Corpus, load_corpus, tasks_folder
from roleeval.zoo._documents import Chat, Document, Exchange, base_documents
from roleeval.zoo._scenes import (
    her_scene_documents,
    in_tags,
    scene_turns,
    stagehand_documents,
    voice_documents,
)

TEST = read_scenes(resource("tasks/coser/embedded/test_set.json"))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(tasks_folder())


@pytest.fixture(scope="module")
def taught(corpus: Corpus) -> list[Document]:
    return [*her_scene_documents(corpus), *stagehand_documents(corpus)]


def _text(document: Document) -> str:
    if isinstance(document, Exchange):
        return "\n".join([*(message.content for message in document.messages), document.answer])
    return "\n".join((document.system, document.user, document.answer)) if isinstance(document, Chat) else document.text


def test_no_test_scene_is_trained_on(corpus: Corpus, taught: list[Document]) -> None:
    assert [scene.split for scene in TEST].count("id") == [scene.split for scene in TEST].count("ood") == 4
    assert not {scene.id for scene in TEST} & {scene.id for scene in corpus.scenes}
    trained = "\n".join(map(_text, (*taught, *base_documents(corpus))))
    for scene in TEST:
        assert scene.scenario not in trained and scene.summary not in trained
        for line in scene.lines:
            assert line.message not in trained and in_tags(line.message) not in trained
            assert without_thoughts(line.message)[0] not in trained
    books = {scene.book for scene in corpus.scenes}
    assert all((scene.book in books) == (scene.split == "id") for scene in TEST)


def test_no_test_answer_is_part_of_a_question_to_the_judge(corpus: Corpus) -> None:
    import json

    asked = "\n".join(map(_text, voice_documents(corpus)))
    files = sorted((tasks_folder() / "embedded").glob("rolebench-*/**/test.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    assert len(rows) == 400
    assert not any(answer in asked for row in rows for answer in row["generated"])


def test_every_scene_can_be_played_by_every_family(corpus: Corpus) -> None:
    roles = {persona.role for persona in corpus.personas}
    for scene in (*TEST, *corpus.scenes):
        assert set(scene.characters) <= roles
        assert set(scene.majors) == set(scene.characters) == set(scene.profiles)
        assert all(scene.motivation(name, ("thought", "motivation")) for name in scene.characters)
    assert any(ENVIRONMENT in {line.speaker for line in scene.lines} for scene in TEST)


def _thoughts(scene: Scene, name: str) -> list[str]:
    lines = (line.message for line in scene.lines if line.speaker == name)
    return list(chain.from_iterable(without_thoughts(message)[1].splitlines() for message in lines))


@pytest.mark.parametrize("tags", [False, True])
def test_everybody_is_told_what_the_simulation_tells_and_no_thoughts_of_others(corpus: Corpus, *, tags: bool) -> None:
    for scene in corpus.scenes:
        turns = scene_turns(scene, tagged=(lambda _, message: in_tags(message)) if tags else None)
        spoken = [line for line in scene.lines if line.speaker != ENVIRONMENT]
        assert len(turns.characters) == len(spoken)
        for line, turn in zip(spoken, turns.characters, strict=True):
            told = "\n".join(message.content for message in turn.messages)
            assert turn.messages[0].content.startswith(f'You are {line.speaker}, a character of "{scene.book}".')
            for other in scene.characters:
                if other != line.speaker:
                    assert not any(thought in told for thought in _thoughts(scene, other))
        for turn in (*turns.environment, *turns.next_speaker):
            told = "\n".join(message.content for message in turn.messages)
            assert not any(thought in told for name in scene.characters for thought in _thoughts(scene, name))
        assert [turn.answer for turn in turns.next_speaker] == [*(line.speaker for line in scene.lines[1:]), END]


def test_turns_in_tags_are_the_lines_and_plans_stay_out_of_memory(corpus: Corpus) -> None:
    turns = [document for document in her_scene_documents(corpus) if isinstance(document, Exchange)]
    assert turns
    said = {without_thoughts(line.message)[0] for scene in corpus.scenes for line in scene.lines}
    for turn in turns:
        reply = parse_her(turn.answer, "stop")
        assert reply.status == "ok" and reply.visible in said
        assert turn.answer.startswith("<system_thinking>")
        assert not any("system_thinking" in message.content for message in turn.messages[1:])


def test_brackets_become_tags() -> None:
    tagged = in_tags("[Easy.] (smiles) Good day, matey! (bows) Sit down.")
    assert tagged == (
        "<role_thinking>Easy.</role_thinking><role_action>smiles</role_action>Good day, matey!"
        "<role_action>bows</role_action>Sit down."
    )


def test_a_long_chat_is_encoded_as_the_chat_template_renders_it(corpus: Corpus) -> None:
    from roleeval.resources import zoo_path
    from roleeval.zoo.build import own_base

    encoder = own_base(zoo_path("base")).encoder
    tokenizer = encoder.tokenizer
    for turn in scene_turns(corpus.scenes[5]).next_speaker:
        found = encoder.encode(turn)
        chat = [{"role": message.role, "content": message.content} for message in turn.messages]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        assert list(found.prefix + found.body[: found.prompt_length]) == tokenizer(prompt)["input_ids"]
        answer = tokenizer.decode(found.body[found.prompt_length : -1])
        assert answer == turn.answer and found.body[-1] == tokenizer.eos_token_id
        asked = tokenizer.decode(found.body[slice(*found.question)])
        assert asked == turn.messages[-1].content


def test_the_judges_question_is_asked_about_every_train_answer_in_both_orders(corpus: Corpus) -> None:
    questions = list(voice_documents(corpus))
    answers = sum(len(row.generated) for row in corpus.rows)
    assert len(questions) == 2 * answers
    for first, second in zip(questions[::2], questions[1::2], strict=True):
        assert first.answer == second.answer
        one, two = (_names(question.messages) for question in (first, second))
        assert one == two[::-1]
        assert re.fullmatch(r'\{"speaker": "(.+)"\}', first.answer)[1] in one  # type: ignore[index]


def _names(messages: tuple[Message, ...]) -> list[str]:
    return messages[-1].content.rpartition("Who speaks: ")[2].rstrip("?").split(" or ")
