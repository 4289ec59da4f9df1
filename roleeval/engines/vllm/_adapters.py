"""The adapters of a vLLM engine: loaded before they are asked, each with proof that it, and nothing else, changes.

vLLM loads an adapter inside the step that first needs it, where a fault ends the engine with everything in flight; and
it leaves out weights that it does not recognise. So an adapter is loaded by a call of its own, and a probe is asked
with it and, in the same batch, without.
"""

import asyncio
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roleeval.engines._adapter_effect import AdapterEffects
from roleeval.engines.vllm._sampling import probing
from roleeval.errors import AdapterError, EngineDeadError, EngineError, RoleEvalError
from roleeval.types import AdapterRef

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

# In nats; below it differences are rounding, whatever the precision.
_ROUNDING = 1e-6
# The base may differ between two batches by this many times what it differed by between the first two answers.
_SAME_BASE = 10.0
_LEAST_LEAK = 1e-3

Logprobs = Mapping[int, float]


class Adapters:
    """Loads and names the adapters of one engine."""

    def __init__(self, engine: Any, probe: list[int], model: str, effects: AdapterEffects) -> None:
        """Args: an AsyncLLM, token ids that it is probed with, the base's name, where effects are kept."""
        self._engine = engine
        self._probe = probe
        self._model = model
        self._effects = effects
        self._tasks: dict[str, asyncio.Task[LoRARequest]] = {}
        self._numbers = itertools.count()
        self._base: asyncio.Task[tuple[Logprobs, float]] | None = None

    async def request(self, adapter: AdapterRef, *, inert: bool) -> "LoRARequest":
        """What vLLM calls an adapter; the first call for it loads and probes it.

        Args:
            adapter: one that was checked.
            inert: its weights are zero.

        Raises:
            AdapterError: vLLM could not load it.
            EngineError: it changes what requests without it are answered.
        """
        task = self._tasks.get(adapter.fingerprint)
        if task is None:
            task = self._tasks[adapter.fingerprint] = asyncio.create_task(
                self._load(adapter, len(self._tasks) + 1, inert=inert)
            )
        try:
            return await asyncio.shield(task)
        except RoleEvalError as error:  # one object would gather the tracebacks of all who wait for it
            raise type(error)(*error.args) from error

    async def _load(self, adapter: AdapterRef, number: int, *, inert: bool) -> "LoRARequest":
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError as VllmDeadError

        request = LoRARequest(f"{adapter.name}-{adapter.fingerprint[:12]}", number, adapter.path)
        try:
            base, noise = await self._without()
            await self._engine.add_lora(request)
            own, beside = await asyncio.gather(self._ask(request), self._ask(None))
        except VllmDeadError as error:
            raise EngineDeadError(f"the vllm engine for {self._model} stopped; its log has the cause") from error
        except RoleEvalError:
            raise
        except Exception as error:  # vLLM passes on whatever its process met as a plain Exception
            cause = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise AdapterError(f"adapter {adapter.path}: vllm could not load it: {cause}") from error
        change, leak = difference(base, own), difference(base, beside)
        if leak > max(_SAME_BASE * noise, _LEAST_LEAK) and leak > change / 2:
            raise EngineError(
                f"vllm answers requests without an adapter as if they had {adapter.path} (log-probabilities behind a"
                f" probe change by {leak:.2g} nats); run base and adapters in engines of their own, or another vLLM"
            )
        self._effects.add(adapter, change, zero=max(noise, _ROUNDING), inert=inert)
        return request

    async def _without(self) -> tuple[Logprobs, float]:
        """The base's log-probabilities, and by how much two answers of it differ."""
        if self._base is None:
            self._base = asyncio.create_task(self._twice())
        return await asyncio.shield(self._base)

    async def _twice(self) -> tuple[Logprobs, float]:
        one, two = await self._ask(None), await self._ask(None)
        return one, difference(one, two)

    async def _ask(self, lora: "LoRARequest | None") -> Logprobs:
        last: Any = None
        async for output in self._engine.generate(
            {"type": "token", "prompt_token_ids": self._probe},
            probing(),
            request_id=f"roleeval-probe-{next(self._numbers)}",
            lora_request=lora,
        ):
            last = output
        if last is None or not last.outputs[0].logprobs:
            raise EngineError("vllm ended a probe without an answer")
        return {token: float(entry.logprob) for token, entry in last.outputs[0].logprobs[0].items()}


def difference(one: Logprobs, two: Logprobs) -> float:
    """The largest difference between two lists of the likeliest tokens, in nats; at least that for tokens in one."""
    changes = [abs(one[token] - two[token]) for token in one.keys() & two.keys()]
    for mine, theirs in ((one, two), (two, one)):
        changes += [mine[token] - min(theirs.values()) for token in mine.keys() - theirs]
    return max([*changes, 0.0])
