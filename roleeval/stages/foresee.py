"""What is known of a run before anything is asked: samples that cannot fit, and how many may be in flight.

Reads the samples once more than the run itself, and calls no model.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from roleeval.benchmarks import Actor, Foreseen, Opening
from roleeval.config import RunConfig
from roleeval.engines import Holds
from roleeval.errors import ConfigError, concerns_one_item
from roleeval.stages.asked import asked_samples
from roleeval.stages.capability import Longest
from roleeval.types import Message, Sample, Transcript, Turn

log = logging.getLogger("roleeval")
_BYTES_PER_TOKEN = 3  # roughly, of English and Chinese


@dataclass(frozen=True)
class Foresight:
    """What a benchmark's openings tell.

    Attributes:
        misfits: sample id -> the call that can never be made.
        in_flight: episodes at once that the engine has memory for; None is any number.
        longest: the first prompts to measure, of those that can be asked.
    """

    misfits: Mapping[str, Turn] = field(default_factory=dict)
    in_flight: int | None = None
    longest: Longest = field(default_factory=Longest)

    def not_played(self, sample: Sample) -> Transcript | None:
        """The transcript of an episode that cannot be played; None of all others."""
        turn = self.misfits.get(sample.id)
        return None if turn is None else Transcript(sample.id, turn.status, (turn,))


def foresee(config: RunConfig, actor: Actor) -> Foresight:
    """Looks at the first calls of all episodes; names those that cannot be made.

    Raises:
        ConfigError: none of the samples can be asked, or a model's chat template cannot express what it is to be sent.
    """
    benchmark = config.benchmark
    if not isinstance(benchmark, Foreseen) or not any(each.measures for each in (actor, *actor.helpers.values())):
        return Foresight()
    misfits: dict[str, Turn] = {}
    need, longest = _Need(), Longest()
    samples = 0
    for sample in asked_samples(config.benchmark, limit=config.options.limit, clusters=config.options.clusters):
        samples += 1
        if (turn := _misfit(benchmark, sample, actor, need, longest)) is not None:
            misfits[sample.id] = turn
    if misfits:
        name, turn = next(iter(misfits.items()))
        first = f"{name} ({turn.speaker}): {turn.error}" if turn.speaker else f"{name}: {turn.error}"
        if len(misfits) == samples:
            raise ConfigError(f"none of the {samples} samples fits into the model's context. The first: {first}")
        log.warning(
            "%d of %d samples cannot fit into the model's context and are not asked (context_overflow). The first: %s",
            len(misfits),
            samples,
            first,
        )
    return Foresight(misfits, need.in_flight(config, actor, samples - len(misfits)), longest)


@dataclass
class _Need:
    """How many tokens episodes take in an engine's memory.

    Attributes:
        chat: of the longest chat of one participant, at its usual end.
        chats: of all chats of all episodes together.
        shapes: parts and roles of chats that were tried.
    """

    chat: int = 0
    chats: int = 0
    shapes: set[tuple[str, ...]] = field(default_factory=set)

    def try_later(self, opening: Opening) -> None:
        """See `try_later`; each order of roles once."""
        shape = (opening.part, *(message.role for message in opening.history), *opening.later)
        if shape not in self.shapes:
            self.shapes.add(shape)
            try_later(opening)

    def add(self, openings: Sequence[Opening]) -> None:
        lengths = [_tokens(opening) for opening in openings if opening.growth]
        self.chat, self.chats = max([self.chat, *lengths]), self.chats + sum(lengths)

    def in_flight(self, config: RunConfig, actor: Actor, episodes: int) -> int | None:
        """Episodes at once for which there is memory; asks the engine for as much as all of them need."""
        most = min(config.options.max_in_flight, episodes)
        if not (self.chat and episodes) or not isinstance(actor.engine, Holds):
            return None
        chats = self.chats * most // episodes
        room = actor.engine.hold(chats)
        if room is None:
            return None
        fits = max(1, room // self.chat)
        if fits < most:
            log.warning(
                "max_in_flight is %d instead of %d: the KV cache holds %d tokens, and each episode's calls need up to"
                " %d. Raise engine.cpu_kv_cache_gib for more",
                fits,
                most,
                room,
                self.chat,
            )
        elif chats > room:
            log.info(
                "the KV cache holds %d tokens, and the chats of %d episodes need about %d: a part of them is read again"
                " with each call; a smaller max_in_flight or a larger engine.cpu_kv_cache_gib avoids that",
                room,
                most,
                chats,
            )
        return fits


def try_later(opening: Opening) -> None:
    """Tries whether a participant's later calls can be expressed, where its engine tells before it is loaded.

    Raises:
        ConfigError: they cannot, whatever the turns say.
    """
    if opening.later:
        history = [*opening.history, *(Message(role, "...") for role in opening.later)]
        opening.actor.foreseen(opening.persona, opening.system, history, part=opening.part)


def _tokens(opening: Opening) -> int:
    texts = [opening.system, *(message.content for message in opening.history)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) // _BYTES_PER_TOKEN + opening.growth


def _misfit(benchmark: Foreseen, sample: Sample, actor: Actor, need: _Need, longest: Longest) -> Turn | None:
    """The first of an episode's calls that cannot be made; notes what the episode needs."""
    try:
        openings = list(benchmark.openings(sample, actor))
        for opening in openings:
            turn = opening.actor.foreseen(
                opening.persona, opening.system, opening.history, part=opening.part, most=opening.most
            )
            if turn is not None:
                return replace(turn, error="; ".join(filter(None, (turn.error, opening.way_out))))
            need.try_later(opening)
        longest.add(sample, openings)
        own = actor.engine.fingerprint
        need.add([opening for opening in openings if opening.actor.engine.fingerprint == own])
    except Exception as error:
        if not concerns_one_item(error):
            raise
    return None  # what else is wrong with the episode is said where it is played
