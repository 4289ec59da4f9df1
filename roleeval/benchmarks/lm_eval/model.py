"""A persona model behind lm-eval's model interface. Imports lm-eval, an optional extra: import this module lazily.

lm-eval makes prompts and scores answers; this module adds the family's prompt policy, its adapter, its reply format and
our engine. Where lm-eval's own behaviour affects a number, it is kept: how contexts and continuations are tokenised,
where texts are stopped, how long texts are split into windows.
"""

import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from roleeval.benchmarks.actor import Actor, status_of, told
from roleeval.engines.chat import load_tokenizer, render_prompt
from roleeval.engines.fingerprint import pinned
from roleeval.engines.template import Prompts, opened_reasoning
from roleeval.errors import concerns_one_item
from roleeval.seeds import derive_seed
from roleeval.types import (
    Completion,
    FinishReason,
    Likelihood,
    LikelihoodRequest,
    Message,
    Persona,
    Reply,
    Request,
    Sampling,
    Status,
    Turn,
)
from roleeval.workers import in_flight

log = logging.getLogger("roleeval")

# Blocks until the work is done; how depends on who owns the event loop.
Submit = Callable[[Coroutine[Any, Any, Any]], Any]
_LENGTH_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_SAMPLING_KEYS = {"until", "do_sample", "temperature", "top_p", "top_k", "repetition_penalty", *_LENGTH_KEYS}


@dataclass(frozen=True, slots=True)
class PlayedRole:
    """A fixed role (or none) that a model plays in all of a task's documents.

    Attributes:
        persona: what chooses the adapter.
        system: the role's system prompt; "" without a role.
    """

    persona: Persona
    system: str


class PersonaLM(TemplateLM):  # type: ignore[misc]
    """See the module. `turns` has all requests and replies: (task, document's number) -> turns in order."""

    def __init__(self, actor: Actor, played: PlayedRole, submit: Submit, *, in_flight: int) -> None:
        """Args:
        actor: the model, its engine and the run's seed.
        played: the role that the model plays.
        submit: runs a coroutine on the engine's event loop and waits for it.
        in_flight: parallel calls.

        Raises:
            UnsupportedRoleError: the family cannot play the role.
        """
        super().__init__()
        self._actor, self._played, self._submit, self._in_flight = actor, played, submit, in_flight
        self._adapter = actor.model.adapter(played.persona)
        # An endpoint renders chats itself: it gets them as they are (see apply_chat_template).
        local = actor.engine.likelihoods
        self.tokenizer = load_tokenizer(pinned(actor.model.source)) if local else None
        self._prompts = Prompts(pinned(actor.model.source)) if local else None
        self._chat = False
        self._warned: set[str] = set()
        self.turns: dict[tuple[str, int], list[Turn]] = defaultdict(list)

    # ---- prompts

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The text that the family sends for a chat. A task's description joins the role's system prompt.

        Without a tokenizer (an endpoint) it is the chat itself, as JSON.
        """
        self._chat = True
        messages = [Message(m["role"], m["content"]) for m in chat_history]  # type: ignore[arg-type]
        opening = "" if add_generation_prompt else messages.pop().content
        task = "\n\n".join(m.content for m in messages if m.role == "system")
        history = [m for m in messages if m.role != "system"]
        model, system = self._actor.model, self._played.system
        prompt = model.prompt(system, history)
        if prompt is not None:
            return prompt + opening
        sent = _described(model.messages(system, history), task)
        if self.tokenizer is None:
            return json.dumps([[(m.role, m.content) for m in sent], opening], ensure_ascii=False)
        return render_prompt(self.tokenizer, Request(sent, Sampling(), 0, prefill=opening), prompts=self._prompts)

    @property
    def tokenizer_name(self) -> str:
        return f"{self._actor.model.name}-{self._actor.engine.fingerprint[:16]}"

    def _context(self, context: str) -> str:
        # Without a chat template the role's system prompt comes first, as lm-eval does with system instructions.
        system = self._played.system
        if self._chat or not system or not context:
            return context
        first, *_ = self._actor.model.messages(system, (Message("user", context),))
        return f"{first.content}\n\n{context}" if first.role == "system" else context

    def _special(self, text: str) -> bool:
        if self._chat:
            return self._actor.model.prompt_special_tokens
        begin = self.tokenizer.bos_token if self.tokenizer is not None else None
        return not (begin and text.startswith(begin))

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids. The tokenizer puts its special tokens around raw text as lm-eval lets it; a chat has its own."""
        assert self.tokenizer is not None
        special = self._special(string) if add_special_tokens is None else add_special_tokens
        return [int(token) for token in self.tokenizer.encode(string, add_special_tokens=special)]

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)  # type: ignore[union-attr]

    @property
    def prefix_token_id(self) -> int:
        begin = self.tokenizer.bos_token_id  # type: ignore[union-attr]
        return self.eot_token_id if begin is None else int(begin)

    # ---- lm-eval's three questions

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The visible answers: reasoning is taken out before anything is stopped or scored."""
        attempts: Counter[int] = Counter()
        asks = []
        for request in requests:
            asks.append(partial(self._write, request, attempts[id(request)]))
            attempts[id(request)] += 1
        return [turn.visible for turn in self._kept("generate_until", requests, asks)]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability, greedy) of each continuation; -inf where the request failed and its document is missing."""
        pairs = [self._pair(*request.args) for request in requests]
        asks = [partial(self._score, request.args, [pair]) for request, pair in zip(requests, pairs, strict=True)]
        return [_pair_of(turn) for turn in self._kept("loglikelihood", requests, asks)]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, each token once, cut into windows that fit the model."""
        longest = self._submit(self._actor.engine.scored_length()) - 1
        asks = []
        for request in requests:
            (text,) = request.args
            windows = get_rolling_token_windows(self.tok_encode(text), self.prefix_token_id, longest, 1)
            asks.append(partial(self._score, ("", text), [make_disjoint_window(window) for window in windows]))
        return [_pair_of(turn)[0] for turn in self._kept("loglikelihood_rolling", requests, asks)]

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        raise NotImplementedError("not used: loglikelihood calls the engine directly")

    # ---- how they are answered

    def _kept(self, kind: str, requests: Sequence[Any], asks: Sequence[Callable[[], Awaitable[Turn]]]) -> list[Turn]:
        log.info("lm-eval: %d %s requests", len(asks), kind)
        turns: list[Turn] = self._submit(self._all(asks))
        for request, turn in zip(requests, turns, strict=True):
            self.turns[request.task_name, request.doc_id].append(turn)
        return turns

    async def _all(self, asks: Sequence[Callable[[], Awaitable[Turn]]]) -> list[Turn]:
        found: list[Turn | None] = [None] * len(asks)

        async def one(number: int) -> None:
            found[number] = await asks[number]()

        await in_flight(range(len(asks)), one, most=self._in_flight)
        return [turn for turn in found if turn is not None]

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        context = self._context(context)
        if context:
            pair: tuple[list[int], list[int]] = self._encode_pair(context, continuation)
            return pair
        tokens = self.tok_encode(continuation, add_special_tokens=False)
        return ([self.prefix_token_id], tokens) if tokens[:1] != [self.prefix_token_id] else (tokens[:1], tokens[1:])

    async def _score(self, texts: tuple[str, str], windows: Sequence[tuple[list[int], list[int]]]) -> Turn:
        context, continuation = texts
        engine, adapter = self._actor.engine, self._adapter
        asked = [
            LikelihoodRequest(tuple(after), prompt_tokens=tuple(before), adapter=adapter) for before, after in windows
        ]
        try:
            found: list[Likelihood] = [await engine.likelihood(request) for request in asked]
        except Exception as error:
            if not concerns_one_item(error):
                raise
            log.debug("lm-eval: a likelihood failed", exc_info=error)
            return self._failed(context, error, raw=continuation)
        turn = self._turn(context, raw=continuation, status="ok", finish="stop")
        return replace(
            turn,
            visible=continuation,
            prompt_tokens=sum(likelihood.prompt_tokens for likelihood in found),
            output_tokens=sum(likelihood.tokens for likelihood in found),
            logprob=math.fsum(likelihood.logprob for likelihood in found),
            greedy=all(likelihood.greedy for likelihood in found),
        )

    async def _write(self, request: Any, attempt: int) -> Turn:
        context, options = request.args
        sampling = self._sampling(options)
        seed = derive_seed(
            self._actor.run_seed,
            f"{request.task_name}/{request.doc_id}",
            turn=request.idx,
            speaker=self._played.persona.role,
            attempt=attempt,
        )
        asked = self._request(self._context(context), sampling, seed)
        try:
            done, reply = await self._reply(asked)
        except Exception as error:
            if not concerns_one_item(error):
                raise
            log.debug("lm-eval: %s/%s failed", request.task_name, request.doc_id, exc_info=error)
            return self._failed(context, error, seed=seed)
        text = done.text.removeprefix(asked.prefill)
        # Where nothing was taken out the text stays as it is: tasks on code read its leading spaces.
        visible = text if reply.visible == text.strip() else reply.visible
        turn = self._turn(context, raw=done.text, status=reply.status, finish=done.finish_reason, seed=seed)
        return replace(
            turn,
            visible=_stopped(visible, sampling.stop),
            thoughts=reply.thoughts,
            prompt_tokens=done.prompt_tokens,
            output_tokens=done.output_tokens,
        )

    async def _reply(self, asked: Request) -> tuple[Completion, Reply]:
        """An answer; a task's stop strings must not end the reasoning before it."""
        opened = opened_reasoning(asked.prompt or "")  # by the chat template, so not part of the text
        whole = replace(asked, sampling=replace(asked.sampling, stop=()))

        def read(done: Completion) -> tuple[Completion, Reply]:
            return done, self._actor.model.parse(f"{opened}{done.text}", done.finish_reason, done.reasoning)

        engine = self._actor.engine
        done, reply = read(await engine.generate(whole if opened else asked))
        if reply.status == "truncated_reasoning" and done.finish_reason == "stop" and asked.sampling.stop:
            done, reply = read(await engine.generate(whole))
        return done, reply

    def _request(self, context: str, sampling: Sampling, seed: int) -> Request:
        prefill = self._actor.model.prefill
        if (
            self._chat
            and self.tokenizer is None
            and self._actor.model.prompt(self._played.system, (Message("user", ""),)) is None
        ):
            chat, opening = json.loads(context)
            messages = tuple(Message(role, content) for role, content in chat)
            return Request(messages, sampling, seed, adapter=self._adapter, prefill=opening or prefill)
        return Request(
            messages=None,
            prompt=context,
            prompt_special_tokens=self._special(context),
            sampling=sampling,
            seed=seed,
            adapter=self._adapter,
            prefill=prefill,
        )

    def _sampling(self, options: Mapping[str, Any]) -> Sampling:
        """lm-eval's generation arguments; greedy unless the task samples, the family's length unless it has one."""
        for name in options.keys() - _SAMPLING_KEYS - self._warned:
            self._warned.add(name)
            log.warning(
                "lm-eval: the generation argument %s=%r is not supported and has no effect", name, options[name]
            )
        until = options.get("until") or []
        stop = tuple(text for text in ([until] if isinstance(until, str) else until) if text)
        lengths = [options[name] for name in _LENGTH_KEYS if options.get(name) is not None]
        limit = int(lengths[0]) if lengths else self._actor.model.sampling.max_tokens
        temperature = float(options.get("temperature") or 0.0)
        penalty = float(options.get("repetition_penalty") or 1.0)
        if options.get("do_sample") is False or temperature == 0:
            return Sampling(repetition_penalty=penalty, max_tokens=limit, stop=stop)
        top_k = int(options.get("top_k") or 0)
        return Sampling(
            temperature=temperature,
            top_p=float(options.get("top_p") or 1.0),
            top_k=max(0, top_k),
            repetition_penalty=penalty,
            max_tokens=limit,
            stop=stop,
        )

    def _failed(self, context: str, error: Exception, *, raw: str = "", seed: int = 0) -> Turn:
        said = told(error, self._actor.keys)
        return self._turn(context, raw=raw, status=status_of(error), finish="error", seed=seed, error=said)

    def _turn(
        self, context: str, *, raw: str, status: Status, finish: FinishReason, seed: int = 0, error: str = ""
    ) -> Turn:
        return Turn(
            speaker=self._played.persona.role,
            messages=(),
            raw=raw,
            visible="",
            thoughts="",
            status=status,
            finish_reason=finish,
            prompt_tokens=0,
            output_tokens=0,
            adapter=self._adapter.name if self._adapter else "",
            prompt=self._context(context),
            seed=seed,
            error=error,
        )


def _described(messages: tuple[Message, ...], task: str) -> tuple[Message, ...]:
    if not task:
        return messages
    if messages and messages[0].role == "system":
        return (Message("system", f"{messages[0].content}\n\n{task}"), *messages[1:])
    return (Message("system", task), *messages)


def _stopped(text: str, stops: Sequence[str]) -> str:
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(found, default=len(text))]


def _pair_of(turn: Turn) -> tuple[float, bool]:
    return (-math.inf, False) if turn.logprob is None else (turn.logprob, bool(turn.greedy))
