"""The hf engine: transformers and PEFT in this process, for models or machines that vLLM does not support.

Concurrent requests with the same adapter and decoding parameters are put into one batch; in float32 a text does not
depend on its batch (see _batch.py). One batch runs at a time.
"""

import asyncio
import copy
import importlib.metadata
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal

from roleeval.engines._adapter_effect import PROBE, AdapterEffects
from roleeval.engines._protocol import LoraNeed, ModelSource
from roleeval.engines._room import Room, require_room
from roleeval.engines._thread import in_own_thread
from roleeval.engines.abilities import Abilities
from roleeval.engines.chat import (
    check_first,
    load_tokenizer,
    opened_prompt,
    output_text,
    scored_token_ids,
    special_tokens,
    stop_token_ids,
)
from roleeval.engines.fingerprint import model_fingerprint, pinned
from roleeval.engines.hf._adapters import Adapters
from roleeval.engines.hf._batch import Ended, Job, generate_batch
from roleeval.engines.hf._likelihood import ScoreJob, score_batch
from roleeval.engines.lora import Inspected, check_adapter
from roleeval.engines.shape import weight_bytes
from roleeval.engines.taken import GPUS, Taken, of_memory
from roleeval.engines.template import Prompts
from roleeval.errors import AdapterError, ConfigError, EngineDeadError, EngineError, RoleEvalError
from roleeval.hashing import digest
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Adapter, and the sampling; None for texts to be scored.
_GroupKey = tuple[str, Sampling | None]
_AnyJob = Job | ScoreJob
# The shortest models of tests have a context of a few dozen tokens.
_PROBE_TOKENS = 32


@dataclass(frozen=True)
class HfOptions:
    """Options of the hf engine (conf/engine/hf.yaml).

    Attributes:
        dtype: of weights and activations; "auto" is the model's own, and float32 on the CPU. Only float32 texts are
            free of the batch.
        device: "auto" is the first GPU, or the CPU.
        batch_size: requests in one batch at most.
        max_model_len: prompt and output tokens together; None is the model's own.
        attn_implementation: transformers' name of an attention kernel, or None for its choice.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_size: int = 8
    max_model_len: int | None = None
    attn_implementation: str | None = None

    def build(self, source: ModelSource, lora: LoraNeed) -> "HfEngine":
        """Makes the engine without loading it. Any number of adapters of any rank is served; `lora` is not used.

        Raises:
            ConfigError: batch_size or max_model_len is not positive.
        """
        if self.batch_size < 1 or (self.max_model_len is not None and self.max_model_len < 1):
            raise ConfigError("engine: batch_size and max_model_len must be positive")
        return HfEngine(self, source)


@dataclass
class _Group:
    """Requests that may share a batch, and the number of the batch after which one of them was last served."""

    since: int
    jobs: list[_AnyJob] = field(default_factory=list)

    @property
    def priority(self) -> int:
        return min(job.request.priority for job in self.jobs)


class HfEngine:
    """See HfOptions. Loads on `start`."""

    likelihoods = True

    def __init__(self, options: HfOptions, source: ModelSource) -> None:
        self._options = options
        self._source = source = pinned(source)
        self._prompts = Prompts(source)
        self._room = Room(source, options.max_model_len)
        self._versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch", "peft")}
        self._fingerprint = digest(
            "hf",
            self._versions["transformers"],
            self._versions["torch"],  # its suffix tells a CPU build from a GPU build
            "float32 on the CPU" if options.dtype == "auto" else options.dtype,
            options.attn_implementation,
            model_fingerprint(source),
        )
        self._model: PreTrainedModel | None = None
        self._adapters: Adapters | None = None
        self._checked: dict[str, Inspected] = {}
        self._effects = AdapterEffects()
        self._groups: dict[_GroupKey, _Group] = {}
        self._starting = asyncio.Lock()
        self._unable = ""  # why it could not start; it is not tried again
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._closing = False
        self._batches = 0
        self._load_s = 0.0

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        """See Renders."""
        return self._prompts.key(request)

    def check(self, adapter: AdapterRef) -> None:
        """See Engine.check. Any rank is served."""
        if adapter.fingerprint not in self._checked:
            self._checked[adapter.fingerprint] = check_adapter(adapter, self._source, max_rank=adapter.rank)

    async def start(self) -> None:
        """Loads the model; later calls return at once.

        Raises:
            EngineDeadError: transformers could not load it; it is not started again.
        """
        async with self._starting:
            if self._worker is not None:
                return
            if self._unable:
                raise EngineDeadError(self._unable)
            begin = time.perf_counter()
            try:
                await in_own_thread(self._open, name="hf-start")
            except EngineError as error:
                self._unable = str(error)
                raise EngineDeadError(self._unable) from error
            self._closing = False
            self._worker = asyncio.create_task(self._serve(), name="hf-batches")
            self._load_s += time.perf_counter() - begin

    @property
    def _device(self) -> str:
        import torch

        given = self._options.device
        return given if given != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")

    def takes(self) -> Taken:
        """See Takes. How much of a GPU a batch takes, beside the weights, shows only when it is computed."""
        if self._device != "cpu":
            return Taken(GPUS, None)
        return of_memory(
            weight_bytes(self._source, "float32" if self._options.dtype == "auto" else self._options.dtype)
        )

    def _open(self) -> None:
        self._tokenizer = load_tokenizer(self._source)
        check_first(self._tokenizer, self._prompts)
        # Fast tokenizers must not be used by two threads at once, and the batches run in another (see _serve).
        self._batch_tokenizer = copy.deepcopy(self._tokenizer)
        self._special = special_tokens(self._tokenizer)
        self._model = self._load()

    def _load(self) -> "PreTrainedModel":
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, GenerationConfig

        options, source, device = self._options, self._source, self._device
        try:
            with _without_bars():
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    source.path,
                    revision=source.revision,
                    trust_remote_code=source.trust_remote_code,
                    dtype="float32" if device == "cpu" and options.dtype == "auto" else options.dtype,
                    attn_implementation=options.attn_implementation,
                )
            model: PreTrainedModel = loaded.to(device).eval()
        except (ImportError, OSError, RuntimeError, TypeError, ValueError, SafetensorError, UnpicklingError) as error:
            raise EngineError(f"hf could not load {source.path}: {error}") from error
        config = model.config.get_text_config()
        self._max_model_len = options.max_model_len or getattr(config, "max_position_embeddings", None) or 0
        if not self._max_model_len:
            raise EngineError(f"{source.path} does not declare its maximum length; set engine.max_model_len")
        self._ends = frozenset(_ids(model.generation_config.eos_token_id) | _ids(self._tokenizer.eos_token_id))
        # A model's own defaults (Qwen ships repetition_penalty 1.05) would fill what a request leaves at "off".
        model.generation_config = GenerationConfig()
        return model

    async def generate(self, request: Request) -> Completion:
        """See Engine.generate."""
        self._check_open()
        if request.json_schema is not None:
            raise EngineError("engine=hf cannot constrain output to a schema; use engine=vllm or engine=openai")
        if request.adapter is not None:
            self.check(request.adapter)
        tokens, begun = opened_prompt(self._tokenizer, request, prompts=self._prompts)
        self._require_room(len(tokens), request.sampling.max_tokens)
        job = Job(request, tokens, asyncio.get_running_loop().create_future())
        self._enqueue(job, request.sampling)
        ended = await job.future
        return Completion(
            text=begun + ended.text,
            finish_reason=ended.finish_reason,
            prompt_tokens=len(tokens),
            output_tokens=ended.tokens,
            served_by=self._fingerprint,
        )

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """See Engine.likelihood."""
        self._check_open()
        if request.adapter is not None:
            self.check(request.adapter)
        prompt, continuation = scored_token_ids(self._tokenizer, request, prompts=self._prompts)
        self._require_room(len(prompt), len(continuation), what="tokens to score")
        job = ScoreJob(request, prompt, continuation, asyncio.get_running_loop().create_future())
        self._enqueue(job, None)
        return await job.future

    async def scored_length(self) -> int:
        """See Engine.scored_length. One token less than fits: what vllm can score, so that both cut texts alike."""
        await self.start()
        return self._max_model_len - 1

    def require_room(self, request: Request) -> None:
        """See Measures."""
        self._room.require(request, self._prompts)

    @property
    def abilities(self) -> Abilities:
        """See Able."""
        return Abilities(self._source, self._prompts, self._room.context)

    def _require_room(self, prompt: int, new: int, *, what: str = "new tokens") -> None:
        require_room(prompt, new, context=self._max_model_len, model=self._source.path, limited=True, what=what)

    def _check_open(self) -> None:
        if self._worker is None:
            raise EngineError("the hf engine was not started, or is closed")

    def _enqueue(self, job: _AnyJob, sampling: Sampling | None) -> None:
        key = (job.request.adapter.fingerprint if job.request.adapter else "", sampling)
        self._groups.setdefault(key, _Group(self._batches)).jobs.append(job)
        self._wake.set()

    async def _serve(self) -> None:
        while not self._closing:
            await self._wake.wait()
            await asyncio.sleep(0)  # whoever asks in this turn of the loop joins the batch
            jobs = self._take()
            if not jobs:
                self._wake.clear()
                continue
            try:
                # The one thread of this project outside a library: transformers' generate blocks for seconds, and
                # the loop has HTTP calls and timers to serve meanwhile. Only this task touches the model.
                ended = await asyncio.to_thread(self._run, jobs)
            except asyncio.CancelledError:
                self._closing = True  # the thread stops at its next token
                raise
            except Exception as error:  # whatever it is, it belongs to these requests; the next batch may do better
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(self._explain(error))
            else:
                for job, result in zip(jobs, ended, strict=True):
                    if job.future.done():
                        continue
                    if isinstance(result, Ended) and result.finish_reason == "error":
                        # closed half-way: half a text is no answer
                        job.future.set_exception(EngineError("the hf engine was closed"))
                    else:
                        job.future.set_result(result)  # type: ignore[arg-type]  # of the job's own kind

    def _take(self) -> list[_AnyJob]:
        """Removes the next batch from its group: small priorities first, then full groups, then long waits."""
        for key, group in list(self._groups.items()):
            group.jobs = [job for job in group.jobs if not job.future.done()]  # some may have been cancelled
            if not group.jobs:
                del self._groups[key]
        if not self._groups:
            return []
        size = self._options.batch_size
        # A batch passed over counts like a request that waits, so that no small group is passed over for ever.
        group = min(
            self._groups.values(),
            key=lambda group: (
                group.priority,
                -(min(len(group.jobs), size) + self._batches - group.since),
                group.since,
            ),
        )
        jobs = sorted(group.jobs, key=lambda job: job.request.priority)  # stable: then by arrival
        self._batches += 1
        group.jobs, group.since = jobs[size:], self._batches
        return jobs[:size]

    def _run(self, jobs: list[_AnyJob]) -> Sequence[Ended | Likelihood]:
        self._select(jobs[0].request.adapter)
        pad = self._batch_tokenizer.pad_token_id or 0
        scored = [job for job in jobs if isinstance(job, ScoreJob)]
        if scored:  # a group holds one kind of job
            return score_batch(self._model, scored, pad=pad, served_by=self._fingerprint)
        written = [job for job in jobs if isinstance(job, Job)]
        return generate_batch(
            self._model,
            written,
            ends=self._ends.union(stop_token_ids(self._special, written[0].request.sampling.stop)),
            pad=pad,
            text_of=lambda prompt, output: output_text(self._batch_tokenizer, prompt, output),
            given_up=lambda job: self._closing or job.future.done(),
        )

    def _select(self, adapter: AdapterRef | None) -> None:
        if self._adapters is None:
            if adapter is None:
                return
            assert self._model is not None
            self._adapters = Adapters(self._model, self._batch_tokenizer(PROBE).input_ids[-_PROBE_TOKENS:])
        try:
            if (change := self._adapters.select(adapter)) is not None and adapter is not None:
                inert = self._checked[adapter.fingerprint].zero
                self._effects.add(adapter, change, inert=inert)
        except AdapterError:
            if self._adapters.spoilt:
                self._model, self._adapters = self._load(), None
            raise

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, RoleEvalError):
            return type(error)(*error.args)
        hint = "; lower engine.batch_size" if "out of memory" in str(error) else ""
        raised = EngineError(f"hf failed on {self._source.path}: {type(error).__name__}: {error}{hint}")
        raised.__cause__ = error
        return raised

    async def close(self) -> None:
        """Stops after the current token; requests that are still waiting fail."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        self._closing = True
        for group in self._groups.values():
            for job in group.jobs:
                if not job.future.done():
                    job.future.set_exception(EngineError("the hf engine was closed"))
        self._wake.set()
        await asyncio.gather(worker, return_exceptions=True)
        self._groups.clear()
        self._model = self._adapters = None

    def describe(self) -> Mapping[str, Any]:
        return {
            "kind": "hf",
            "versions": self._versions,
            "options": asdict(self._options),
            "device": str(self._model.device) if self._model is not None else None,
            "dtype": str(self._model.dtype) if self._model is not None else None,
            "load_s": round(self._load_s, 2),
            "adapter_effects": self._effects.describe(),  # see _adapter_effect.py
        }


@contextmanager
def _without_bars() -> Iterator[None]:
    """No bar of transformers' own beside the run's."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _ids(value: int | list[int] | None) -> set[int]:
    return set() if value is None else {value} if isinstance(value, int) else set(value)
