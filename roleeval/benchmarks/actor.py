"""The model under test as an episode sees it: say something, get a turn back."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from roleeval.engines import Engine, EngineOptions, Measures
from roleeval.errors import (
    ConfigError,
    ContextOverflowError,
    OverBudgetError,
    SourceError,
    UnsupportedRoleError,
    cause_of,
    concerns_one_item,
)
from roleeval.identity import OUTSIDE_IDENTITY
from roleeval.models import PersonaModel
from roleeval.seeds import derive_seed
from roleeval.types import MODEL, AdapterRef, Message, Part, Persona, Request, Sampling, Status, Turn

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Helper:
    """A model that a benchmark's protocol needs in addition to the model under test.

    Attributes:
        model: what is asked; None is the run's own base model, without an adapter.
        engine: what serves it; None is the run's engine options.
        sampling: of its calls, where `model` is None.
        tokens_key: the key of its limit of new tokens, for messages; "" is `benchmark.<name>.sampling.max_tokens`.
    """

    model: PersonaModel | None = None
    engine: EngineOptions | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    sampling: Sampling = field(default_factory=Sampling)
    tokens_key: str = field(default="", metadata=OUTSIDE_IDENTITY)


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a model's settings stand in the configuration, for messages: engine, limit of new tokens, source."""

    engine: str = "engine"
    tokens: str = "model.sampling.max_tokens"
    source: str = "model.source"


@dataclass(frozen=True, slots=True)
class Actor:
    """A persona model over an engine.

    Attributes:
        model: the family: adapter, prompt policy, reply format.
        engine: the engine with the store in front of it.
        run_seed: every call's seed derives from it.
        helpers: the protocol's other models, by name (Staged.helpers).
        keys: where its settings stand, for messages.
    """

    model: PersonaModel
    engine: Engine
    run_seed: int
    helpers: "Mapping[str, Actor]" = field(default_factory=dict)
    keys: Keys = Keys()

    async def say(
        self,
        persona: Persona,
        system: str,
        history: Sequence[Message],
        *,
        sample_id: str,
        turn: int,
        part: Part = MODEL,
        priority: int = 0,
        attempt: int = 0,
    ) -> Turn:
        """Asks the model for one turn. A failed call becomes a turn with status engine_failed, never an empty text.

        So does a call that brings out an error nobody foresaw: in the prompt, in the engine, in reading the reply. One
        that does not fit into the model's context becomes a turn with status context_overflow, one
        that the budget has no room for a turn with status over_budget.

        Args:
            persona: who speaks.
            system: the benchmark's system prompt.
            history: what was said so far, as the speaker knows it.
            sample_id: the episode.
            turn: number of the call in its episode; the seed derives from it.
            part: of the turn in its episode.
            priority: see Request.
            attempt: which reply to the same chat this asks for; each has a seed of its own.

        Raises:
            EngineDeadError: the engine is gone.
            StoreError: the answer could not be kept.
            ConfigError: the model's prompt format cannot express the history.
        """
        seed = derive_seed(self.run_seed, sample_id, turn=turn, speaker=persona.role, attempt=attempt)
        asked = _Asked(seed)
        try:
            return await self._said(
                asked, persona, system, history, sample_id=sample_id, part=part, priority=priority, attempt=attempt
            )
        except Exception as error:
            if not concerns_one_item(error):
                raise
            _log.debug("%s, turn %d: %s", sample_id, turn, cause_of(error), exc_info=error)
            return _failed(persona, status_of(error), told(error, self.keys), part, asked)

    async def _said(
        self,
        asked: "_Asked",
        persona: Persona,
        system: str,
        history: Sequence[Message],
        *,
        sample_id: str,
        part: Part,
        priority: int,
        attempt: int,
    ) -> Turn:
        model, seed = self.model, asked.seed
        # one construction: `replace` on a request costs as much as the rest of this method
        request = self._request(asked, persona, system, history, attempt=attempt, priority=priority, affinity=sample_id)
        done = await self.engine.generate(request)
        reply = model.parse(done.text, done.finish_reason, done.reasoning)
        return Turn(
            speaker=persona.role,
            messages=asked.messages,
            raw=done.text,
            visible=reply.visible,
            thoughts=reply.thoughts,
            status=reply.status,
            finish_reason=done.finish_reason,
            prompt_tokens=done.prompt_tokens,
            output_tokens=done.output_tokens,
            adapter=asked.adapter.name if asked.adapter else "",
            prompt=asked.prompt,
            seed=seed,
            own_history=reply.own_history,
            shown=reply.shown,
            part=part,
        )

    def _request(
        self,
        asked: "_Asked",
        persona: Persona,
        system: str,
        history: Sequence[Message],
        *,
        attempt: int = 0,
        priority: int = 0,
        affinity: str = "",
    ) -> Request:
        model = self.model
        prompt = asked.prompt = model.prompt(system, history)
        asked.messages = model.messages(system, history) if prompt is None else ()
        asked.adapter = model.adapter(persona)
        return Request(
            messages=asked.messages if prompt is None else None,
            sampling=model.sampling,
            seed=asked.seed,
            prompt=prompt,
            prompt_special_tokens=model.prompt_special_tokens,
            adapter=asked.adapter,
            prefill=model.prefill,
            attempt=attempt,
            priority=priority,
            affinity=affinity,
        )

    def first_request(self, persona: Persona, system: str, history: Sequence[Message]) -> Request:
        """What a call of `say` with these would send; its seed is none of a run's.

        Raises:
            UnsupportedRoleError: the model has no adapter for the role.
            ConfigError: the model's prompt format cannot express the history.
        """
        return self._request(_Asked(0), persona, system, history)

    @property
    def measures(self) -> bool:
        """Whether its engine knows its context before anything is asked."""
        return bool(getattr(self.engine, "measures", isinstance(self.engine, Measures)))

    def foreseen(
        self, persona: Persona, system: str, history: Sequence[Message], *, part: Part = MODEL, most: int = 0
    ) -> Turn | None:
        """The turn of a call that can never be made, because of its length alone; None for all others. Asks nothing.

        Args:
            persona, system, history, part: see say.
            most: tokens that may be added to the history before the call.

        Raises:
            ConfigError: the model has no chat template, or one that cannot express the call.
        """
        asked = _Asked(0)
        if not isinstance(self.engine, Measures):
            return None
        try:
            request = self._request(asked, persona, system, history)
            new = request.sampling.max_tokens + most
            self.engine.require_room(replace(request, sampling=replace(request.sampling, max_tokens=new)))
        except ContextOverflowError as error:
            return _failed(persona, "context_overflow", told(error, self.keys), part, asked)
        except SourceError as error:
            raise ConfigError(error.said(self.keys.source)) from error
        except Exception as error:
            if not concerns_one_item(error):
                raise
        return None  # what else is wrong with it is said where it is asked


def status_of(error: Exception) -> Status:
    """The status of a call that an error ended."""
    if isinstance(error, UnsupportedRoleError):
        return "unsupported_role"
    if isinstance(error, OverBudgetError):
        return "over_budget"
    return "context_overflow" if isinstance(error, ContextOverflowError) else "engine_failed"


def told(error: Exception, keys: Keys) -> str:
    """The error of a call in one sentence, with the keys of the model that was asked."""
    if isinstance(error, ContextOverflowError):
        return error.said(engine=keys.engine, tokens=keys.tokens)
    return cause_of(error)


@dataclass(slots=True)
class _Asked:
    """A call as far as it has come: what a failed turn can say of it."""

    seed: int
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    adapter: AdapterRef | None = None


def _failed(persona: Persona, status: Status, error: str, part: Part, asked: _Asked) -> Turn:
    return Turn(
        speaker=persona.role,
        messages=asked.messages,
        raw="",
        visible="",
        thoughts="",
        status=status,
        finish_reason="error",
        prompt_tokens=0,
        output_tokens=0,
        adapter=asked.adapter.name if asked.adapter else "",
        prompt=asked.prompt,
        seed=0 if status == "unsupported_role" else asked.seed,
        error=error,
        part=part,
    )
