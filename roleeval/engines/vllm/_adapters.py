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
from roleeval.engines._protocol import LoraNeed, ModelSource
from roleeval.engines.vllm._decode_check import decode_gap, require_agreement
from roleeval.engines.vllm._outer_layers import unserved_by
from roleeval.engines.vllm._sampling import probing
from roleeval.errors import AdapterError, EngineDeadError, EngineError, RoleEvalError
from roleeval.types import AdapterRef

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

_OUTPUT = "lm_head"
# In nats; below it differences are rounding, whatever the precision.
_ROUNDING = 1e-6
# The base may differ between two batches by this many times what it differed by between the first two answers.
_SAME_BASE = 10.0
_LEAST_LEAK = 1e-3

# More adapters in one batch cost memory and time on every step; the rest wait in main memory.
_MOST_IN_A_BATCH = 16

Logprobs = Mapping[int, float]


def lora_arguments(need: LoraNeed, *, rank: int, slots: int | None, held: int | None) -> dict[str, Any]:
    """vLLM's arguments for a run's adapters.

    Args:
        need: the adapters.
        rank: the largest rank that is to be served.
        slots: adapters in one batch; None: as many as there are, within reason.
        held: adapters in main memory; None: all.
    """
    slots = slots or min(need.count, _MOST_IN_A_BATCH)
    return {
        "enable_lora": True,
        "max_loras": slots,
        "max_cpu_loras": held or max(need.count, slots),
        "max_lora_rank": rank,
        # What no adapter is on stays as it is. vLLM would wrap the lm_head of a Llama in any case, and maps the rows of
        # a wrapped one to requests: log-probabilities of prompts are wrong then, and end the engine on the CPU.
        "lora_target_modules": sorted(need.modules) or None,
    }


def wraps_output(need: LoraNeed, source: ModelSource) -> bool:
    """Whether vLLM wraps the output layer of a base: for an adapter on it, or one whose modules are not known.

    Log-probabilities of prompts are wrong then, and end the engine on the CPU where other requests are in the batch.
    """
    asked = bool(need.count) and (not need.modules or _OUTPUT in need.modules)
    return asked and not unserved_by(source)


def require_scoring(need: LoraNeed, source: ModelSource) -> None:
    """Checks that texts can be scored beside a run's adapters on a base.

    Raises:
        EngineError: one of them is on the output layer, or may be.
    """
    if wraps_output(need, source):
        known = "" if need.modules else " (or one whose modules are not known)"
        raise EngineError(
            f"vllm cannot score texts while it serves an adapter on {_OUTPUT}{known}: log-probabilities of prompts"
            " would be wrong; use engine=hf"
        )


class Adapters:
    """Loads and names the adapters of one engine."""

    def __init__(
        self, engine: Any, probe: list[int], model: str, effects: AdapterEffects, *, check_decoding: bool
    ) -> None:
        """Args: an AsyncLLM, token ids that it is probed with, the base's name, where effects are kept, and whether the
        first adapter has to write what it reads (one pair of kernels serves them all)."""
        self._check_decoding = check_decoding
        self.decode_gap: float | None = None
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
        if self._check_decoding and number == 1:
            self.decode_gap = await decode_gap(self._engine, self._probe, adapter=request)
            try:
                require_agreement(self.decode_gap, f"{self._model} with the adapter {adapter.path}")
            except EngineError as error:  # of the engine, not of this adapter
                raise EngineDeadError(str(error)) from error
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
