"""A ready worker as its pool sees it: what waits for it, what it was sent, and messages that leave together."""

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import Any

from roleeval.engines.pool._link import AnyRequest, Link
from roleeval.types import Completion, Request

# What is read before the first token takes about as long as so many are written.
_FIRST_TOKEN = 20
# Share of the newest answer in the running mean.
_NEWEST = 0.05


@dataclass(slots=True, eq=False)
class Call:
    """A request under way in a pool.

    Attributes:
        number: of the call; a call that is done again keeps it.
        request: what is asked.
        future: gets the answer.
        hand: the worker that has it; None: nobody.
        losses: workers that were lost while they had it.
        alone: those of them that had nothing else.
        sent_at: when it was sent, on the loop's clock.
    """

    number: int
    request: AnyRequest
    future: asyncio.Future[Any]
    hand: "Hand | None" = None
    losses: int = 0
    alone: int = 0
    sent_at: float = 0.0

    @property
    def group(self) -> str:
        return self.request.adapter.fingerprint if self.request.adapter else ""

    @property
    def conversation(self) -> str:
        return self.request.affinity if isinstance(self.request, Request) else ""


@dataclass(slots=True, eq=False)
class Hand:
    """One worker.

    Attributes:
        name: of the worker.
        link: to it.
        waiting: calls that it does not have yet, the next one first.
        sent: calls that it has.
        reserved: a call that it is to have alone.
        answered: calls.
        token_s: seconds that a token takes, as a running mean; what comes before the first token counts as some.
        answer_s: seconds that an answer takes, as a running mean.
        every_s: least time between two messages.
    """

    name: str
    link: Link
    waiting: list[tuple[int, int, Call]] = field(default_factory=list)
    sent: dict[int, Call] = field(default_factory=dict)
    reserved: Call | None = None
    answered: int = 0
    token_s: float = 0.0
    answer_s: float = 0.0
    every_s: float = 0.0
    _outbox: list[tuple[int, AnyRequest]] = field(default_factory=list)
    _cancelled: list[int] = field(default_factory=list)
    _leaves: asyncio.Handle | None = None
    _left_at: float = float("-inf")

    def queue(self, call: Call) -> None:
        """Lets a call wait."""
        call.hand = self
        heapq.heappush(self.waiting, (call.request.priority, call.number, call))

    def next(self) -> Call | None:
        """Takes the next call out of those that wait."""
        return heapq.heappop(self.waiting)[2] if self.waiting else None

    def send(self, call: Call) -> None:
        """Sends a call with the next message."""
        call.hand = self
        call.sent_at = asyncio.get_running_loop().time()
        self.sent[call.number] = call
        self._outbox.append((call.number, call.request))
        self._schedule()

    def measure(self, call: Call, answer: object, *, now: float) -> None:
        """Learns from an answer how fast this worker is."""
        if not isinstance(answer, Completion):
            return
        self.answered += 1
        share = max(_NEWEST, 1 / self.answered)
        answer_s = now - call.sent_at
        self.answer_s += (answer_s - self.answer_s) * share
        self.token_s += (answer_s / (_FIRST_TOKEN + answer.output_tokens) - self.token_s) * share

    def cancel(self, number: int) -> None:
        """Says that nobody waits for a call any more."""
        del self.sent[number]
        self._cancelled.append(number)
        self._schedule()

    def close(self) -> set[int]:
        """Nothing more is sent; the numbers of the calls whose message has not left."""
        if self._leaves is not None:
            self._leaves.cancel()
        return {number for number, _ in self._outbox}

    def _schedule(self) -> None:
        if self._leaves is None:
            loop = asyncio.get_running_loop()
            wait_s = self._left_at + self.every_s - loop.time()
            self._leaves = loop.call_later(wait_s, self._leave) if wait_s > 0 else loop.call_soon(self._leave)

    def _leave(self) -> None:
        calls, self._outbox = self._outbox, []
        cancelled, self._cancelled = self._cancelled, []
        self._leaves, self._left_at = None, asyncio.get_running_loop().time()
        self.link.submit(calls, cancelled, self.every_s)
