"""An engine that answers without a model: plays what a run would play, and counts what that would ask."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from roleeval.engines import CompletionStore, Engine, Renders, likelihood_key, request_key
from roleeval.errors import ContextOverflowError, EngineError
from roleeval.stages.plan._count import Counts
from roleeval.types import AdapterRef, Completion, FinishReason, Likelihood, LikelihoodRequest, Request

_SCORED = 2048  # tokens of a text that is scored, where no file says how many a model takes


@dataclass
class Asked:
    """What one model is asked in a rehearsal: calls that the store does not answer, and their tokens.

    What a probe of the same plan was answered counts among them.
    """

    calls: float = 0
    prompt: float = 0
    new: float = 0
    stored: float = 0
    stored_prompt: float = 0
    stored_new: float = 0
    longest: int = 0  # tokens of the longest prompt with its reply

    def add(self, prompt: int, new: int, *, times: float) -> None:
        """A call, made so many times."""
        self.calls += times
        self.prompt += prompt * times
        self.new += new * times
        self.longest = max(self.longest, prompt + new)

    def add_stored(self, prompt: int, new: int, *, times: float) -> None:
        """The same, for calls that the store answers."""
        self.stored += times
        self.stored_prompt += prompt * times
        self.stored_new += new * times


@dataclass(frozen=True)
class Known:
    """The store that a run would find its texts in, and the engine whose texts those are."""

    store: CompletionStore
    engine: Engine


class MadeUp(str):
    """A text that no model wrote: it has none of a family's marks, and is said as it is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A reply: a model's own, or one that is `MadeUp`.

    Attributes:
        text: of it.
        tokens: None is those of the text. It may have more: some servers keep a model's reasoning to themselves, and
            count it.
        finish: why it ended.
    """

    text: str
    tokens: int | None = None
    finish: FinishReason = "stop"


# A request, which is its conversation's n-th -> the reply.
Says = Callable[[Request, int], Said]


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
        paid: keys of what a probe of the same plan was answered: it is counted as if it were not stored.
        times: calls for each that is made up and not heard: a judge's retries.
        stands_for: conversation -> how many it stands for; 1 where it is not named.
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
    paid: Collection[bytes] = ()
    context: int | None = None
    times: float = 1
    stands_for: Mapping[str, float] = field(default_factory=dict)
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
            self.seen[key] = self._stored(key, request) or self._made_up(request, number)
        if (found := self.seen[key]) is None:
            raise UnheardError("rehearsed")
        return found

    def _prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        engine = self.known.engine if self.known else None
        return engine.prompt_key(request) if isinstance(engine, Renders) else ()

    def _stored(self, key: bytes, request: Request) -> Completion | None:
        found = self.known.store.get(key, Completion) if self.known else None
        if found is not None:
            add = self.asked.add if key in self.paid else self.asked.add_stored
            add(found.prompt_tokens, found.output_tokens, times=self._weight(request))
        return found

    def _weight(self, request: Request) -> float:
        return self.stands_for.get(request.affinity, 1.0)

    def _made_up(self, request: Request, number: int) -> Completion | None:
        prompt, begins = self.counts.prompt(request)
        most = request.sampling.max_tokens
        if self.context is not None and prompt + most > self.context:
            raise ContextOverflowError(f"{prompt} and {most} tokens exceed {self.context}")
        said = self.says(request, number)
        text, tokens = said.text, said.tokens
        if tokens is None:
            tokens = self.counts.text(text.removeprefix(begins)) + 1  # and the token that ends it
        new = min(tokens, most)
        self.asked.add(prompt, new, times=self._weight(request) * (1 if self.heard else self.times))
        if not self.heard:
            return None
        whole = text if text.startswith(begins) else type(text)(f"{begins}{text}")
        return Completion(whole, said.finish, prompt, new)

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
                add = self.asked.add if key in self.paid else self.asked.add_stored
                add(found.prompt_tokens, 0, times=1)
            else:
                prompt, tokens = self.counts.scored(request)
                self.asked.add(prompt, 0, times=1)
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
