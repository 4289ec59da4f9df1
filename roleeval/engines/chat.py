"""From a Request to the exact text and tokens a model reads, and from output tokens back to text.

The only place that renders prompts: the vllm and hf engines both ask here, so a model sees the same tokens from either.
(A server behind the openai engine renders for itself.)
"""

import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.engines._protocol import ModelSource
from roleeval.engines._segments import Segments
from roleeval.errors import ConfigError, EngineError
from roleeval.types import LikelihoodRequest, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Output is decoded behind this many prompt tokens: some tokenizers (Llama 2's) drop the space in front of the first.
_CONTEXT_TOKENS = 8
_SEGMENTS: "weakref.WeakKeyDictionary[PreTrainedTokenizerBase, Segments]" = weakref.WeakKeyDictionary()


def load_tokenizer(source: ModelSource) -> "PreTrainedTokenizerBase":
    """Loads a model's tokenizer; `source.chat_template`, where given, replaces its chat template.

    Raises:
        ConfigError: the chat template file cannot be read.
        EngineError: there is no usable tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=source.trust_remote_code
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise EngineError(f"{source.path}: the tokenizer cannot be loaded: {error}") from error
    tokenizer.model_max_length = sys.maxsize  # engines check lengths by what they serve; this one only warns
    if source.chat_template:
        try:
            tokenizer.chat_template = Path(source.chat_template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"model.chat_template={source.chat_template}: cannot be read ({error})") from error
    return tokenizer


def render_prompt(tokenizer: "PreTrainedTokenizerBase", request: Request) -> str:
    """The text that a model continues: the rendered chat (or the raw prompt as it is), then the prefill.

    Raises:
        EngineError: the model has no chat template, the template refuses the messages, or the request holds not
            exactly one of messages and prompt.
    """
    from jinja2.exceptions import TemplateError

    if (request.messages is None) == (request.prompt is None):
        raise EngineError("a request needs either messages or a raw prompt, not both")
    if request.messages is None:
        return f"{request.prompt}{request.prefill}"
    if not tokenizer.chat_template:
        raise EngineError(
            f"{tokenizer.name_or_path} has no chat template: set model.chat_template to a Jinja file,"
            " or use a benchmark that sends raw prompts"
        )
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, TypeError, ValueError) as error:
        raise EngineError(
            f"the chat template of {tokenizer.name_or_path} refused the messages"
            f" (roles {[message.role for message in request.messages]}): {error}"
        ) from error
    return f"{text}{request.prefill}"


def prompt_token_ids(tokenizer: "PreTrainedTokenizerBase", request: Request) -> list[int]:
    """The token ids of `render_prompt`.

    No special tokens are added (a chat template writes its own), unless the request asks for them.

    Raises:
        EngineError: see render_prompt; or the prompt is empty.
    """
    text = render_prompt(tokenizer, request)
    if request.prompt_special_tokens and request.messages is None:
        ids = [int(token) for token in tokenizer.encode(text, add_special_tokens=True)]
    else:
        ids = _segments(tokenizer).ids(text)
    if not ids:
        raise EngineError(f"{tokenizer.name_or_path}: the prompt is empty")
    return ids


def _segments(tokenizer: "PreTrainedTokenizerBase") -> Segments:
    if tokenizer not in _SEGMENTS:
        _SEGMENTS[tokenizer] = Segments(weakref.proxy(tokenizer))
    return _SEGMENTS[tokenizer]


def scored_token_ids(tokenizer: "PreTrainedTokenizerBase", request: LikelihoodRequest) -> tuple[list[int], list[int]]:
    """The token ids of the prompt and of the continuation.

    Both texts are tokenised as one, so that the continuation gets the tokens it has in running text. Where that would
    change the prompt's own tokens it is tokenised alone: the prompt is what a generating model would have read.

    Raises:
        EngineError: the request does not hold exactly one prompt, mixes tokens and text, or the prompt or the
            continuation is empty.
    """
    given = [part is not None for part in (request.messages, request.prompt, request.prompt_tokens)]
    if given.count(True) != 1:
        raise EngineError("a likelihood request needs exactly one of messages, prompt and prompt_tokens")
    text = request.continuation
    if isinstance(text, str) == (request.prompt_tokens is not None):
        raise EngineError("a likelihood request needs token ids for both prompt and continuation, or for neither")
    if not isinstance(text, str):
        prompt, continuation = list(request.prompt_tokens or ()), list(text)
    else:
        before = Request(
            request.messages, Sampling(), 0, request.prompt, prompt_special_tokens=request.prompt_special_tokens
        )
        prompt = prompt_token_ids(tokenizer, before)
        special = request.prompt_special_tokens and request.messages is None
        whole = tokenizer.encode(render_prompt(tokenizer, before) + text, add_special_tokens=special)
        joined = whole[: len(prompt)] == prompt
        continuation = whole[len(prompt) :] if joined else tokenizer.encode(text, add_special_tokens=False)
    if not prompt or not continuation:
        raise EngineError(
            f"{tokenizer.name_or_path}: prompt and continuation of a likelihood request must not be empty"
        )
    return prompt, [int(token) for token in continuation]


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Name -> id of all tokens that `output_text` leaves out."""
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


def stop_token_ids(special: Mapping[str, int], stops: Sequence[str]) -> list[int]:
    """The special tokens that a request's stop strings name.

    Stop strings are looked for in the text, where special tokens do not show: without this "<|eot_id|>" or
    "<|reserved_special_token" would never stop anything.

    Args:
        special: of `special_tokens`.
        stops: of Sampling.stop; each names the special tokens that begin with it.
    """
    return sorted({number for name, number in special.items() for stop in stops if stop and name.startswith(stop)})


def output_text(tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], output: Sequence[int]) -> str:
    """The text that output tokens add to a prompt, without special tokens and without half a character at the end.

    Args:
        prompt: token ids of the prompt.
        output: token ids that were generated after it.
    """
    context = list(prompt[-_CONTEXT_TOKENS:])
    before, whole = _decode(tokenizer, context), _decode(tokenizer, [*context, *output])
    text = whole[len(before) :] if whole.startswith(before) else _decode(tokenizer, list(output))
    return text.rstrip("\ufffd")  # the bytes of a character that was cut off; vLLM leaves them out as well


def _decode(tokenizer: "PreTrainedTokenizerBase", ids: list[int]) -> str:
    # clean_up would rewrite " ." to "." in a text that is to be scored as it was written.
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
