"""How much memory the KV cache needs on the CPU: at least one longest sequence must fit, or vLLM does not start.

Beyond that it should hold the chats of all episodes in flight. What does not fit is read again with every call, and
where not even the requests in flight fit, vLLM interrupts some and repeats them.
"""

import logging
import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from roleeval.engines._protocol import ModelSource
from roleeval.engines.shape import kv_shape

_log = logging.getLogger(__name__)

_GIB = 2**30
_LEAST_GIB = 1
_BLOCKS = 1.05  # vLLM fills whole blocks, and holds one back
_SHARE = 0.5  # of the memory that is free: weights and activations need the rest
_ROUND = 256  # tokens; a shortened context is a multiple of it
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Cache:
    """The KV cache's size in GiB, and the context in tokens where it had to be cut; None: the model's own.

    `tokens` is what it holds, in all copies together; None where the model does not say.
    """

    gib: int
    max_model_len: int | None = None
    tokens: int | None = field(default=None, compare=False)


def cpu_cache(
    source: ModelSource,
    *,
    max_model_len: int | None,
    dtype: str,
    copies: int,
    wanted: int = 0,
    given: int | None = None,
) -> Cache:
    """The smallest cache that holds one longest sequence, 1 GiB at least; where memory is short a shorter context.

    Args:
        source: the model.
        max_model_len: tokens of a sequence, if that was asked for: it is then never cut.
        dtype: of keys and values; "auto" is float32, as on the CPU.
        copies: of the model, each with a cache of its own.
        wanted: tokens that it should hold in all copies together, as far as half of the free memory goes.
        given: GiB that were asked for.
    """
    found = kv_shape(source)
    if found is None:
        return Cache(given or _LEAST_GIB)
    per_token = found[0] * _BYTES.get(dtype, 4)
    cache = Cache(given) if given else _sized(source, per_token, found[1], max_model_len, copies, wanted)
    return replace(cache, tokens=int(cache.gib * _GIB * copies / _BLOCKS / per_token))


def _sized(source: ModelSource, per_token: int, own: int, max_model_len: int | None, copies: int, wanted: int) -> Cache:
    longest = max_model_len or own
    needed = math.ceil(per_token * longest * _BLOCKS / _GIB)
    most = max(_LEAST_GIB, int(free_memory() * _SHARE / _GIB / copies))
    roomy = min(most, math.ceil(per_token * wanted * _BLOCKS / _GIB / copies))
    if needed <= max(_LEAST_GIB, roomy):
        if roomy > _LEAST_GIB:
            _log.info("%s: %d GiB for the KV cache, for the episodes in flight", source.path, roomy)
        return Cache(max(_LEAST_GIB, roomy))
    if needed <= most or max_model_len is not None:
        _log.info(
            "%s: %d GiB for the KV cache, as one sequence of %d tokens needs; set engine.max_model_len to use less",
            source.path,
            needed,
            longest,
        )
        return Cache(needed)
    fits = int(most * _GIB / _BLOCKS / per_token) // _ROUND * _ROUND
    _log.warning(
        "%s: one sequence of %d tokens needs a KV cache of %d GiB, and %d GiB may be used; the context is cut to %d"
        " tokens. Set engine.max_model_len, or engine.cpu_kv_cache_gib=%d for all of it",
        source.path,
        longest,
        needed,
        most,
        fits,
        needed,
    )
    return Cache(most, fits)


def free_memory() -> int:
    """Bytes of main memory that can be used without swapping, within the limit of a container."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used)
    except (OSError, ValueError):  # no such limit
        pass
    return max(0, free)
