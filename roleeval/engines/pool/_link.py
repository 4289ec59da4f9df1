"""What a pool needs of its workers, however they are reached: Ray in `_ray.py`, simulated ones in tests and bench/."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from roleeval.engines.taken import Taken
from roleeval.types import Completion, Likelihood, LikelihoodRequest, Request

AnyRequest = Request | LikelihoodRequest
Answer = Completion | Likelihood


class WorkerLostError(Exception):
    """A worker is gone, or did not come up; the text says why.

    Attributes:
        final: starting it again would change nothing.
        excused: it is not the worker's fault: its node left.
    """

    def __init__(self, cause: str, *, final: bool = False, excused: bool = False) -> None:
        super().__init__(cause)
        self.final, self.excused = final, excused


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has to say.

    Attributes:
        replies: number of a call -> its answer, or what its engine raised.
        facts: the engine's description, where it is new.
        dead: why its engine answers no more; "" where it does.
        notes: warnings of its engine, for the run's log.
    """

    replies: Sequence[tuple[int, Answer | Exception]] = ()
    facts: Mapping[str, Any] | None = None
    dead: str = ""
    notes: Sequence[str] = ()


class Link(Protocol):
    """A worker that is ready."""

    def submit(self, calls: Sequence[tuple[int, AnyRequest]], cancelled: Sequence[int], every_s: float) -> None:
        """Sends a message. A fault shows in `collect`.

        Args:
            calls: with their numbers.
            cancelled: the numbers of calls that nobody waits for any more.
            every_s: time between two reports, while the worker has something to do.
        """
        ...

    async def collect(self) -> Report:
        """Waits until there is something to say; reports at least every few seconds.

        Raises:
            WorkerLostError: it is gone.
        """
        ...

    async def close(self) -> None:
        """Ends it; may be called when it is gone."""
        ...


class Transport(Protocol):
    """Where workers come from.

    Attributes:
        pace_s: least time between two messages to all workers together, on average; what is to be sent meanwhile goes
            together.
    """

    pace_s: float

    async def open(self) -> None:
        """Connects.

        Raises:
            EngineError: it cannot.
        """
        ...

    def room(self) -> int:
        """How many more workers could be placed now."""
        ...

    def lacking(self) -> str:
        """What a worker needs and what there is, in words, for the message where none can be placed."""
        ...

    def claims(self, most: int | None) -> Taken:
        """What so many workers take of all that there is; None is as many as there is room for."""
        ...

    async def launch(self, name: str, placed: Callable[[Mapping[str, Any]], None]) -> Link:
        """Places a worker and loads its engine, for as long as that takes.

        Args:
            name: of the worker.
            placed: is told where, before the engine loads.

        Raises:
            WorkerLostError: it did not come up.
        """
        ...

    async def close(self) -> None:
        """Ends what `open` began."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """For the manifest: versions, the cluster, what a worker gets of it."""
        ...
