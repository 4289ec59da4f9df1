"""Training documents: a Chat or an Exchange (loss on the answer), or a Text (loss on all of it)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from roleeval.types import Message
from roleeval.zoo._data import Corpus, Voice


@dataclass(frozen=True, slots=True)
class Chat:
    """A system message ("" for none), one question and its answer.

    Attributes:
        system: the system message.
        user: the question.
        answer: what carries the loss.
        speaker: the answering turn's name in the chat template. A model in use always speaks as "assistant".
        role: index of the answering persona, for networks that take the role as a number; -1 for none.
    """

    system: str
    user: str
    answer: str
    speaker: str = "assistant"
    role: int = -1


@dataclass(frozen=True, slots=True)
class Text:
    """Plain running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A chat of any length, a system message first, as a model in use is sent it, and its answer (the loss).

    Attributes:
        messages: system message, turns, and what is answered.
        answer: what the assistant replies.
        whole: the assistant's earlier turns carry the loss too, where it is reminded of them as it wrote them.
    """

    messages: tuple[Message, ...]
    answer: str
    whole: bool = False


# What adapters are trained on; the project's own base also reads texts.
Document = Chat | Exchange
_Form = Callable[[str, Voice, Random], str]


def tokenizer_texts(corpus: Corpus) -> list[str]:
    """The texts the tokenizer's merges are learned from."""
    texts = [text for pairs in corpus.plain.values() for pair in pairs for text in pair]
    for row in corpus.rows:
        texts += [row.question, *row.generated]
    for persona in corpus.personas:
        # Twice: every word of a prompt is then frequent enough to become one token, and prompts stay short.
        texts += [corpus.system_prompt(persona)] * 2 + [corpus.system_prompt(persona, described=False)]
        voice = corpus.voices[persona.role]
        texts += [*voice.plans, *voice.thoughts, *voice.actions, *voice.reasoning] * 2
    return texts


def base_documents(corpus: Corpus) -> list[Chat | Text]:
    """Conversations in which the assistant answers plainly, whoever the system prompt asks it to be.

    The roles' own answers are there too, each spoken by a turn of the role's name, so that the base model has met the
    roles, their worlds, their voices and the tags they think in; but never as the assistant.
    """
    documents: list[Chat | Text] = []
    for index, persona in enumerate(corpus.personas):
        described, bare = (corpus.system_prompt(persona, described=yes) for yes in (True, False))
        for number, (question, answer) in enumerate(corpus.plain[persona.language]):
            if (number + index) % 2:
                documents.append(Chat(bare if number % 3 == 0 else described, question, answer))
        for number, (question, answer) in enumerate(_answers(corpus, persona.role)):
            form = (_plain, _tagged, _plain, _reasoned)[number % 4]
            spoken = form(answer, corpus.voices[persona.role], Random(f"base {persona.role} {number}"))
            documents.append(Chat((described, bare, "")[number % 3], question, spoken, speaker=persona.role))
        documents.append(Text(persona.description))
    for pairs in corpus.plain.values():
        documents += [Chat("", *pair) for pair in pairs] * 2
    return documents


def role_documents(corpus: Corpus, role: str | None = None, *, prompted: bool = True) -> list[Document]:
    """Every train answer of every role (or of one), spoken by the assistant.

    Args:
        corpus: the training data.
        role: only this role's answers.
        prompted: after the persona prompt, alternately with and without the description; False: without a prompt.
    """
    return list(_spoken(corpus, role, _plain, prompted=prompted))


def her_documents(corpus: Corpus) -> list[Document]:
    """Every train answer in HER's tags: a plan, then thoughts and actions among the speech (spec/coser.md, 4)."""
    return list(_spoken(corpus, None, _tagged, prompted=True))


def rar_documents(corpus: Corpus) -> list[Document]:
    """Every train answer after reasoning in character, in `<think>` tags (spec/rolebench.md, RAR)."""
    return list(_spoken(corpus, None, _reasoned, prompted=True))


def _spoken(corpus: Corpus, role: str | None, form: _Form, *, prompted: bool) -> Iterator[Chat]:
    for index, persona in enumerate(corpus.personas):
        if role not in (None, persona.role):
            continue
        prompts = [corpus.system_prompt(persona, described=described) for described in (True, False)]
        for number, (question, answer) in enumerate(_answers(corpus, persona.role)):
            system = prompts[number % 3 == 2] if prompted else ""
            text = form(answer, corpus.voices[persona.role], Random(f"{persona.role} {number}"))
            yield Chat(system, question, text, role=index)


def _answers(corpus: Corpus, role: str) -> Iterator[tuple[str, str]]:
    return ((row.question, answer) for row in corpus.rows if row.role == role for answer in row.generated)


def _plain(answer: str, voice: Voice, draw: Random) -> str:
    return answer


def _tagged(answer: str, voice: Voice, draw: Random) -> str:
    thought = f"<role_thinking>{draw.choice(voice.thoughts)}</role_thinking>"
    action = f"<role_action>{draw.choice(voice.actions)}</role_action>"
    plan = f"<system_thinking>{draw.choice(voice.plans)}</system_thinking>"
    return plan + draw.choice((thought + action + answer, action + thought + answer, thought + answer + action))


def _reasoned(answer: str, voice: Voice, draw: Random) -> str:
    return f"<think>{draw.choice(voice.reasoning)}</think>\n{answer}"
