"""An engine that answers without a model: plays what a run would play, and counts what that would ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roleeval.engines import CompletionStore, Engine, Renders, likelihood_key, request_key
from roleeval.errors import ContextOverflowError, EngineError
from roleeval.stages.plan._count import Counts
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request

_FIRST = 64  # requests that a probe may be made of
_SCORED = 2048  # tokens of a text that is scored, where no file says how many a model takes


@dataclass
class Asked:
    """What one model is asked in a rehearsal: calls that the store does not answer, and their tokens."""

    calls: int = 0
    prompt: int = 0
    new: int = 0
    stored: int = 0
    stored_prompt: int = 0
    stored_new: int = 0
    longest: int = 0  # tokens of the longest prompt with its reply
    first: list[Request] = field(default_factory=list)  # of the first conversations, their first calls

    def add(self, prompt: int, new: int) -> None:
        """One call."""
        self.calls, self.prompt, self.new = self.calls + 1, self.prompt + prompt, self.new + new
        self.longest = max(self.longest, prompt + new)


@dataclass(frozen=True)
class Known:
    """The store that a run would find its texts in, and the engine whose texts those are."""

    store: CompletionStore
    engine: Engine


# A request, which is its conversation's n-th -> the reply, and its tokens: None is those of the text. A reply may have
# more: some servers keep a model's reasoning to themselves, and count it.
Says = Callable[[Request, int], tuple[str, int | None]]


class UnheardError(EngineError):
    """A call that was counted and has no reply."""


@dataclass
class Rehearsal:
    """One model of one run.

    Attributes:
        fingerprint: of the engine; a stand-in where nothing is stored.
        counts: its tokens.
        says: its reply to a request, which is its conversation's n-th.
        heard: whether that is a reply; a judge's is only counted, because nothing usable can be made up.
        asked: what was counted.
        known: the store; None where there is none.
        seen: replies that the same plan has had already.
        context: tokens of prompt and reply together; None is not known.
        likelihoods: whether the engine scores texts.
        scored: likelihoods that this run has had already.
    """

    fingerprint: str
    counts: Counts
    says: Says
    asked: Asked
    known: Known | None
    seen: dict[bytes, Completion | None]
    context: int | None = None
    heard: bool = True
    likelihoods: bool = True
    scored: dict[bytes, Likelihood] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)

    async def generate(self, request: Request) -> Completion:
        """The stored reply, or one that is made up.

        Raises:
            UnheardError: it has none; it was counted all the same.
            ContextOverflowError: it does not fit.
        """
        number = self._calls[request.affinity] = self._calls.get(request.affinity, -1) + 1
        key = request_key(self.fingerprint, request, self._prompt_key(request))
        if key not in self.seen:
            self.seen[key] = self._stored(key) or self._made_up(request, number)
        if (found := self.seen[key]) is None:
            raise UnheardError("rehearsed")
        return found

    def _prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        engine = self.known.engine if self.known else None
        return engine.prompt_key(request) if isinstance(engine, Renders) else ()

    def _stored(self, key: bytes) -> Completion | None:
        found = self.known.store.get(key, Completion) if self.known else None
        if found is not None:
            self._add_stored(found.prompt_tokens, found.output_tokens)
        return found

    def _add_stored(self, prompt: int, new: int) -> None:
        self.asked.stored += 1
        self.asked.stored_prompt += prompt
        self.asked.stored_new += new

    def _made_up(self, request: Request, number: int) -> Completion | None:
        prompt, begins = self.counts.prompt(request)
        most = request.sampling.max_tokens
        if self.context is not None and prompt + most > self.context:
            raise ContextOverflowError(f"{prompt} and {most} tokens exceed {self.context}")
        if not number and len(self.asked.first) < _FIRST:
            self.asked.first.append(request)
        text, tokens = self.says(request, number)
        if tokens is None:
            tokens = self.counts.text(text.removeprefix(begins)) + 1  # and the token that ends it
        new = min(tokens, most)
        self.asked.add(prompt, new)
        if not self.heard:
            return None
        whole = text if text.startswith(begins) else f"{begins}{text}"
        return Completion(whole, "stop", prompt, new)

    def require_room(self, request: Request) -> None:
        """See engines.Measures: by the same count as a call."""
        if self.context is None:
            return
        prompt, most = self.counts.prompt(request)[0], request.sampling.max_tokens
        if prompt + most > self.context:
            raise ContextOverflowError(f"a prompt of {prompt} tokens and {most} new tokens exceed {self.context}")

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """The stored likelihood, or one that means nothing; what is scored is read, not written."""
        key = likelihood_key(self.fingerprint, request, self._prompt_key(request))
        if key not in self.scored:
            found = self.known.store.get(key, Likelihood) if self.known else None
            if found is not None:
                self._add_stored(found.prompt_tokens, 0)
            else:
                prompt, tokens = self.counts.scored(request)
                self.asked.add(prompt, 0)
                found = Likelihood(-float(tokens), tokens, greedy=False, prompt_tokens=prompt)
            self.scored[key] = found
        return self.scored[key]

    async def scored_length(self) -> int:
        return self.context or _SCORED

    def check(self, adapter: AdapterRef) -> None: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "plan"}
