"""What is known of a run before anything is asked: samples that cannot fit into a context.

Reads the samples once more than the run itself, and calls no model.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from roleeval.benchmarks import Actor, Foreseen
from roleeval.config import RunConfig
from roleeval.errors import ConfigError, concerns_one_item
from roleeval.types import Sample, Transcript, Turn

log = logging.getLogger("roleeval")


@dataclass(frozen=True)
class Foresight:
    """What a benchmark's openings tell.

    Attributes:
        misfits: sample id -> the call that can never be made.
    """

    misfits: Mapping[str, Turn] = field(default_factory=dict)

    def not_played(self, sample: Sample) -> Transcript | None:
        """The transcript of an episode that cannot be played; None of all others."""
        turn = self.misfits.get(sample.id)
        return None if turn is None else Transcript(sample.id, turn.status, (turn,))


def foresee(config: RunConfig, actor: Actor) -> Foresight:
    """Looks at the first calls of all episodes; names those that cannot be made.

    Raises:
        ConfigError: none of the samples can be asked.
    """
    benchmark = config.benchmark
    if not isinstance(benchmark, Foreseen) or not any(each.measures for each in (actor, *actor.helpers.values())):
        return Foresight()
    misfits: dict[str, Turn] = {}
    samples = 0
    for sample in benchmark.samples(limit=config.options.limit):
        samples += 1
        if (turn := _misfit(benchmark, sample, actor)) is not None:
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
    return Foresight(misfits)


def _misfit(benchmark: Foreseen, sample: Sample, actor: Actor) -> Turn | None:
    """The first of an episode's calls that cannot be made."""
    try:
        for opening in benchmark.openings(sample, actor):
            turn = opening.actor.foreseen(opening.persona, opening.system, opening.history, part=opening.part)
            if turn is not None:
                return turn
    except Exception as error:
        if not concerns_one_item(error):
            raise
    return None  # what else is wrong with the episode is said where it is played
