"""Starts vLLM for one engine: its cache, its environment, its arguments, and the cause in one sentence if it fails."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from roleeval.engines._protocol import LoraNeed, ModelSource
from roleeval.engines.chat import check_first, load_tokenizer, special_tokens
from roleeval.engines.template import Prompts
from roleeval.engines.vllm import _compat, _environment
from roleeval.engines.vllm._adapters import lora_arguments
from roleeval.engines.vllm._cache import Cache, cpu_cache
from roleeval.engines.vllm._cause import cause
from roleeval.engines.vllm._outer_layers import unserved_by
from roleeval.engines.vllm._output import Output
from roleeval.engines.vllm._preemptions import Preemptions
from roleeval.engines.vllm._settings import VllmSettings
from roleeval.engines.vllm.cpu import arguments as cpu_arguments
from roleeval.engines.vllm.cpu import start as cpu_start
from roleeval.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROOMY = 1000  # tokens a sequence at once: with so much room hardly anything is ever interrupted


@dataclass(frozen=True)
class Launched:
    """A vLLM that runs.

    Attributes:
        engine: vLLM's AsyncLLM.
        tokenizer: the model's.
        special: name -> id of its special tokens.
        output: what vLLM's processes write, if it is kept from the terminal.
        in_force: vLLM's settings in the environment while it started.
        limited: its context is shorter than the model's own may be, by an option or for want of memory.
        preemptions: counts its interruptions, where there may be some.
    """

    engine: Any
    tokenizer: "PreTrainedTokenizerBase"
    special: Mapping[str, int]
    output: Output | None
    in_force: Mapping[str, str]
    limited: bool
    preemptions: Preemptions | None = None


@dataclass(frozen=True)
class Launch:
    """What vLLM is started with.

    Attributes:
        settings: the engine's options.
        source: the base model.
        lora: what the run's adapters need.
        max_rank: of adapters; 0 without any.
        vllm: the installed one.
        stock: why vLLM is run as it is; "" is with roleeval's additions.
        cache: the KV cache on the CPU, where its size was settled before.
        wanted: tokens that the chats in flight need at once.
    """

    settings: VllmSettings
    source: ModelSource
    lora: LoraNeed
    max_rank: int
    vllm: _compat.Installed
    stock: str
    cache: Cache | None = None
    wanted: int = 0

    def run(self, prompts: Prompts) -> Launched:
        """Loads the tokenizer and starts vLLM. Blocks until the model is loaded.

        Args:
            prompts: the model's, checked against its tokenizer before any weight is loaded.

        Raises:
            ConfigError: the chat template cannot express what will be sent.
            EngineError: vLLM could not load; says why in one sentence.
        """
        settings = self.settings
        defaults = {"VLLM_LOGGING_LEVEL": settings.log_level, "VLLM_NO_USAGE_STATS": "1"}
        context = settings.max_model_len
        cache = None
        if self.vllm.cpu:
            cache = self.cache or self.sized()
            context = context or cache.max_model_len
            defaults["VLLM_CPU_KVCACHE_SPACE"] = str(cache.gib)
        env = _environment.checked(settings.env)
        with _environment.applied(env, defaults, copies=settings.data_parallel_size):
            return self._started(prompts, context, _environment.in_force(env), self._preemptions(cache))

    def _preemptions(self, cache: Cache | None) -> Preemptions | None:
        """Counts interruptions where there may be some; vLLM's statistics cost time in each step."""
        if self.stock:
            return None
        if cache is None:
            return Preemptions(self.source.path, "Lower max_in_flight, or raise engine.gpu_memory_utilization")
        if cache.tokens is not None and cache.tokens >= max(self.wanted, _ROOMY * self.settings.max_num_seqs):
            return None
        return Preemptions(self.source.path, "Lower max_in_flight, or raise engine.cpu_kv_cache_gib")

    def sized(self, wanted: int = 0) -> Cache:
        """The KV cache on the CPU, with room for `wanted` tokens if there is memory."""
        settings = self.settings
        return cpu_cache(
            self.source,
            max_model_len=settings.max_model_len,
            dtype=settings.dtype,
            copies=settings.data_parallel_size,
            wanted=wanted,
            given=settings.cpu_kv_cache_gib,
        )

    def _started(
        self, prompts: Prompts, context: int | None, in_force: Mapping[str, str], preemptions: Preemptions | None
    ) -> Launched:
        ahead = self._imports_ahead()
        if ahead:
            cpu_start.import_ahead()
        tokenizer = load_tokenizer(self.source)
        check_first(tokenizer, prompts)
        special = special_tokens(tokenizer)
        output: Output | None = None
        try:
            _compat.require(self.vllm)
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM

            arguments = AsyncEngineArgs(**self._arguments(context))
            kept = self.settings.log_level == "ERROR" and not _compat.unredirected()
            output = Output() if kept else None  # otherwise it is wanted on the terminal
            with cpu_start.forked() if ahead else nullcontext(), output.taken() if output else nullcontext():
                engine = AsyncLLM.from_engine_args(arguments, **self._usage(), **_counted(preemptions))
        except Exception as error:  # whatever vLLM raises: there is no engine
            raise EngineError(f"vllm could not load {self.source.path}: {self._cause(error, output)}") from error
        return Launched(engine, tokenizer, special, output, in_force, context is not None, preemptions)

    def _imports_ahead(self) -> bool:
        # Not where several processes are to take their share of the cores from the environment that they are spawned
        # with, or one is to read settings on its imports: what is imported ahead has seen the first engine's.
        settings = self.settings
        alone = settings.data_parallel_size * settings.tensor_parallel_size == 1
        own = any(map(_environment.may_change_texts, settings.env))
        return self.vllm.cpu and not self.stock and alone and not own

    def _cause(self, error: Exception, output: Output | None) -> str:
        if output is None:
            return f"{cause('', raised=str(error), cpu=self.vllm.cpu)}{self._way_out()}"
        return f"{cause(output.read(), raised=str(error), cpu=self.vllm.cpu)}. Its own log: {output.path}"

    def _way_out(self) -> str:
        own = self.vllm.cpu and not self.stock
        return " (its own log has the cause; engine.stock=true does without roleeval's CPU operators)" if own else ""

    def _usage(self) -> dict[str, Any]:
        """Says that this is batch work: a step then takes 16,384 tokens on large GPUs; vLLM's default is 2048."""
        if self.stock:
            return {}
        from vllm.usage.usage_lib import UsageContext

        return {"usage_context": UsageContext.LLM_CLASS}

    def _arguments(self, context: int | None) -> dict[str, Any]:
        from vllm.platforms import current_platform

        settings, cpu = self.settings, current_platform.is_cpu()
        arguments: dict[str, Any] = {
            "model": self.source.path,
            "revision": self.source.revision,
            "trust_remote_code": self.source.trust_remote_code,
            "dtype": "float32" if cpu and settings.dtype == "auto" else settings.dtype,
            "max_model_len": context,
            "max_num_seqs": settings.max_num_seqs,
            "enable_prefix_caching": settings.enable_prefix_caching,
            "enforce_eager": cpu if settings.enforce_eager is None else settings.enforce_eager,
            "tensor_parallel_size": settings.tensor_parallel_size,
            "data_parallel_size": settings.data_parallel_size,
            "quantization": settings.quantization,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
            "scheduling_policy": settings.scheduling,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            # No free white space between JSON tokens: small models fill it until the limit and never end the object.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        }
        if cpu:
            arguments |= cpu_arguments.arguments(
                tensor_parallel_size=settings.tensor_parallel_size, stock=bool(self.stock)
            )
        if self.lora.count:
            # Which modules are wrapped matters only where the output layer might be.
            need = replace(self.lora, modules=frozenset()) if unserved_by(self.source) else self.lora
            slots = cpu_arguments.lora_slots(settings.max_loras, self.lora.count) if cpu else settings.max_loras
            arguments |= lora_arguments(need, rank=self.max_rank, slots=slots, held=settings.max_cpu_loras)
        return arguments | settings.extra


def _counted(preemptions: Preemptions | None) -> dict[str, Any]:
    return {} if preemptions is None else {"stat_loggers": [preemptions.logger]}
