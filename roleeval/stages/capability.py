"""What the chosen model cannot do here, in one line before a run: measured on its longest prompts and its files.

What can never be asked (a prompt that does not fit, a template that refuses it) is refused in foresee.py; this is what
a reader of the results should know beside that.
"""

import heapq
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roleeval.benchmarks import Actor, Opening
from roleeval.engines import Abilities, Able
from roleeval.errors import EngineError, concerns_one_item
from roleeval.models import PersonaModel
from roleeval.types import MODEL, AdapterRef, Message, Sample

log = logging.getLogger("roleeval")

_FEW = 3  # prompts that are tokenised of each split and part: characters do not order them exactly as tokens do
_CLOSE = 0.9  # of the context: then tokens are counted to the last one
_NAMED = 3
_SHOWN = 80


@dataclass
class Longest:
    """The longest first prompts of each split and part, by characters."""

    _found: dict[tuple[str, str], list[tuple[int, int, str, Opening]]] = field(default_factory=dict)
    _systems: dict[str, bool] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def add(self, sample: Sample, openings: Iterable[Opening]) -> None:
        """Takes note of a sample's openings."""
        for opening in openings:
            longest = self._found.setdefault((sample.split, opening.part), [])
            if opening.part not in self._systems:  # one model speaks for a part
                self._systems[opening.part] = _sends_system(opening.actor.model)
            length = sum(len(message.content) for message in opening.history)
            length += len(opening.system) if self._systems[opening.part] else 0
            if len(longest) == _FEW and length <= longest[0][0]:
                continue
            entry = (length, -next(self._numbers), sample.id, opening)
            (heapq.heappush if len(longest) < _FEW else heapq.heappushpop)(longest, entry)

    def __iter__(self) -> Iterator[tuple[str, Opening]]:
        """Sample ids and openings."""
        return ((name, opening) for found in self._found.values() for *_, name, opening in found)


@dataclass(frozen=True)
class Capability:
    """What is known of a model before a run.

    Attributes:
        model: its name.
        cannot: what will not work, in words.
        facts: what it works with.
    """

    model: str
    cannot: Sequence[str]
    facts: Sequence[str]

    def __str__(self) -> str:
        return f"capability check of {self.model}: {'; '.join([*self.cannot, *self.facts])}"

    def log(self) -> None:
        """One line: a warning if something will not work."""
        log.log(logging.WARNING if self.cannot else logging.INFO, "%s", self)


def capability(actor: Actor, longest: Longest, *, exact: bool = False) -> Capability | None:
    """What the model under test can do of what it is going to be asked; None where its engine does not know.

    Args:
        actor: the model, with the benchmark's helpers.
        longest: the prompts to measure; helpers' prompts with their own models.
        exact: load the tokenizers with transformers; otherwise only for prompts that nearly fill the context.
    """
    able = _abilities(actor)
    if able is None:
        return None
    try:
        return _checked(actor, able, longest, exact=exact)
    except EngineError:  # there is no usable tokenizer: the engine says so when it is needed
        return None


def _checked(actor: Actor, able: Abilities, longest: Longest, *, exact: bool) -> Capability | None:
    measured = sorted(_measured(actor, able, longest, exact=exact), key=lambda each: each.room)
    model, raw = actor.model, _raw(actor.model)
    cannot = [*_beyond(measured), *_unending(able, model, raw=raw), *_foreign(able, measured, model)]
    cannot += () if raw else _unbegun(able, measured)
    cannot += () if raw else _reasoning(able, model)
    asked = able.asked_for(model.sampling)
    facts = [*_context(measured), *([f"answers end at {_listed(able.ends)}"] if able.ends else [])]
    if not raw and (own := able.habits.own_system) and (able.source.fold_system or not _sends_system(model)):
        facts.append(f"no system turn is sent, and its chat template writes one of its own: {_short(own)!r}")
    if asked:
        its = ", ".join(f"{name}={value}" for name, (value, _) in asked.items())
        own = ", ".join(f"{name}={value}" for name, (_, value) in asked.items())
        facts.append(f"its generation config asks for {its}, and this run uses {own} (model.sampling)")
    return Capability(model.name, cannot, facts) if cannot or facts else None


@dataclass(frozen=True)
class _Measured:
    """A first prompt in tokens.

    Attributes:
        sample: its id.
        opening: what is sent.
        able: of the model that reads it.
        ids: the prompt.
        new: tokens of the answer at most.
        exact: see Abilities.prompt.
    """

    sample: str
    opening: Opening
    able: Abilities
    ids: Sequence[int]
    new: int
    exact: bool

    @property
    def room(self) -> float:
        """Tokens of the context that this leaves; below 0 it does not fit."""
        return float("inf") if self.able.context is None else self.able.context - len(self.ids) - self.new

    @property
    def who(self) -> str:
        part = self.opening.part
        return self.sample if part == MODEL else f"{self.sample}, {part}"

    @property
    def usual(self) -> float:
        """Tokens that a turn of the episode usually adds."""
        usual = self.opening.growth / self.opening.turns
        return min(usual, self.opening.step) if self.opening.step else usual

    def full_from(self, step: float) -> int | None:
        """The turn from which on there is no room for an answer, if each adds `step` tokens; None: there always is.

        Where `most` is given, an episode whose longest form does not fit is not played at all (foresee.py).
        """
        if not step or self.room == float("inf") or self.opening.most:
            return None
        turn = 2 + int(self.room // step)
        return turn if turn <= self.opening.turns else None


def _measured(actor: Actor, able: Abilities, longest: Longest, *, exact: bool) -> Iterator[_Measured]:
    known = {actor.engine.fingerprint: able}
    for sample, opening in longest:
        each = opening.actor
        found = known.get(each.engine.fingerprint) or _abilities(each)
        if found is None:
            continue
        known[each.engine.fingerprint] = found
        try:
            request = each.first_request(opening.persona, opening.system, opening.history)
            ids, new = found.prompt(request, exact=exact), request.sampling.max_tokens
            close = found.context is not None and len(ids) + new > _CLOSE * found.context
            if close and not exact:
                ids = found.prompt(request, exact=True)
            yield _Measured(sample, opening, found, ids, new, exact or close)
        except Exception as error:
            if not concerns_one_item(error):
                raise  # else: what is wrong with it is said where it is played


def _beyond(measured: Sequence[_Measured]) -> Iterator[str]:
    """Prompts that do not fit, and episodes of the usual length that will not."""
    worst = next(iter(measured), None)
    if worst is None:
        return
    if worst.room < 0:
        yield (
            f"the longest prompt ({worst.who}) has {len(worst.ids)} tokens, and with {worst.new} new ones does not fit"
            f" into the context of {worst.able.context}"
        )
        return
    first, each = _first((each.full_from(each.usual), each) for each in measured)
    if first:
        yield (
            f"at the usual length of turns the context of {each.able.context} tokens runs out about turn {first} of"
            f" {each.opening.turns} ({each.who}, whose first prompt has {len(each.ids)})"
        )


def _context(measured: Sequence[_Measured]) -> Iterator[str]:
    """How much of the context is needed."""
    if not measured or measured[0].room < 0:
        return
    longest = next((each for each in measured if each.opening.part == MODEL), measured[0])
    context = longest.able.context
    about = "" if longest.exact else "about "
    of = "of a context that its files do not name" if context is None else f"of {context}"
    yield f"the longest first prompt ({longest.who}) has {about}{len(longest.ids)} tokens, {longest.new} new ones, {of}"
    usual, _ = _first((each.full_from(each.usual), each) for each in measured)
    first, each = _first((each.full_from(each.opening.step), each) for each in measured)
    if first and first != usual:
        turns, step = each.opening.turns, each.opening.step
        yield f"the context may run out from turn {first} of {turns} on (a turn has up to {step} tokens)"


def _first(turns: Iterable[tuple[int | None, _Measured]]) -> tuple[int, _Measured]:
    """The earliest turn, and whose; 0 where there is none."""
    found = [(turn or 0, each) for turn, each in turns]
    return min([pair for pair in found if pair[0]] or found, key=lambda pair: pair[0])


def _unending(able: Abilities, model: PersonaModel, *, raw: bool) -> Iterator[str]:
    """Answers that nothing ends."""
    if not able.ends and not model.sampling.stop:
        yield (
            "no token is known that ends an answer (the tokenizer's eos_token, eos_token_id of generation_config.json):"
            f" every answer runs to its limit of {model.sampling.max_tokens} tokens; set model.sampling.stop"
        )
    elif not raw and (end := able.unended(model.sampling)):
        yield (
            f"its chat template ends answers with {end!r}, but the only known ends are {_listed(able.ends)}: texts"
            f" may run on after an answer; set model.sampling.stop=['{end}']"
        )
    elif not raw and (words := able.end_in_words(model.sampling)):
        yield (
            f"its chat template ends answers with no token, but with {words!r}: a model may go on with the next"
            f" question and answer it; set model.sampling.stop=[{words!r}]"
        )


def _unbegun(able: Abilities, measured: Sequence[_Measured]) -> Iterator[str]:
    """Prompts without the token that a model has read at the beginning of every text."""
    missing = {name: None for each in measured if each.able is able for name in able.unbegun(each.ids)}
    if missing:
        yield (
            f"its tokenizer begins every text with {_listed(missing)}, and its chat template does not: many models read"
            " such a prompt badly; write {{ bos_token }} at the beginning of the template"
        )


def _reasoning(able: Abilities, model: PersonaModel) -> Iterator[str]:
    """Answers that would have to begin otherwise than the chat template begins them."""
    if able.habits.closed_reasoning and getattr(model, "always_reasons", False):
        yield (
            f"it reasons before every answer (model.always_reasons), but its chat template writes empty reasoning there"
            f" ({able.habits.closed_reasoning.strip()!r}); set model.source.template_options={{enable_thinking: true}}"
            " or give another template"
        )
    if model.prefill and (opened := able.habits.opened_reasoning):
        yield (
            f"its chat template opens reasoning ({opened.strip()!r}), and model.prefill={model.prefill!r} comes behind"
            " that; set model.prefill='' if the template begins the answer"
        )


def _foreign(able: Abilities, measured: Sequence[_Measured], model: PersonaModel) -> Iterator[str]:
    """Tokens that weights or adapters do not have in common with the tokenizer."""
    if missing := sorted({name for each in measured if each.able is able for name in able.unread(each.ids)}):
        yield (
            f"its weights have no embedding for {_listed(missing)}, which prompts hold: tokenizer and weights are of"
            " different models"
        )
    yield from _of_adapters(able, model.adapters())


def _of_adapters(able: Abilities, adapters: Sequence[AdapterRef]) -> Iterator[str]:
    folders = {adapter.name: Path(adapter.path) for adapter in adapters if adapter.path}
    differing = {name: found for name, folder in folders.items() if (found := able.other_vocabulary(folder))}
    if differing:
        name, tokens = next(iter(differing.items()))
        yield (
            f"{len(differing)} of {len(folders)} adapters come with a tokenizer of other tokens than the model's, for"
            f" example {name}: {_listed(tokens)}. Prompts are read with the model's; if the adapter was trained with"
            " its own, give a source whose folder has that tokenizer and its embeddings"
        )
    templates = {name: folder for name, folder in folders.items() if able.other_template(folder)}
    if templates:
        name, folder = next(iter(templates.items()))
        yield (
            f"{len(templates)} of {len(folders)} adapters come with another chat template than the model's, for example"
            f" {name}; if it was trained with that, set model.source.chat_template to a file with it ({folder})"
        )


def _sends_system(model: PersonaModel) -> bool:
    """Whether a system prompt is part of what is sent."""
    marked, chat = "<a system prompt>", (Message("user", "a question"),)
    prompt = model.prompt(marked, chat)
    texts = [message.content for message in model.messages(marked, chat)] if prompt is None else [prompt]
    return any(marked in text for text in texts)


def _raw(model: PersonaModel) -> bool:
    """Whether the model's prompts are no chats."""
    return model.prompt("a persona", (Message("user", "a question"),)) is not None


def _abilities(actor: Actor) -> Abilities | None:
    return actor.engine.abilities if isinstance(actor.engine, Able) else None


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."


def _listed(names: Iterable[str]) -> str:
    listed = [repr(name) for name in names]
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
