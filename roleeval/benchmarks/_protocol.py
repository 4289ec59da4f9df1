"""What a benchmark is: samples, and for each an episode that ends in a transcript."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from roleeval.benchmarks.actor import Actor
from roleeval.types import Sample, Transcript


class Benchmark(Protocol):
    """A source of samples and the protocol they are played by: a frozen dataclass, reached by `_target_`."""

    @property
    def name(self) -> str: ...

    def samples(self, *, limit: int | None) -> Iterator[Sample]:
        """Yields samples with indices 0, 1, ...; reads lazily. `limit` is per split.

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
        """Facts for the manifest: data source, revision and hash, prompt pack and hash, rows skipped."""
        ...

    def averages(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Group averages to report: name -> alternatives, each the groups whose means are averaged.

        Of the alternatives a metric takes the first whose groups it all has ("split/protocol", or "split" for a
        metric without references).
        """
        ...
