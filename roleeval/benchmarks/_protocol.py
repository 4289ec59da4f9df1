"""The protocol of a benchmark: samples, and for each an episode that produces a transcript."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from roleeval.benchmarks.actor import Actor, Helper
from roleeval.types import MODEL, ChatRole, Message, Part, Persona, Sample, Score, Transcript

# A sample that was played, and its scores.
Scored = tuple[Sample, Transcript, tuple[Score, ...]]


@runtime_checkable
class Benchmark(Protocol):
    """A source of samples and the protocol they are played by: a frozen dataclass, reached by `_target_`.

    Its options are part of a run's identity. A field that only says where data or prompts are is declared with
    `metadata=roleeval.identity.OUTSIDE_IDENTITY`, because `describe` gives their hashes; a method `identity()` may say
    something else.
    """

    @property
    def name(self) -> str: ...

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        """Yields samples with indices 0, 1, ..., in any order; reads lazily. `limit` is per split.

        Raises:
            DataError: a file is missing or malformed; names file and line.
        """
        ...

    def count(self, *, limit: int | None) -> int:
        """How many samples `samples` yields."""
        ...

    async def episode(self, sample: Sample, actor: Actor) -> Transcript:
        """Plays one sample with the model under test."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Facts for the manifest: data source, revision and hash, prompt pack and hash, rows skipped.

        "setup", name -> text, is what else must be equal in one table; it has the helpers under their names.
        "cluster", (singular, plural), is what tables call the unit that intervals are clustered by ("role", "roles").
        """
        ...

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Group averages to report: name -> alternatives, each the groups whose means are averaged.

        Of the alternatives a metric takes the first whose groups it all has ("split/protocol", or "split" for a
        metric without references). Groups joined by "+" ("id+ood") are pooled: the mean is over their rows.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What a participant of an episode is sent with its first call, at least.

    Attributes:
        actor: who is asked.
        persona, system, history, part: see Actor.say.
        growth: tokens by which the participant's chat usually grows until the end of the episode.
        most: tokens by which it may grow before the last call, where an episode that might not fit is not played.
        way_out: what the benchmark says of one that does not fit.
        turns: of the episode at most, the first being this call or one near it.
        step: tokens that each of them may add to the chat, as far as the protocol says.
        later: roles of the turns that follow in its chat: a model that cannot be sent them is not asked at all.
    """

    actor: Actor
    persona: Persona
    system: str
    history: Sequence[Message]
    part: Part = MODEL
    growth: int = 0
    most: int = 0
    way_out: str = ""
    turns: int = 1
    step: int = 0
    later: Sequence[ChatRole] = ()


@runtime_checkable
class Foreseen(Protocol):
    """A benchmark that knows ahead what its episodes send, so that what cannot be asked is named before anything is."""

    def openings(self, sample: Sample, actor: Actor) -> Iterable[Opening]:
        """The participants' first calls; the episode needs all of them. A model is not asked."""
        ...

    @property
    def longest(self) -> int:
        """Calls of an episode at most."""
        ...


@runtime_checkable
class Scripted(Protocol):
    """A benchmark that says what its models might say, so that `roleeval plan` can play it without them.

    One that is not has its samples' first references as the replies of the model under test.
    """

    def lines(self, sample: Sample) -> Mapping[str, Sequence[str]]:
        """Texts as long as replies usually are: helper's name ("" is the model under test) -> some."""
        ...

    def choices(self, sample: Sample, *, turns: int | None) -> Mapping[str, Sequence[str]]:
        """Helper's name -> its replies in order, where they decide how the episode goes on; the last one is repeated.

        Args:
            sample: the episode's.
            turns: of the conversation, as many as an episode is expected to have; None is as many as the reference has.
        """
        ...


@runtime_checkable
class SelfScored(Protocol):
    """A benchmark that plays and scores its samples by itself, instead of `samples` and `episode`.

    It has the other members of a Benchmark, and `infos() -> Sequence[MetricInfo]`, which declares every metric that it
    scores (asked for once its samples are counted). The run's metrics are not used, and nothing is scored without it.
    """

    def evaluate(self, actor: Actor, *, limit: int | None, in_flight: int) -> AsyncIterator[Scored]:
        """Yields every sample with its transcript and its scores.

        Raises:
            ConfigError: the model or the engine cannot be asked this.
        """
        ...

    def corpus_scores(self) -> Iterable[tuple[str, str, Score]]:
        """After `evaluate`: (split, cluster, score) of values that stand for more than one sample."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A benchmark whose episodes need further models (environment, next speaker): `Actor.helpers` has them by name."""

    def helpers(self) -> Mapping[str, Helper]: ...
