"""The committed weights on what they have not seen: the judge's question, next speakers, HER's turns, users."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from roleeval.benchmarks.coser.data import ENVIRONMENT, read_scenes
from roleeval.benchmarks.coser.next import READ, read_answer
from roleeval.benchmarks.minimax.data import Seed
from roleeval.judging import Answer, Case, UnusableReplyError, VoiceJudge
from roleeval.models._her_reply import parse_her
from roleeval.resources import resource, zoo_path
from roleeval.types import Message, Sample
from roleeval.zoo._data import Corpus, TrainSession, load_corpus, tasks_folder
from roleeval.zoo._scenes import in_tags, scene_turns
from roleeval.zoo._sessions import SessionTurns, acted_in_tags, session_turns

SCENES = read_scenes(resource("tasks/coser/embedded/test_set.json"))
HER_OPENS = "<system_thinking>"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(tasks_folder())


def _greedy(adapter: str, chats: Sequence[Sequence[Message]], tokens: int, opening: str = "") -> list[tuple[str, bool]]:
    """Replies, and whether each ended by itself."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(zoo_path("base"), padding_side="left")
    base = AutoModelForCausalLM.from_pretrained(zoo_path("base"), dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(base, zoo_path(adapter))
    written = [[{"role": message.role, "content": message.content} for message in chat] for chat in chats]
    prompts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) + opening for c in written]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    asked = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    output = model.generate(**asked, max_new_tokens=tokens, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    return [
        (opening + tokenizer.decode(ids, skip_special_tokens=True), tokenizer.eos_token_id in ids) for ids in output
    ]


def test_the_judge_knows_who_speaks_in_answers_that_it_has_not_seen(corpus: Corpus) -> None:
    judge, personas = VoiceJudge(), {persona.role: persona for persona in corpus.personas}
    files = sorted((tasks_folder() / "embedded").glob("rolebench-*/**/test.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()][::8]
    asked = []
    for number, row in enumerate(rows):
        persona = personas[row["role"]]
        sample = Sample(str(number), number, "test", persona.role, persona, row["question"], {})
        case = Case(sample, "m/run", {"m/run": Answer.said(row["generated"][0])})
        asked += [(persona.role, question) for question in judge.questions(case)]
    assert len(asked) == 100
    right = 0
    for (role, question), (reply, _) in zip(
        asked, _greedy("stagehand", [q.messages for _, q in asked], 24), strict=True
    ):
        try:
            right += question.read(reply)["speaker"] == role
        except UnusableReplyError:
            continue
    assert right / len(asked) >= 0.85


def test_the_next_speaker_is_mostly_one_of_the_scene() -> None:
    asked = [(scene, turn) for scene in SCENES[::2] for turn in scene_turns(scene).next_speaker]
    replies = _greedy("stagehand", [turn.messages for _, turn in asked], 12)
    notes = [read_answer(reply, s.speakers, form="name")[1] for (s, _), (reply, _) in zip(asked, replies, strict=True)]
    assert sum(note in READ for note in notes) / len(notes) >= 0.6, notes


def test_her_turns_in_scenes_are_whole(corpus: Corpus) -> None:
    def tagged(name: str, message: str) -> str:
        return f"{HER_OPENS}{corpus.voices[name].plans[0]}</system_thinking>{in_tags(message)}"

    chats = [turn.messages for scene in SCENES[::3] for turn in scene_turns(scene, tagged=tagged).characters]
    assert len(chats) == sum(line.speaker != ENVIRONMENT for scene in SCENES[::3] for line in scene.lines)
    replies = [parse_her(text, "stop" if ended else "length") for text, ended in _greedy("her", chats, 192, HER_OPENS)]
    assert sum(reply.status == "ok" and bool(reply.thoughts) for reply in replies) / len(replies) >= 0.8


def _unseen_session(language: str, messages: int = 16) -> SessionTurns:
    """Turns of a session that nothing was trained on, the character's in HER's tags."""
    folder = Path(__file__).parents[1] / "benchmarks" / "minimax" / "sessions"
    row = json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
    lines = tuple(entry["text"] for entry in row["dialogue"][:messages])
    texts = {key: value for key, value in row.items() if key not in ("dialogue", "faults")}
    session = TrainSession(Seed(**texts, language="zh" if language == "zh" else "en", number=1), lines, ("...",))
    return session_turns(session, tagged=lambda text: f"{HER_OPENS}...</system_thinking>{acted_in_tags(text)}")


def _in_language(text: str, language: str) -> bool:
    return bool(re.search("[一-鿿]", text)) == (language == "zh")


def test_her_messages_in_sessions_are_whole_and_in_their_language() -> None:
    turns = [(language, turn.messages) for language in ("en", "zh") for turn in _unseen_session(language).character]
    said = _greedy("her", [messages for _, messages in turns], 192, HER_OPENS)
    replies = [parse_her(text, "stop" if ended else "length") for text, ended in said]
    assert len(replies) == 14
    whole = [reply.status == "ok" and bool(reply.thoughts) for reply in replies]
    assert sum(whole) >= 12, said
    assert all(
        _in_language(reply.visible, where) for reply, (where, _) in zip(replies, turns, strict=True) if reply.visible
    )


def test_the_user_answers_in_sessions_in_their_language_and_ends() -> None:
    turns = [(language, turn.messages) for language in ("en", "zh") for turn in _unseen_session(language).user]
    said = _greedy("stagehand", [messages for _, messages in turns], 96)
    assert len(said) == 14 and sum(ended for _, ended in said) >= 12, said
    kept = [
        _in_language(text, where) and "speaker" not in text for (text, _), (where, _) in zip(said, turns, strict=True)
    ]
    assert sum(kept) >= 12, said
