"""Where the output of vLLM's engine processes goes: into a file, so that a terminal shows one sentence of it.

<temporary folder>/roleeval-vllm-XXXXXXXX.log     removed when the engine is closed in good order
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

_VARIABLE = "ROLEEVAL_ENGINE_OUTPUT"


class Output:
    """The file."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="roleeval-vllm-", suffix=".log")
        os.close(handle)
        self.path = Path(name)

    def read(self) -> str:
        """What was written, as far as it is text."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Within, processes that vLLM starts write into the file.

        A process reads its place from the environment that it is started with (see `redirect`).
        """
        from vllm.v1.engine import utils

        usual: Callable[..., Any] = utils.get_mp_context  # see _compat.OUTPUT
        os.environ[_VARIABLE] = str(self.path)
        utils.get_mp_context = lambda *given, **named: _context(usual(*given, **named))
        try:
            yield
        finally:
            utils.get_mp_context = usual
            os.environ.pop(_VARIABLE, None)


def redirect() -> None:
    """In an engine's process: its output, and that of the processes it starts, goes into the file, if there is one."""
    name = os.environ.get(_VARIABLE)
    if not name:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


class _Spawned(SpawnProcess):
    def run(self) -> None:
        redirect()
        super().run()


class _Spawning(SpawnContext):
    Process = _Spawned


def _context(usual: Any) -> Any:
    """vLLM's way of starting a process, with the output redirected where it spawns one."""
    spawns = getattr(usual, "get_start_method", None)
    return _Spawning() if spawns is not None and spawns() == "spawn" else usual
