"""The actor of a pool on Ray: a worker in a process of its own, on whatever node Ray has put it."""

import asyncio
import logging
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roleeval.engines.pool._line import Listener
from roleeval.engines.pool._wire import packed, unpacked
from roleeval.engines.pool._worker import Setting, Worker
from roleeval.errors import EngineError, RoleEvalError, cause_of


class RayWorker:
    """The actor: a worker in a process of its own."""

    def __init__(self, setting: bytes, secret: bytes, folder: str, modules: Sequence[str]) -> None:
        """Args: a pickled Setting, the pool's secret, and where the run's process works and finds its modules, as far
        as it is the same here."""
        if Path(folder).is_dir():  # relative paths mean here what they mean there
            os.chdir(folder)
        sys.path += [path for path in modules if path not in sys.path and Path(path).exists()]
        self._setting: Setting = pickle.loads(setting)  # noqa: S301 - from the run's own process, by way of Ray
        self._secret = secret
        self._worker: Worker | None = None
        self._listener: Listener | None = None
        self._notes = _Notes()
        logging.getLogger("roleeval").addHandler(self._notes)

    async def place(self) -> dict[str, Any]:
        """Where Ray has put it."""
        import ray

        context = ray.get_runtime_context()
        return {
            "node": ray.util.get_node_ip_address(),
            "node_id": context.get_node_id()[:12],
            "gpus": [str(each) for each in context.get_accelerator_ids().get("GPU", [])],
            "pid": os.getpid(),
        }

    async def load(self, share: int) -> tuple[int | None, str, bool]:
        """Loads the engine: scored length, or why it could not load and whether that is final."""
        try:
            self._worker = Worker(self._setting)
            return await self._worker.load(share), "", False
        except Exception as error:
            # A wrong configuration is wrong in each of its lives; a device or a memory may be free the next time.
            return None, cause_of(error), isinstance(error, RoleEvalError) and not isinstance(error, EngineError)

    async def listen(self) -> tuple[str, int]:
        """Waits for the pool's own line: host and port."""
        import ray

        assert self._worker is not None
        self._listener = Listener(self._worker, self._secret, self._notes.taken)
        host = ray.util.get_node_ip_address()
        return host, await self._listener.open(host)

    async def stay(self) -> None:
        """Never returns: the call fails when Ray knows that the worker is gone."""
        await asyncio.Event().wait()

    async def submit(self, *parts: bytes) -> None:
        """See Link; for workers without a line."""
        assert self._worker is not None
        self._worker.submit(*unpacked(b"".join(parts)))

    async def collect(self) -> bytes:
        """A Report; for workers without a line."""
        assert self._worker is not None
        return packed(replace(await self._worker.collect(), notes=self._notes.taken()))

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()


class _Notes(logging.Handler):
    """Keeps warnings for the run's process: an actor has no log that a user reads."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def taken(self) -> list[str]:
        """What has come since the last time."""
        texts, self._texts = self._texts, []
        return texts
