"""The pool itself, without Ray: leases calls to workers, and gets them answered when workers fall behind or die.

A call is placed by the router (adapter, conversation), waits in its worker's line, and is sent when the worker has
fewer than `window` calls. A worker with nothing in its line takes from the longest one. When a worker is lost, its
calls are placed anew; an answer that comes twice is taken once. All of it happens on one event loop.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from roleeval.engines._router import Router
from roleeval.engines.pool._hand import Call, Hand
from roleeval.engines.pool._link import Answer, AnyRequest, Link, Report, Transport, WorkerLostError
from roleeval.engines.pool._slots import Slot
from roleeval.errors import EngineDeadError, EngineError, cause_of

_log = logging.getLogger(__name__)

# A call that so many workers were lost with gets a worker of its own. It is given up when so many were lost with it
# alone and none without it meanwhile, or when so many were lost with it in all.
_SUSPECT, _CONDEMNED, _MOST_LOSSES = 3, 4, 16
# Messages to a worker, and from it, wait for more: for this share of what its answers take, but no longer.
_PACE_SHARE, _LONGEST_PACE_S = 0.05, 0.25
# A conversation's next call comes soon after an answer: so long its place counts as taken, or a worker whose answers
# have just come would look idle.
_LINGER_S = 0.1
# Workers are compared each time one has answered so many calls.
_COMPARED = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a pool.

    Attributes:
        least: workers that are asked for even where there is no room yet (a cluster may then grow).
        most: workers at most; None: as many as there is room for.
        window: calls that one worker has at once.
        restarts: of a worker in a row, after lives that were of no use.
        silent_s: a worker that reports nothing for so long is lost.
        room_s: so long it is waited for room where no worker is there at all.
        look_s: time between two looks for more room.
        rest_s: wait before the second restart in a row; doubled for each further one.
    """

    least: int = 1
    most: int | None = None
    window: int = 256
    restarts: int = 3
    silent_s: float = 60.0
    room_s: float = 600.0
    look_s: float = 10.0
    rest_s: float = 1.0


class Pool:
    """See the module. The transport belongs to it."""

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._router: Router[str] = Router()
        self._slots: dict[str, Slot] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._hands: dict[str, Hand] = {}
        self._numbers = itertools.count(1)
        self._homeless: list[Call] = []
        self._suspects: deque[Call] = deque()
        self._isolated: Call | None = None
        self._waiting = 0  # calls in all lines
        self._lingering: deque[tuple[float, Hand, int]] = deque()  # until when calls of a worker count, though answered
        self._watcher: asyncio.Task[None] | None = None
        self._looked_for_room_s = 0.0
        self._dead = ""
        self._change = asyncio.Event()
        self._noted: set[str] = set()
        self.again = 0  # calls that were done again

    async def open(self) -> None:
        """Connects and asks for workers; returns when one is ready.

        Raises:
            EngineDeadError: no worker came up.
            EngineError: no connection.
        """
        await self._transport.open()
        self.look_for_room()
        self._watcher = asyncio.create_task(self._watch())
        while not self._hands:
            if self._dead:
                raise EngineDeadError(self._dead)
            await self._change.wait()
            self._change.clear()

    async def ask(self, request: AnyRequest) -> Answer:
        """Gets one request answered.

        Raises:
            EngineError: what the engine said, or several workers were lost with this request.
            EngineDeadError: there are no workers any more.
        """
        if self._dead:
            raise EngineDeadError(self._dead)
        call = Call(next(self._numbers), request, asyncio.get_running_loop().create_future())
        self._place(call)
        try:
            answer: Answer = await call.future
        except asyncio.CancelledError:
            self._forget(call)
            raise
        return answer

    # --- leases

    def _place(self, call: Call) -> None:
        call.hand = None
        if self._dead:
            call.future.set_exception(EngineDeadError(self._dead))
            return
        if call.losses >= _SUSPECT:
            self._suspects.append(call)
            self._isolate()
            return
        self._end_lingering(asyncio.get_running_loop().time())
        name = self._router.choose(call.conversation, group=call.group)
        if name is None:
            self._homeless.append(call)
            return
        self._router.begin(name)
        hand = self._hands[name]
        hand.queue(call)
        self._waiting += 1
        self._fill(hand)

    def _fill(self, hand: Hand) -> None:
        """Sends a worker as many calls as it may have."""
        if hand.reserved is not None:
            if not hand.sent:
                hand.send(hand.reserved)
            return
        while len(hand.sent) < self._limits.window:
            call = self._next(hand) or self._steal(hand)
            if call is None:
                return
            hand.send(call)

    def _next(self, hand: Hand) -> Call | None:
        """The next call that waits for a worker and that somebody waits for."""
        while (call := hand.next()) is not None:
            self._waiting -= 1
            if not call.future.done():
                return call
            self._router.end(hand.name)
        return None

    def _steal(self, thief: Hand) -> Call | None:
        """A call out of the longest line."""
        while self._waiting:
            longest = max(self._hands.values(), key=lambda hand: len(hand.waiting))
            call = self._next(longest)
            if call is not None:
                self._router.end(longest.name)
                self._router.begin(thief.name)
                self._router.lease(call.conversation, thief.name, group=call.group)
                return call
        return None

    def _isolate(self) -> None:
        """Gives the next suspect a worker of its own, once that one has nothing else."""
        while self._suspects and self._suspects[0].future.done():
            self._suspects.popleft()
        self._end_lingering(asyncio.get_running_loop().time())
        name = self._router.idlest()
        if not self._suspects or self._isolated is not None or name is None:
            return
        hand = self._hands[name]
        hand.reserved = self._isolated = self._suspects.popleft()
        self._router.begin(name)
        self._fill(hand)

    def _release(self, hand: Hand) -> None:
        hand.reserved = self._isolated = None
        self._isolate()

    def _forget(self, call: Call) -> None:
        """Nobody waits for a call any more; one that waits in a line is passed over when its turn comes."""
        hand = call.hand
        if hand is None or call.number not in hand.sent or hand.name not in self._hands:
            return
        hand.cancel(call.number)
        self._router.end(hand.name)
        if hand.reserved is call:
            self._release(hand)
        self._fill(hand)

    # --- workers

    def look_for_room(self) -> None:
        """Asks for the workers that there is room for, within the limits."""
        waiting = sum(slot.state in ("waiting for room", "lost", "given up") for slot in self._slots.values())
        free = max(0, self._transport.room() - waiting)
        wanted = max(self._limits.least, len(self._slots) + free)
        if self._limits.most is not None:
            wanted = min(wanted, self._limits.most)
        for number in range(len(self._slots), wanted):
            slot = Slot(f"w{number}")
            self._slots[slot.name] = slot
            self._keepers[slot.name] = asyncio.create_task(self._keep(slot))

    async def _watch(self) -> None:
        while not self._dead:
            await asyncio.sleep(self._limits.look_s)
            self.look_for_room()
            alone = all(slot.state in ("waiting for room", "given up") for slot in self._slots.values())
            self._looked_for_room_s = self._looked_for_room_s + self._limits.look_s if alone else 0.0
            if self._looked_for_room_s >= self._limits.room_s:
                self._die(f"no room for a worker within {self._limits.room_s:g} s: {self._transport.lacking()}")

    async def _keep(self, slot: Slot) -> None:
        """Keeps a worker in its place, until it is given up."""
        while True:
            slot.begin()
            link: Link | None = None
            try:
                link = await self._transport.launch(slot.name, slot.placed)
                await self._serve(slot, link)
            except WorkerLostError as error:
                lost = error
            except Exception as error:  # whatever the library raises: this worker is not there
                lost = WorkerLostError(cause_of(error))
            finally:
                if link is not None:
                    await link.close()
            others = [each.short for each in self._slots.values() if each is not slot]
            slot.lose(lost, most=self._limits.restarts, usual=median_low(others) if others else None)
            if slot.state == "given up":
                break
            _log.warning("worker %s%s was lost: %s. It is started again", slot.name, _where(slot), lost)
            if slot.strikes > 1:
                await asyncio.sleep(self._limits.rest_s * 2.0 ** (slot.strikes - 2))
        _log.warning("worker %s%s is given up after %d losses: %s", slot.name, _where(slot), slot.lost, lost)
        self._end_if_all_are_gone()

    async def _serve(self, slot: Slot, link: Link) -> None:
        hand = Hand(slot.name, link)
        self._join(slot, hand)
        try:
            while True:
                try:
                    async with asyncio.timeout(self._limits.silent_s):
                        report = await link.collect()
                except TimeoutError:
                    raise WorkerLostError(f"no sign of life for {self._limits.silent_s:g} s") from None
                self._take(slot, hand, report)
        except WorkerLostError as error:
            slot.idle = not hand.sent
            alone = hand.reserved is not None and hand.reserved.number in hand.sent
            raise WorkerLostError(str(error), final=error.final, excused=error.excused or alone) from None
        finally:
            self._part(hand)

    def _join(self, slot: Slot, hand: Hand) -> None:
        slot.state = "ready"
        self._hands[hand.name] = hand
        self._pace(hand)
        self._router.join(hand.name)
        self._change.set()
        homeless, self._homeless = self._homeless, []
        for call in homeless:
            if not call.future.done():
                self._place(call)
        self._isolate()
        self._fill(hand)

    def _take(self, slot: Slot, hand: Hand, report: Report) -> None:
        now = asyncio.get_running_loop().time()
        calls = [(hand.sent.pop(number, None), answer) for number, answer in report.replies]
        for call, answer in calls:
            if call is None:  # nobody waits for it any more
                continue
            slot.answer()
            hand.measure(call, answer, now=now)
            if hand.answered % _COMPARED == 0:
                self._compare(hand)
            if not call.future.done():
                if isinstance(answer, Exception):
                    call.future.set_exception(answer)
                else:
                    call.future.set_result(answer)
            if hand.reserved is call:
                self._release(hand)
        self._pace(hand)
        if answered := sum(call is not None for call, _ in calls):
            self._lingering.append((now + _LINGER_S, hand, answered))
        for note in report.notes:
            if note not in self._noted:  # each worker has the same to say of its model
                self._noted.add(note)
                _log.warning("worker %s: %s", slot.name, note)
        if report.facts is not None:
            slot.facts = report.facts
        if report.dead:
            raise WorkerLostError(report.dead)
        self._fill(hand)

    def _end_lingering(self, now: float) -> None:
        """Counts what was answered a while ago as gone; looked at when it matters, as a timer costs more."""
        while self._lingering and self._lingering[0][0] <= now:
            _, hand, calls = self._lingering.popleft()
            if self._hands.get(hand.name) is hand:
                for _ in range(calls):
                    self._router.end(hand.name)

    def _compare(self, hand: Hand) -> None:
        """Lets the calls of a worker that is several times slower than the usual one count as several."""
        known = [each.token_s for each in self._hands.values() if each.answered >= _COMPARED]
        usual = median_low(known) if len(known) > 1 else 0.0
        if usual > 0:
            self._router.weigh(hand.name, max(1, int(hand.token_s / usual)))

    def _part(self, hand: Hand) -> None:
        """A worker is gone: its calls are placed anew."""
        kept = hand.close()
        del self._hands[hand.name]
        self._router.leave(hand.name)
        self._waiting -= len(hand.waiting)
        lone, hand.reserved = hand.reserved, None
        for call in hand.sent.values():
            if call.number not in kept:
                self.again += 1
                call.losses += 1
                call.alone += call is lone
        if lone is None and self._isolated is not None:
            self._isolated.alone = 0  # workers are lost without it, too
        calls = [*hand.sent.values(), *(call for _, _, call in sorted(hand.waiting, key=lambda entry: entry[:2]))]
        if lone is not None:
            self._isolated = None
            calls += [lone] if lone.number not in hand.sent else []
        for call in calls:
            if (call.alone >= _CONDEMNED or call.losses >= _MOST_LOSSES) and not call.future.done():
                call.future.set_exception(
                    EngineError(
                        f"{call.losses} workers were lost while they had this request, the last {call.alone} of them"
                        " with nothing else; it is not asked again in this run"
                    )
                )
            elif not call.future.done():
                self._place(call)
        self._isolate()

    # --- the end

    def _end_if_all_are_gone(self) -> None:
        if all(slot.state == "given up" for slot in self._slots.values()):
            causes = sorted({slot.losses[-1] for slot in self._slots.values()})
            self._die(f"all {len(self._slots)} workers are gone: {'; '.join(causes)}")

    def _die(self, cause: str) -> None:
        """Ends the run: nothing more will be answered, and what was answered is in the store."""
        self._end(f"{cause}. Fix the cause and run the same command again: it resumes")

    def _end(self, said: str) -> None:
        self._dead = said
        self._change.set()
        calls = [*self._homeless, *self._suspects]
        self._homeless.clear()
        self._suspects.clear()
        for call in calls:
            if not call.future.done():
                call.future.set_exception(EngineDeadError(said))

    async def close(self) -> None:
        """Ends all workers."""
        self._end(self._dead or "the pool is closed")
        tasks = [*self._keepers.values(), *([self._watcher] if self._watcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keepers.clear()
        await self._transport.close()

    # --- what is known

    @property
    def slots(self) -> Mapping[str, Slot]:
        return self._slots

    def _pace(self, hand: Hand) -> None:
        """Lets messages to a worker wait for more, as long as its answers allow."""
        least_s = self._transport.pace_s * len(self._hands)
        hand.every_s = min(_LONGEST_PACE_S, max(least_s, _PACE_SHARE * hand.answer_s))

    def describe(self) -> Mapping[str, Any]:
        """For the manifest: workers, losses, and what was done again."""
        return {
            "workers": [slot.describe() for slot in self._slots.values()],
            "lost": sum(slot.lost for slot in self._slots.values()),
            "calls_done_again": self.again,
            "conversations_moved": self._router.moves,
            "adapter_loads": self._router.adoptions,
        }


def _where(slot: Slot) -> str:
    return f" on {slot.place['node']}" if "node" in slot.place else ""
