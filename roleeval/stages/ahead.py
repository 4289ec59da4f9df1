"""Judges finished episodes while others are still being played, so that the judge stage finds the replies in the store.

Nothing is decided here. The stage asks the same questions with the same seeds and finds the replies; it asks whatever
is not finished, or failed, itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.config import RunConfig
from roleeval.engines import StoredEngine, fit
from roleeval.errors import cause_of
from roleeval.judging import TOO_LONG, Case, Judge, ask, members
from roleeval.stages.cast import judge_model, playing
from roleeval.stages.runtime import Runtime
from roleeval.types import AdapterRef, Sample, Transcript

_log = logging.getLogger(__name__)

_MOST_WAITING = 4096  # episodes; a judge that is slower than that is left to its stage, and memory stays flat


@dataclass(frozen=True)
class _Bench:
    """A judge, and what it is asked with."""

    judge: Judge
    engine: StoredEngine
    adapter: AdapterRef | None


class JudgingAhead:
    """Asks judges of single answers about episodes as they finish.

    Judges that compare several runs wait for those, and have their stage alone.
    """

    def __init__(self, benches: Sequence[_Bench]) -> None:
        self._benches = benches
        self._waiting: deque[tuple[Sample, Transcript]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._ending = False
        # Each worker asks all of a panel in turn, so the most careful of its limits holds for all.
        self._most = min((bench.judge.max_in_flight for bench in benches), default=0)

    @classmethod
    async def of(cls, config: RunConfig, runtime: Runtime) -> "JudgingAhead":
        """The judges of a run that generates and judges in one command; none where it does not.

        A judge whose engine cannot be loaded beside those that generate has its stage alone, when these may be closed.
        """
        benches = []
        wanted = config.judge is not None and "judge" in config.options.stages
        beside = [await runtime.engine(*asked) for asked in playing(config)]
        for judge in members(config.judge) if wanted else ():
            if judge.compares:
                continue
            options, model = judge_model(judge, config)
            if not fit([*beside, own := await runtime.engine(options, model)]):
                _log.info(
                    "judge %s is asked when the answers are there: its engine has no room beside theirs", judge.name
                )
                continue
            beside.append(own)
            engine = await runtime.stored(options, model, config.options, prices=judge.prices)
            benches.append(_Bench(judge, engine, next(iter(model.adapters()), None)))
        return cls(benches)

    def add(self, sample: Sample, transcript: Transcript) -> None:
        """Takes an episode that has just finished."""
        if len(self._waiting) >= _MOST_WAITING or not self._most:
            return
        self._waiting.append((sample, transcript))
        if len(self._running) < self._most:
            task = asyncio.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Waits for the questions in flight. The others are left to the stage, which asks them all at once."""
        self._ending = True
        self._waiting.clear()
        await asyncio.gather(*self._running)
        for bench in self._benches:
            await bench.engine.close()

    async def cancel(self) -> None:
        """Drops everything."""
        self._most = 0
        self._waiting.clear()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for bench in self._benches:
            await bench.engine.close()

    async def _work(self) -> None:
        while self._waiting:
            sample, transcript = self._waiting.popleft()
            for bench in self._benches:
                if not await self._asked(sample, transcript, bench):
                    self._most = 0
                    self._waiting.clear()
                    return

    async def _asked(self, sample: Sample, transcript: Transcript, bench: _Bench) -> bool:
        """Whether all was asked and answered; where not, nothing more is, and the stage asks and says what is wrong."""
        try:
            case = Case(sample, "", {"": bench.judge.view.of(transcript)})
            for question in bench.judge.questions(case):
                for repeat in range(bench.judge.samples_per_item):
                    if self._ending:
                        return False
                    judgement = await ask(question, bench.judge, bench.engine, repeat=repeat, adapter=bench.adapter)
                    if not judgement.answered and judgement.reason != TOO_LONG:
                        return False
        except Exception as error:  # a judge's errors are no errors of what is being generated
            _log.debug("judging ahead ends: %s", cause_of(error), exc_info=error)
            return False
        return True
