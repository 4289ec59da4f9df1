"""How fast a model writes, measured by some of a run's own first calls; their answers are kept for the run."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.config import RunConfig
from roleeval.errors import ConfigError
from roleeval.stages.plan._needs import Range
from roleeval.stages.runtime import Runtime
from roleeval.types import Request

_WAVES = 2  # the first one warms up


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a model writes.

    Attributes:
        slow, fast: new tokens a second.
        start: seconds until the engine is loaded.
        origin: what says so.
    """

    slow: float
    fast: float
    start: float
    origin: str

    def seconds(self, new: Range) -> Range:
        """How long so many new tokens take."""
        usual = (self.slow + self.fast) / 2
        low, expected, most = new.low / self.fast, new.expected / usual, new.most / self.slow
        return Range.of(seconds + (self.start if seconds else 0) for seconds in (low, expected, most))


async def probe(config: RunConfig, runtime: Runtime, requests: Sequence[Request]) -> Pace:
    """Asks some of a run's first calls, in two waves.

    Raises:
        ConfigError: everything is stored, so there is nothing to measure.
        RoleEvalError: the engine cannot answer.
    """
    if len(requests) < _WAVES:
        raise ConfigError(
            f"--probe: {config.model.name} has fewer than {_WAVES} first calls that are not stored; leave --probe out,"
            " or give --tokens-per-second"
        )
    engine = await runtime.stored(config.engine, config.model, config.options)
    half = len(requests) // _WAVES
    rates: list[float] = []
    start = time.perf_counter()
    await engine.generate(requests[0])  # loads the model
    loaded = time.perf_counter() - start
    for wave in (requests[1 : half + 1], requests[half + 1 :]):
        begin = time.perf_counter()
        done = await asyncio.gather(*(engine.generate(request) for request in wave))
        if done:
            rates.append(sum(each.output_tokens for each in done) / max(time.perf_counter() - begin, 1e-9))
    await engine.close()
    slow, fast = min(rates), max(rates)
    origin = f"{slow:.0f} to {fast:.0f} new tokens a second, by {len(requests)} calls of {config.model.name}"
    return Pace(slow, fast, loaded, f"{origin} at {half} in flight; their answers are kept")
