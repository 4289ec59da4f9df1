"""Training documents as tokens of any model that has a chat template: exactly what it is sent when it is used.

Prompts are rendered by `engines/chat.py`, as the vllm and hf engines render them; the loss is on the answer, and on the
token that ends a turn. What is longer than the limit is cut at its end, and then has no end token.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

from roleeval.engines import ModelSource
from roleeval.engines.chat import opened_prompt, render_prompt, scored_token_ids
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError, EngineError
from roleeval.types import LikelihoodRequest, Message, Request, Sampling
from roleeval.zoo._documents import Chat, Document, Exchange
from roleeval.zoo._pack import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "Probexassistant"
# Less of an answer teaches nothing; a document whose prompt leaves less room is left out.
_SHORTEST_ANSWER = 8


@dataclass(frozen=True)
class Encoder:
    """Encodes chats for one model.

    Attributes:
        tokenizer: of `engines.chat.load_tokenizer`.
        source: the model; its prompt options are those of its use.
        ends: token ids at which engines stop, from its tokenizer and generation config.
        limit: tokens of a document at most; 0: any number.
        lengths: how many documents were encoded, cut and left out so far.
    """

    tokenizer: "PreTrainedTokenizerBase"
    source: ModelSource
    ends: tuple[int, ...]
    limit: int = 0
    lengths: Counter[str] = field(default_factory=Counter)

    def all(self, documents: Iterable[Document]) -> list[Encoded]:
        """The documents that fit, in order."""
        found = [self.encode(document) for document in documents]
        return [encoded for encoded in found if encoded is not None]

    def encode(self, document: Document) -> Encoded | None:
        """A document as tokens; None where its prompt leaves no room for an answer.

        Raises:
            ConfigError: the template refuses or loses turns.
            EngineError: the template loses a part of this document.
        """
        messages = messages_of(document)
        role = document.role if isinstance(document, Chat) else -1
        prompt, answer = scored_token_ids(
            self.tokenizer, LikelihoodRequest(document.answer, messages), prompts=self._prompts
        )
        self.lengths["documents"] += 1
        taught = [*answer, self.end]
        if self.limit and len(prompt) + len(taught) > self.limit:
            taught = answer[: self.limit - len(prompt)] if len(prompt) + _SHORTEST_ANSWER <= self.limit else []
            self.lengths["cut" if taught else "left out"] += 1
            if not taught:
                return None
        start = len(self._prefix(messages, prompt))
        earlier: tuple[tuple[int, int], ...] = ()
        if isinstance(document, Exchange) and document.whole:
            earlier = tuple((begin - start, stop - start) for begin, stop in self._earlier(messages, prompt))
        begin, stop = _last(self._ids(messages[-1].content), prompt)
        return Encoded(
            tuple(prompt[:start]),
            (*prompt[start:], *taught),
            len(prompt) - start,
            (begin - start, stop - start) if begin >= start else (0, 0),
            role,
            earlier,
        )

    @cached_property
    def end(self) -> int:
        """The token that ends an assistant's turn: the first in the template behind its text at which engines stop.

        Raises:
            ConfigError: no such token is known.
        """
        chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        text = str(self.tokenizer.apply_chat_template(chat, tokenize=False))
        behind = self._ids(text.rpartition(_PROBE)[2])
        found = [token for token in behind if token in self.ends]
        if not found and not self.ends:
            raise ConfigError(f"{self.source.path}: neither its tokenizer nor its generation config has an end token")
        return found[0] if found else self.ends[0]

    def check(self) -> None:
        """Refuses a model that cannot be trained on chats.

        Raises:
            ConfigError: no chat template, one that refuses turns or opens a reasoning tag, or no end token.
        """
        for chat in ((Message("system", "?"), Message("user", "?")), (Message("user", "?"),)):
            request = Request(chat, Sampling(), 0)
            render_prompt(self.tokenizer, request, prompts=self._prompts)
            if opened := opened_prompt(self.tokenizer, request, prompts=self._prompts)[1].strip():
                raise ConfigError(
                    f"{self.source.path}: its chat template opens {opened} in every prompt, so that an answer would be"
                    " trained as reasoning; give a template that does not (--chat-template FILE)"
                )
        _ = self.end

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self.source)

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        return opened_prompt(self.tokenizer, Request(tuple(messages), Sampling(), 0), prompts=self._prompts)[0]

    def _ids(self, text: str) -> list[int]:
        return [int(token) for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _prefix(self, messages: Sequence[Message], prompt: list[int]) -> list[int]:
        """What a prompt shares with others of its system message."""
        if messages[0].role != "system":
            return []
        system = messages[0].content
        if system not in self._shared:
            self._shared[system] = self._system_ids(system)
        shared = self._shared[system]
        return shared if prompt[: len(shared)] == shared and len(shared) < len(prompt) else []

    @cached_property
    def _shared(self) -> dict[str, list[int]]:
        return {}

    def _system_ids(self, system: str) -> list[int]:
        one, other = (self._prompt([Message("system", system), Message("user", probe)]) for probe in ("Ay", "Zu"))
        common = [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]
        try:  # the turn alone, where it is written as in a chat
            turn = [{"role": "system", "content": system}]
            alone = self._ids(str(self.tokenizer.apply_chat_template(turn, tokenize=False)))
        except Exception:  # templates that want a user turn as well
            return common
        return alone if common[: len(alone)] == alone else common

    def _earlier(self, messages: Sequence[Message], prompt: list[int]) -> list[tuple[int, int]]:
        """Starts and ends of the assistant's earlier turns, where they stand as it would have written them."""
        spans = []
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            try:
                begin = len(before := self._prompt(messages[:number]))
            except (ConfigError, EngineError):
                continue
            written = [*self._ids(message.content), self.end]
            if prompt[:begin] == before and prompt[begin : begin + len(written)] == written:
                spans.append((begin, begin + len(written)))
        return spans


def messages_of(document: Document) -> tuple[Message, ...]:
    """What a model in use is sent before it gives a document's answer."""
    if isinstance(document, Exchange):
        return document.messages
    asked = Message("user", document.user)
    return (Message("system", document.system), asked) if document.system else (asked,)


def length(document: Document) -> int:
    """Characters of a document, answer included."""
    return sum(len(message.content) for message in messages_of(document)) + len(document.answer)


def _last(part: list[int], whole: list[int]) -> tuple[int, int]:
    """Start and end of the last place where a part stands; (-1, -1) where there is none."""
    for begin in range(len(whole) - len(part), -1, -1):
        if whole[begin : begin + len(part)] == part:
            return begin, begin + len(part)
    return -1, -1
