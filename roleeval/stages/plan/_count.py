"""How many tokens a prompt or a reply is: by the model's tokenizer or, where none is at hand, by its characters."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from roleeval.engines import ModelSource
from roleeval.engines.chat import load_tokenizer, opened_prompt, scored_token_ids
from roleeval.engines.template import Prompts
from roleeval.errors import ConfigError, EngineError
from roleeval.types import LikelihoodRequest, Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A reply of which only the length is known: so many tokens.
_STANDS_FOR = re.compile("⟦(\\d+)⟧")
_WIDE = re.compile(r"[⺀-鿿가-힯豈-﫿＀-￯]")
# Tokens of a wide character, other characters of a token, and tokens around a message: at least, usually, at most.
_PER_WIDE, _PER_TOKEN, _AROUND = (0.5, 0.8, 1.6), (5.5, 4.2, 2.8), (3, 4, 8)
_KEPT = 100_000  # prompts whose tokens are not counted twice
BY_CHARACTERS = "by characters: 2.8 to 5.5 a token, 0.5 to 1.6 tokens for a Chinese character"


def stand_in(tokens: int) -> str:
    """A short text that is counted as so many tokens."""
    return f"⟦{tokens}⟧"


def spelt_out(text: str) -> str:
    """The same text for a model to read: about as many words as a stand-in has tokens."""
    return _STANDS_FOR.sub(lambda mark: " ".join(["word"] * int(mark[1])), text)


class Counts(Protocol):
    """Counts tokens of one model."""

    def prompt(self, request: Request) -> tuple[int, str]:
        """Tokens of a prompt, and what the reply begins with.

        Raises:
            ConfigError, EngineError: it cannot be rendered.
        """
        ...

    def text(self, text: str) -> int:
        """Tokens of a reply."""
        ...

    def scored(self, request: LikelihoodRequest) -> tuple[int, int]:
        """Tokens of a prompt, and of the text that is scored after it.

        Raises:
            ConfigError, EngineError: it cannot be rendered.
        """
        ...


def _longer(text: str) -> int:
    return sum(int(number) for number in _STANDS_FOR.findall(text))


@dataclass(frozen=True)
class ByTokenizer:
    """Counts what the engine will count."""

    source: ModelSource
    _kept: dict[object, tuple[int, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer.

        Raises:
            ConfigError: it is not at hand.
        """
        try:
            return load_tokenizer(self.source)
        except EngineError as error:
            cause = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"model.source.path={self.source.path}: no tokenizer, so prompts cannot be counted ({cause}); give a"
                " folder with the model's tokenizer, or a hub id that is in the local cache"
            ) from error

    @cached_property
    def _rendered(self) -> Prompts:
        return Prompts(self.source)

    def prompt(self, request: Request) -> tuple[int, str]:
        key = (request.messages, request.prompt, request.prefill, request.json_schema is None)
        if key not in self._kept:  # the scenarios of single answers have the same prompts
            ids, begins = opened_prompt(self.tokenizer, request, prompts=self._rendered)
            found = len(ids) + self._for_stand_ins(request), begins
            if len(self._kept) >= _KEPT:
                return found
            self._kept[key] = found
        return self._kept[key]

    def _for_stand_ins(self, request: Request) -> int:
        texts = [request.prompt or "", *(message.content for message in request.messages or ())]
        found = [mark for text in texts if "⟦" in text for mark in _STANDS_FOR.findall(text)]
        return sum(int(mark) - self._mark(mark) for mark in found)

    def _mark(self, mark: str) -> int:
        if mark not in self._marks:
            self._marks[mark] = len(self.tokenizer.encode(stand_in(int(mark)), add_special_tokens=False))
        return self._marks[mark]

    @cached_property
    def _marks(self) -> dict[str, int]:
        return {}

    def text(self, text: str) -> int:
        bare = _STANDS_FOR.sub("", text)
        return (len(self.tokenizer.encode(bare, add_special_tokens=False)) if bare else 0) + _longer(text)

    def scored(self, request: LikelihoodRequest) -> tuple[int, int]:
        prompt, continuation = scored_token_ids(self.tokenizer, request, prompts=self._rendered)
        return len(prompt), len(continuation)


@dataclass(frozen=True)
class ByCharacters:
    """Counts for a model behind an endpoint, whose tokenizer is not at hand; `which` is 0 (few) to 2 (many tokens)."""

    which: int

    def prompt(self, request: Request) -> tuple[int, str]:
        texts = [request.prompt or "", *(message.content for message in request.messages or ())]
        around = _AROUND[self.which] * len(request.messages or ())
        return sum(self.text(text) for text in texts) + around, request.prefill

    def text(self, text: str) -> int:
        bare = _STANDS_FOR.sub("", text)
        wide = len(_WIDE.findall(bare))
        tokens = wide * _PER_WIDE[self.which] + (len(bare) - wide) / _PER_TOKEN[self.which]
        return round(tokens) + _longer(text)

    def scored(self, request: LikelihoodRequest) -> tuple[int, int]:
        raise EngineError("an endpoint scores no texts")


def at_hand(source: ModelSource) -> bool:
    """Whether a tokenizer can be loaded without asking the hub."""
    if Path(source.path).is_dir():
        return True
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE, f"models--{source.path.replace('/', '--')}").is_dir()
