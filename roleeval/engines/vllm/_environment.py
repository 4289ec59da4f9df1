"""Settings that vLLM reads from the environment: given per engine, set while it starts, then restored.

vLLM's processes inherit the environment at their start; nothing that determines a text is read later.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from roleeval.errors import ConfigError
from roleeval.secrets import secret_name, secret_value, shown

_PREFIX = "VLLM_"
# Logs, places, ports, waiting times and memory: no text depends on them. Everything else may change one.
_NO_TEXT = re.compile(
    r"VLLM_(?:LOG.*|CONFIGURE_LOGGING|DEBUG_LOG.*|DISABLE_LOG_LOGO|(?:NO_)?USAGE_.*|DO_NOT_TRACK|.*_CACHE_ROOT|CACHE_ROOT"
    r"|CONFIG_ROOT|ASSETS_CACHE|HOST_IP|LOOPBACK_IP|PORT|RPC_.*|DP_MASTER_.*|.*_TIMEOUT(?:_S|_SECONDS|_MS)?"
    r"|CPU_KVCACHE_SPACE|CPU_OMP_THREADS_BIND|CPU_NUM_OF_RESERVED_CPU|WORKER_MULTIPROC_METHOD|TARGET_DEVICE)"
)
# Part of every fingerprint by its effect, wherever it comes from (see `batch_invariant`).
_INVARIANT = "VLLM_BATCH_INVARIANT"
_THREADS = "OMP_NUM_THREADS"
# Engines start in threads; the environment is the process's.
_CHANGING = threading.Lock()


def checked(given: Mapping[str, object]) -> dict[str, str]:
    """The option engine.env as texts: true and false are 1 and 0.

    Raises:
        ConfigError: a name is not one of vLLM's, or a value may be a secret; the value is not repeated.
    """
    for name, value in given.items():
        if not re.fullmatch(rf"{_PREFIX}[A-Z0-9_]+", name):
            raise ConfigError(f"engine.env.{name}: not a setting of vLLM; names here start with {_PREFIX}")
        if secret_name(name) or secret_value(value):
            raise ConfigError(
                f"engine.env.{name}: may be a secret, which would end up in result folders; export it in the shell"
                " instead"
            )
    return {name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in given.items()}


def batch_invariant(given: Mapping[str, str]) -> bool:
    """Whether vLLM will use kernels whose sums do not depend on the batch."""
    return (os.environ | dict(given)).get(_INVARIANT) == "1"


def may_change_texts(name: str) -> bool:
    """Whether a setting may change what a model writes, as far as its name says."""
    return not _NO_TEXT.fullmatch(name)


def of_texts(given: Mapping[str, str]) -> dict[str, str]:
    """Those of an engine's given settings that may change a text, `batch_invariant`'s apart."""
    return {name: value for name, value in given.items() if may_change_texts(name) and name != _INVARIANT}


def unnamed(given: Mapping[str, str]) -> list[str]:
    """Settings found in the process's environment that may change a text and that no fingerprint holds."""
    return sorted(name for name in of_texts(_found()) if name not in given)


def in_force(given: Mapping[str, str]) -> dict[str, str]:
    """All of vLLM's settings, found and given, for the manifest; what may be a secret is masked."""
    return {name: shown(value, name=name) for name, value in sorted((_found() | dict(given)).items())}


def _found() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


@contextmanager
def applied(given: Mapping[str, str], defaults: Mapping[str, str], *, copies: int) -> Iterator[None]:
    """Puts settings into the environment; at the end all of vLLM's are as they were before.

    Also those that vLLM itself sets for a model (a layout, a kernel): they are not meant for the next engine's.

    Args:
        given: win over what is set.
        defaults: only where nothing is set.
        copies: of the model; with several, each one's process gets its share of the cores, as it takes its number of
            threads from the environment.
    """
    with _CHANGING:
        yield from _changed(given, defaults, copies)


def _changed(given: Mapping[str, str], defaults: Mapping[str, str], copies: int) -> Iterator[None]:
    before = _found()
    shared = copies > 1 and _THREADS not in os.environ
    os.environ.update({name: value for name, value in defaults.items() if name not in before} | dict(given))
    if shared:
        os.environ[_THREADS] = str(max(1, len(os.sched_getaffinity(0)) // copies))
    try:
        yield
    finally:
        for name in [*_found(), *([_THREADS] if shared else [])]:
            del os.environ[name]
        os.environ.update(before)
