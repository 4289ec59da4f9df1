"""The options of the vllm engine."""

from dataclasses import dataclass, field
from typing import Any, Literal

from roleeval.engines.vllm import _environment
from roleeval.ranges import check_range


@dataclass(frozen=True)
class VllmSettings:
    """What vLLM is run with (conf/engine/vllm.yaml); `VllmOptions` builds an engine of it.

    Attributes:
        dtype: of weights and activations; "auto" is the model's own, and float32 on the CPU, where texts in it do not
            depend on what else is in the batch.
        max_model_len: prompt and output tokens together; None is the model's own.
        max_num_seqs: sequences in one batch at most.
        enable_prefix_caching: reuse the KV cache of shared prefixes.
        enforce_eager: no graph capture; None means yes on the CPU, where compiling costs more than it saves.
        tensor_parallel_size: GPUs that one copy of the model is split over.
        data_parallel_size: copies of the model, each in a process of its own; on the CPU each has its share of the
            cores. What shares a prefix or an adapter stays on one copy.
        quantization: vLLM's name of a quantisation method, or None.
        gpu_memory_utilization: share of a GPU's memory; not used on the CPU.
        cpu_kv_cache_gib: KV cache on the CPU in GiB; None: what one longest sequence and the chats in flight need, 1 at
            least, half of the free memory at most, and a shorter context where memory is short. Not used on GPUs.
        scheduling: "priority" serves requests with a smaller priority first.
        max_loras: adapters in one batch; None: what the run needs (on GPUs 16 at most).
        max_cpu_loras: adapters held in main memory; None: all that the run needs.
        max_lora_rank: None: the smallest that serves the run's adapters. A larger one slows every request.
        check_decoding: on start, let the engine read what it wrote, and refuse it where the two disagree.
        stock: True runs vLLM as it is: its own worker and its own start; False asks for roleeval's CPU operators and
            faster start also outside the tested versions; None: as this vLLM allows (see _compat.py).
        env: settings that vLLM takes from the environment (VLLM_...), for this engine alone. Those that may change a
            text are part of the fingerprint.
        extra: further arguments of vLLM's AsyncEngineArgs, passed as they are.
        log_level: of vLLM's own log.
    """

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 256
    enable_prefix_caching: bool = True
    enforce_eager: bool | None = None
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    quantization: str | None = None
    gpu_memory_utilization: float = 0.9
    cpu_kv_cache_gib: int | None = None
    scheduling: Literal["fcfs", "priority"] = "fcfs"
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    max_lora_rank: int | None = None
    check_decoding: bool = True
    stock: bool | None = None
    env: dict[str, str | int | float | bool] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "ERROR"

    @property
    def gpus(self) -> int:
        """GPUs that one engine takes, for who places it (a pool)."""
        return self.tensor_parallel_size * self.data_parallel_size

    def __post_init__(self) -> None:
        """Checks numbers, and the settings for the environment.

        Raises:
            ConfigError: names the one that is not possible.
        """
        counts = ("max_model_len", "max_num_seqs", "tensor_parallel_size", "data_parallel_size", "cpu_kv_cache_gib")
        check_range(self, *counts, "max_loras", "max_cpu_loras", "max_lora_rank", low=1, owner="engine")
        check_range(self, "gpu_memory_utilization", low=0, high=1, above=True, owner="engine")
        object.__setattr__(self, "env", _environment.checked(self.env))
