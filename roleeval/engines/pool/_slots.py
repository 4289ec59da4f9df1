"""The places for workers in a pool: who is there, who was lost and why, and who is given up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from roleeval.engines.pool._link import WorkerLostError

# A life with so many answers was a good one, whatever ended it.
_GOOD_LIFE = 256
# Short lives in a row of a worker that is given up, for each one that the usual worker had.
_OUTLIER = 3
_MOST_LOSSES = 20  # in a manifest, of each worker

State = Literal["waiting for room", "loading", "ready", "lost", "given up"]


@dataclass(slots=True)
class Slot:
    """A place for a worker, and the lives of the workers that were there.

    Attributes:
        name: of the place and of the worker in it.
        state: where the present life is.
        place: where Ray has put it: node, GPUs.
        facts: what its engine said of itself last.
        answered: calls in all lives.
        strikes: lives in a row that ended before the first answer.
        short: lives in a row that were not good ones.
        losses: why lives ended, the latest of them.
        lost: how many ended.
        idle: it has nothing to do, so that it cannot be blamed for no answer.
    """

    name: str
    state: State = "waiting for room"
    place: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    answered: int = 0
    strikes: int = 0
    short: int = 0
    losses: list[str] = field(default_factory=list)
    lost: int = 0
    idle: bool = False
    _this_life: int = 0
    _read: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """A life begins: the worker is asked for."""
        self._keep_counts()
        self.state, self.place, self.idle, self._this_life = "waiting for room", {}, False, 0

    def placed(self, place: Mapping[str, Any]) -> None:
        """It has its room, and loads."""
        self.state, self.place = "loading", place

    def answer(self) -> None:
        """It has answered a call."""
        self.answered += 1
        self._this_life += 1

    def lose(self, error: WorkerLostError, *, most: int, usual: int | None) -> None:
        """A life has ended.

        It is given up where it came up for nothing `most + 1` times in a row, or where it dies again and again and the
        others do not. Workers that all die now and then, as on a cluster that takes nodes back, go on.

        Args:
            error: why.
            most: restarts in a row after lives without an answer.
            usual: short lives in a row of the usual other worker; None without any other.
        """
        self.lost += 1
        self.losses = [*self.losses, str(error)][-_MOST_LOSSES:]
        if self._this_life:
            self.strikes = 0
        if self._this_life >= _GOOD_LIFE:
            self.short = 0
        self.strikes += not (error.excused or self.idle or self._this_life)
        self.short += not error.excused
        outlier = usual is not None and self.short > most + 2 and self.short >= _OUTLIER * (usual + 1)
        self.state = "given up" if error.final or self.strikes > most or outlier else "lost"

    def counts(self) -> Mapping[str, int]:
        """Prompt tokens that were read, and that came from the prefix cache, in all lives."""
        now: Mapping[str, int] = self.facts.get("prefix_cache") or {}
        return {key: self._read.get(key, 0) + now.get(key, 0) for key in self._read.keys() | now.keys()}

    def _keep_counts(self) -> None:
        self._read = dict(self.counts())
        self.facts = {key: value for key, value in self.facts.items() if key != "prefix_cache"}

    def describe(self) -> Mapping[str, Any]:
        """For the manifest."""
        return {
            "name": self.name,
            "state": self.state,
            **self.place,
            "answered": self.answered,
            "lost": self.lost,
            "losses": self.losses,
        }
