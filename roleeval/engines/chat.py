"""From a Request to the exact text and tokens a model reads, and from output tokens back to text.

The only place that renders prompts: the vllm and hf engines both use it, so both send a model the same tokens. (A
server behind the openai engine renders its own.)
"""

import contextlib
import datetime
import re
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roleeval.engines._protocol import ModelSource
from roleeval.engines._segments import Segments
from roleeval.engines.template import (
    Prompts,
    RefusedError,
    check_turns,
    no_template,
    opened_reasoning,
    probes,
    read_template_file,
    refusal,
    says,
    with_variables,
)
from roleeval.engines.turns import fitted
from roleeval.errors import EngineError, SourceError
from roleeval.types import ChatRole, LikelihoodRequest, Message, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Output is decoded after this many prompt tokens: some tokenizers (Llama 2's) drop the space in front of the first.
_CONTEXT_TOKENS = 8
# What templates take out of past turns: everything before a closing tag, or what is between the two.
_REASONING = re.compile(r"<think>.*?</think>|\A(?:(?!<think>).)*</think>", re.DOTALL)
_SEGMENTS: "weakref.WeakKeyDictionary[PreTrainedTokenizerBase, Segments]" = weakref.WeakKeyDictionary()


def load_tokenizer(source: ModelSource) -> "PreTrainedTokenizerBase":
    """Loads a model's tokenizer; `source.chat_template`, where given, replaces its chat template.

    Raises:
        SourceError: the chat template file cannot be read.
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
        tokenizer.chat_template = read_template_file(source.chat_template)
    if source.template_options and tokenizer.chat_template:
        tokenizer.chat_template = _with_options(tokenizer.chat_template, source)
    return tokenizer


def _with_options(template: Any, source: ModelSource) -> Any:
    if isinstance(template, dict):  # several, by name
        return {name: with_variables(text, source.template_options) for name, text in template.items()}
    return with_variables(template, source.template_options)


def render_prompt(
    tokenizer: "PreTrainedTokenizerBase", request: Request | LikelihoodRequest, *, prompts: Prompts | None = None
) -> str:
    """The text that a model continues: the rendered chat (or the raw prompt as it is), then the prefill.

    Args:
        tokenizer: of `load_tokenizer`.
        request: what is asked.
        prompts: of the engine; how its model wants chats.

    Raises:
        SourceError: the model has no chat template, or its template refuses or loses turns, whatever they say.
        EngineError: the template refuses or loses these messages, or the request holds not exactly one of messages
            and prompt.
    """
    prefill = request.prefill if isinstance(request, Request) else ""
    if (request.messages is None) == (request.prompt is None):
        raise EngineError("a request needs either messages or a raw prompt, not both")
    if request.messages is None:
        return f"{request.prompt}{prefill}"
    if not tokenizer.chat_template:
        raise SourceError(no_template(str(tokenizer.name_or_path)))
    messages = request.messages if prompts is None else fitted(request.messages, prompts.source)
    now = datetime.datetime.now() if prompts is None else prompts.now
    roles = tuple(message.role for message in messages)
    if prompts is None or prompts.to_probe(roles):
        _check_turns(tokenizer, roles, now)
    try:
        text = _rendered(tokenizer, [(message.role, message.content) for message in messages], now)
    except RefusedError as error:
        raise EngineError(refusal(str(tokenizer.name_or_path), roles, error)) from error
    if lost := [message for message in messages if not _kept(text, message)]:
        what = f"{'an' if lost[0].role == 'assistant' else 'a'} {lost[0].role} turn"
        raise EngineError(
            f"the chat template of {tokenizer.name_or_path} leaves out a part of {what}:"
            f" {lost[0].content.strip()[:80]!r}"
        )
    return f"{text}{prefill}"


def _rendered(tokenizer: "PreTrainedTokenizerBase", chat: Sequence[tuple[str, str]], now: datetime.datetime) -> str:
    """Raises RefusedError where the template refuses the chat."""
    from jinja2.exceptions import TemplateError

    messages = [{"role": role, "content": content} for role, content in chat]
    try:
        options = {"tokenize": False, "add_generation_prompt": True, "strftime_now": now.strftime}
        return str(tokenizer.apply_chat_template(messages, **options))
    except (TemplateError, TypeError, ValueError) as error:
        raise RefusedError(str(error)) from error


def _check_turns(tokenizer: "PreTrainedTokenizerBase", roles: Sequence[ChatRole], now: datetime.datetime) -> None:
    check_turns(
        str(tokenizer.name_or_path),
        roles,
        lambda tried: _rendered(tokenizer, list(zip(tried, probes(tried), strict=True)), now),
    )


def _kept(text: str, message: Message) -> bool:
    """Whether a prompt holds what a message says; templates may take reasoning out of an assistant's past turns."""
    if says(text, message.content):
        return True
    if message.role != "assistant":
        return False
    return all(says(text, part) for part in _REASONING.split(message.content))


def prompt_token_ids(
    tokenizer: "PreTrainedTokenizerBase", request: Request, *, prompts: Prompts | None = None
) -> list[int]:
    """The token ids of `render_prompt`.

    No special tokens are added (a chat template writes its own), unless the request asks for them.

    Raises:
        SourceError: see render_prompt.
        EngineError: see render_prompt; or the prompt is empty.
    """
    return opened_prompt(tokenizer, request, prompts=prompts)[0]


def opened_prompt(
    tokenizer: "PreTrainedTokenizerBase", request: Request, *, prompts: Prompts | None = None
) -> tuple[list[int], str]:
    """The token ids of a prompt, and what the text of the answer begins with.

    The latter is the prefill; before it is the reasoning tag that the chat template leaves open for the
    answer, if it does: an answer that was cut off inside it is reasoning. What a schema constrains cannot close the
    tag and holds no reasoning.

    Raises:
        SourceError, EngineError: see prompt_token_ids.
    """
    text = render_prompt(tokenizer, request, prompts=prompts)
    if request.prompt_special_tokens and request.messages is None:
        ids = [int(token) for token in tokenizer.encode(text, add_special_tokens=True)]
    else:
        ids = _segments(tokenizer).ids(text)
    if not ids:
        raise EngineError(f"{tokenizer.name_or_path}: the prompt is empty")
    reasons = request.messages is not None and request.json_schema is None
    opened = opened_reasoning(text.removesuffix(request.prefill)) if reasons else ""
    return ids, f"{opened}{request.prefill}"


def check_first(tokenizer: "PreTrainedTokenizerBase", prompts: Prompts) -> None:
    """Looks at the prompt of the first request, for engines that have a tokenizer and no weights yet.

    Raises:
        SourceError: see render_prompt.
    """
    if prompts.first is not None and prompts.first.messages is not None:
        with contextlib.suppress(EngineError):  # of that request alone
            render_prompt(tokenizer, prompts.first, prompts=prompts)


def _segments(tokenizer: "PreTrainedTokenizerBase") -> Segments:
    if tokenizer not in _SEGMENTS:
        _SEGMENTS[tokenizer] = Segments(weakref.proxy(tokenizer))
    return _SEGMENTS[tokenizer]


def scored_token_ids(
    tokenizer: "PreTrainedTokenizerBase", request: LikelihoodRequest, *, prompts: Prompts | None = None
) -> tuple[list[int], list[int]]:
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
        prompt = prompt_token_ids(tokenizer, before, prompts=prompts)
        special = request.prompt_special_tokens and request.messages is None
        whole = tokenizer.encode(render_prompt(tokenizer, before, prompts=prompts) + text, add_special_tokens=special)
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
