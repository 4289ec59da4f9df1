"""A faster start of vLLM's engine process on the CPU.

vLLM spawns it, and it then imports everything that this process has just imported: half of the start (docs/speed.md).
Here a server process imports vLLM while this process does the same, on another core, and is forked for the engine. No
Python code has threads there, unlike here, so that forking it is safe. On GPUs vLLM's own start is used.
"""

import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from roleeval.engines.vllm._output import redirect

_IMPORTED = ["vllm.v1.engine.core", "vllm.v1.engine.async_llm", "roleeval.engines.vllm.cpu.worker"]
# Beside site-packages: what vLLM preloads into its processes on the CPU, one of each kind.
_PRELOADED = (("vllm/libs/libtcmalloc*.so*",), ("torch.libs/libgomp*.so*", "torch/lib/libgomp*.so*"))


class _Process(ForkServerProcess):
    """A fork of the server, with the environment of the process that asked for it, that does not outlive that one."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._environment = dict(os.environ)

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        redirect()
        super().run()


def _end_with_parent() -> None:
    # vLLM's own process would continue its requests, and keep its memory for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Context(ForkServerContext):
    Process = _Process


def import_ahead() -> None:
    """Starts the server, which begins to import vLLM; to be called before this process does. Later calls do nothing."""
    given = os.environ.get("LD_PRELOAD", "")
    os.environ["LD_PRELOAD"] = ":".join(filter(None, [*(file for file in _libraries() if file not in given), given]))
    multiprocessing.get_context("forkserver").set_forkserver_preload(_IMPORTED)
    forkserver.ensure_running()


@contextmanager
def forked() -> Iterator[None]:
    """Within, vLLM forks the server for its engine process instead of spawning one."""
    from vllm.v1.engine import utils

    spawned = utils.get_mp_context
    utils.get_mp_context = lambda *_, **__: _Context()  # see _compat.OURS
    try:
        yield
    finally:
        utils.get_mp_context = spawned


def _libraries() -> list[str]:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return []  # importing vLLM will say so
    site = Path(found.origin).parent.parent
    kinds = [[str(file) for pattern in patterns for file in site.glob(pattern)] for patterns in _PRELOADED]
    return [files[0] for files in kinds if files]
