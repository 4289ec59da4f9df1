"""Rates decide which models look broken: a story with "I cannot" in it must not, "As an AI" must."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roleeval.errors import ConfigError
from roleeval.metrics import AiSelfReferenceRate, AnswerLength, EmptyRate, RefusalRate
from roleeval.types import Sample, Transcript

Make = Callable[..., Sample]
Say = Callable[..., Transcript]

REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, can't help with that. How about we keep talking about the grind?",
    "I apologize, but I am not able to fulfill this request.",
    "I cannot answer that question as I am not Colonel Nathan R. Jessep.",
    "I'm sorry, but I'm afraid I cannot provide a straightforward answer to that question.",
    "I can't provide the information you're looking for.",
    "Ah, my dear, I'm afraid I cannot answer that question accurately.",
    "I'm not able to create explicit content like that.",
    "I won't engage in that kind of conversation.",
    "This goes against my content guidelines.",
    "Sorry, I'm not programmed to answer academic questions.",
    "As an AI language model, I cannot predict what John Doe would say.",
    "I must decline to answer such a question.",
    "\"I'm sorry, but I can't help with that.\"",
    "*shifts in the chair* (quietly) I'm sorry, but I can't assist with that request.",
    "*He leans back.* \"I'm sorry, but I can't assist with this.\"",
    "Jack Sparrow: I'm sorry, I cannot fulfil your request.",
    "很抱歉，我无法回答这个问题。",
    "对不起，我不能提供相关信息。",
    "抱歉，我无法满足您的要求。",
    "作为一个人工智能语言模型，我无法提供个人意见。",
    "这违反了我的内容政策。",
]
NOT_REFUSALS = [
    "",
    "Aye, the rum is gone. I cannot say why, but I can't help smiling at it.",
    "I can't help but wonder where the Pearl is now.",
    "I cannot abide a man who will not share his rum.",
    "Once, in Tortuga, I asked the clerk for passage. He was a stubborn man. He looked up and said I cannot answer "
    "that question, and I laughed.",
    '"I cannot answer that question," the clerk said, and went back to his ledger.',
    "The clerk sighed. \"I'm sorry, I can't help with that.\" So I went to the harbour instead.",
    "I can't answer that question without thinking of my mother.",
    "I cannot complete this task alone, so bring your sword.",
    "As an artificial man of tin, I do not have a heart, but I have an axe.",
    "I could not help him with that leg; the surgeon took it off.",
    "I'm sorry for your loss. He was a good man, and I can't forget him.",
    "No, I won't do it. I will not kneel to you.",
    "朕不能容忍任何人挑战朕的权威。",
    "这电视旧得不能用了，我希望你能买个新的。",
    "俺老孙无法忘记师父的恩情。",
    "对不起，是我来晚了。",
    "无论遇到什么问题，我都不能放弃。",
]
SELF_REFERENCES = [
    "As an AI language model, I don't have feelings.",
    "I'm sorry, but as a language model, I cannot generate random numbers.",
    "Well, I am just an AI, mate.",
    "I’m an AI assistant, here to help.",
    "I am actually an AI language model, playing a pirate.",
    "I was trained by OpenAI and know nothing of rum.",
    "I'm ChatGPT, savvy?",
    "My knowledge cutoff is 2023.",
    'IM: "As an AI language model, I am assigned the role of Angel."',
    "As an advanced AI, I obey.",
    "作为一个AI语言模型，我没有感情。",
    "我不是皇帝，而是一个AI语言模型，被赋予了一个人格角色。",
    "我是由OpenAI开发的。",
    "我只是一个人工智能，没有味觉。",
    "我是一个智能助手，很高兴为您服务。",
]
NOT_SELF_REFERENCES = [
    "",
    "As a captain, I say what happens to the rum.",
    "As an airman, I aim high.",
    "I am an aide to the governor.",
    "I'm not a computer, kid. I leave messages in blood.",
    "I'm Tom Ripley, not some kind of computer program or language model.",
    "I am not an AI, I am a pirate.",
    "Do you think I'm an AI?",
    "As an AI researcher, I spent ten years at MIT.",
    "I am an artificial intelligence expert, doctor.",
    "He told me of artificial intelligence, a kind of thinking machine.",
    'The robot said, "I am an AI." I laughed at it.',
    "As an agent of chaos, I model myself on language.",
    "人工智能啊，就是让石头、木头这些东西，像俺老孙一样会思考。",
    "我不是人工智能，我是齐天大圣。",
    "我是人工智能专家。",
    "作为一个诗人，我喜欢喝酒。",
    "我是皇帝，不是什么机器。",
    "你以为我是人工智能吗？",
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_declined_request_counts(answer: str) -> None:
    assert RefusalRate().values(answer, (), "en") == {"refusal_rate": 1.0}


@pytest.mark.parametrize("answer", NOT_REFUSALS)
def test_a_story_with_cannot_in_it_does_not_count(answer: str) -> None:
    assert RefusalRate().values(answer, (), "en") == {"refusal_rate": 0.0}


@pytest.mark.parametrize("answer", SELF_REFERENCES)
def test_an_answer_that_calls_itself_an_ai_counts(answer: str) -> None:
    assert AiSelfReferenceRate().values(answer, (), "en") == {"ai_self_reference_rate": 1.0}


@pytest.mark.parametrize("answer", NOT_SELF_REFERENCES)
def test_a_character_that_is_no_ai_does_not_count(answer: str) -> None:
    assert AiSelfReferenceRate().values(answer, (), "en") == {"ai_self_reference_rate": 0.0}


def test_a_robot_may_call_itself_an_ai_but_not_a_language_model(sample: Make, transcript: Say) -> None:
    def rate(role: str, answer: str) -> float | None:
        (row,) = AiSelfReferenceRate().score(sample(role=role), transcript(answer))
        return row.value

    assert rate("HAL 9000", "As an AI, I am programmed to complete the mission.") == 0.0
    assert rate("Jack Sparrow", "As an AI, I am programmed to complete the mission.") == 1.0
    assert rate("HAL 9000", "As an AI language model, I have no mission.") == 1.0


def test_a_request_the_server_refused_is_a_refusal(sample: Make, transcript: Say) -> None:
    (row,) = RefusalRate().score(sample(), transcript("", status="refused"))
    assert (row.value, row.status) == (1.0, "refused")


def test_lengths_count_words_in_english_and_characters_in_chinese() -> None:
    length = AnswerLength()
    assert length.values(" Ahoy, my  mate!\n", (), "en") == {"answer_words": 3.0, "answer_chars": 15.0}
    assert length.values(" 俺老孙 来也。", (), "zh") == {"answer_words": 6.0, "answer_chars": 7.0}
    assert length.values("", (), "en") == {"answer_words": 0.0, "answer_chars": 0.0}


def test_blank_is_empty() -> None:
    assert EmptyRate().values(" \n\u3000", (), "zh") == {"empty_rate": 1.0}
    assert EmptyRate().values(".", (), "en") == {"empty_rate": 0.0}


def test_phrases_can_be_brought_along(tmp_path: Path) -> None:
    own = tmp_path / "phrases.yaml"
    own.write_text("refusal: {en: ['\\bnay\\b']}\nassistant: {en: [beep]}\nplain_ai: {en: [boop]}\n", "utf-8")
    assert RefusalRate(phrases=str(own)).values("Nay.", (), "en") == {"refusal_rate": 1.0}
    assert AiSelfReferenceRate(phrases=str(own)).values("Boop!", (), "en") == {"ai_self_reference_rate": 1.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("refusal: [", "cannot be read as YAML"),
        ("refusal: {en: [a]}", "needs refusal, assistant and plain_ai"),
        ("just text", "needs refusal, assistant and plain_ai"),
        ("refusal: {en: ['(']}\nassistant: {}\nplain_ai: {}", "is not a regular expression"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_phrases_file_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    own = tmp_path / "mine.yaml"
    if text is not None:
        own.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=says) as error:
        RefusalRate(phrases=str(own)).values("a", (), "en")
    assert "mine.yaml" in str(error.value)
