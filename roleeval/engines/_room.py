"""Whether a prompt and what is asked for after it fit into a model's context; the same for all local engines."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from roleeval.engines._protocol import ModelSource
from roleeval.engines.chat import load_tokenizer, prompt_token_ids
from roleeval.engines.shape import context_of
from roleeval.engines.template import Prompts
from roleeval.errors import ContextOverflowError
from roleeval.types import Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARKS = 64  # bytes that a chat template may write around one message


def require_room(prompt: int, new: int, *, context: int, model: str, limited: bool, what: str = "new tokens") -> None:
    """Refuses a request that no run of the model could answer.

    Args:
        prompt: its tokens.
        new: tokens that may be written, or are to be scored.
        context: tokens that both may have together.
        model: its path, for the message.
        limited: the context is shorter than the model's own, so that an option can raise it.
        what: the new tokens, in words.

    Raises:
        ContextOverflowError: they are more than the context.
    """
    if prompt + new <= context:
        return
    raise ContextOverflowError(
        f"a prompt of {prompt} tokens and {new} {what} exceed the limit of {context} for {model}"
        + ("" if limited else ", which is the model's own"),
        longer="max_model_len" if limited else "",
        shorter=what == "new tokens" and prompt < context,
    )


@dataclass
class Room:
    """What is known of a model's context before it is loaded.

    Attributes:
        source: the model.
        max_model_len: the engine's option; None is the model's own.
        density: the fewest bytes that a token of a prompt had.
    """

    source: ModelSource
    max_model_len: int | None
    density: float = field(default=math.inf, init=False)

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        return load_tokenizer(self.source)

    @cached_property
    def context(self) -> int | None:
        """Tokens of prompt and answer together; None where no file says so."""
        return self.max_model_len or context_of(self.source)

    def require(self, request: Request, prompts: Prompts) -> None:
        """Refuses a request that cannot be sent or does not fit; loads a tokenizer at most, and that for long prompts.

        Long is what would not fit if it had half a token more for each byte than the densest prompt so far (and at
        first a token for every two bytes). A prompt that is denser still is refused when it is asked.

        Raises:
            ConfigError: see Prompts.check.
            ContextOverflowError: it does not fit.
        """
        prompts.check(request)
        new, size = request.sampling.max_tokens, _bytes(request)
        each = self.density / 1.5 if self.density < math.inf else 2.0
        if self.context is None or size / each + new <= self.context:
            return
        tokens = len(prompt_token_ids(self._tokenizer, request, prompts=prompts))
        self.density = min(self.density, size / max(tokens, 1))
        limited = self.max_model_len is not None
        require_room(tokens, new, context=self.context, model=self.source.path, limited=limited)


def _bytes(request: Request) -> int:
    texts = [message.content for message in request.messages or ()] or [request.prompt or ""]
    return sum(len(text.encode("utf-8", "surrogatepass")) + _MARKS for text in (*texts, request.prefill))
