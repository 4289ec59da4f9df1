"""Workers as Ray actors: where they are placed, how they are reached, and why they were lost, in one sentence.

Ray places the workers and says when one is gone; it neither queues nor retries, which the pool does. Messages go over a
line of their own (`_line.py`); where a worker cannot be reached that way, they are actor calls.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
import pickle
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from roleeval.engines.pool._actor import RayWorker
from roleeval.engines.pool._line import SECRET_BYTES, Line, connect
from roleeval.engines.pool._link import AnyRequest, Report, WorkerLostError
from roleeval.engines.pool._wire import packed, unpacked
from roleeval.engines.pool._worker import Setting
from roleeval.engines.taken import GPUS, Taken
from roleeval.errors import EngineError, cause_of

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
# Nothing of ours goes through Ray's object store; it takes no less.
_OBJECT_STORE = 100 * 2**20
# A message and its report cost the coordinator about 0.2 ms of a core (docs/scale.md), as actor calls 2 ms.
_PACE_S, _PACE_OF_ACTOR_CALLS_S = 0.002, 0.02
# Ray keeps an argument of more than 100 KiB in its object store, which costs more than several arguments.
_PART = 64 * 2**10
# Seconds for a cluster's head to take a connection.
_ANSWER_S = 10.0
# Ray's reason for a worker's end comes a moment after the end of its line.
_REASON_S = 10.0
_DETAIL = re.compile(r"(?:Worker exit detail|The actor died because|The actor is dead because|due to): *(?P<why>.+)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class RayTransport:
    """See the module. Nothing of Ray is imported before `open`."""

    pace_s = _PACE_S

    def __init__(
        self, setting: Setting, *, address: str | None, cpus: float, gpus: float | None, likely: int | None
    ) -> None:
        """Makes one that is not connected.

        Args:
            setting: what a worker is.
            address: of the cluster; None: this machine.
            cpus, gpus: that a worker takes; gpus None: what the engine inside says, none where the cluster has none.
            likely: how many workers there will be, if that is known.

        Raises:
            EngineError: no Ray is installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise EngineError('engine=pool needs Ray: pip install "roleeval[ray]"')
        # Ray reads these where it is imported, which vLLM may do before `open`.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # it prints the end of workers, which the pool reports
        if address is None:  # Ray's own way, on any system, to listen on the loopback address alone
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        self._setting, self._address = setting, address
        self._cpus, self._gpus, self._likely = cpus, gpus, likely
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._version = ""
        self._nodes = 0

    async def open(self) -> None:
        """See Transport. The loop waits meanwhile: Ray answers later questions only to the thread that started it."""
        try:
            with _signals_kept():
                self._connect()
        except Exception as error:
            where = f"the Ray cluster at {self._address}" if self._address else "Ray on this machine"
            raise EngineError(f"engine=pool: {where} cannot be used: {cause_of(error)}") from error

    def _connect(self) -> None:
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # what it says to everyone who connects
        self._version = ray.__version__
        if not ray.is_initialized():
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
            if self._address is None:
                ray.init(
                    address="local",  # not whatever cluster this machine happens to be in
                    _node_ip_address=_LOOPBACK,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE,
                    # What a worker has started ends with it; on a cluster its nodes are started so (docs/scale.md).
                    _system_config={"process_group_cleanup_enabled": True},
                    **quiet,
                )
            else:
                _require_answer(self._address)
                ray.init(address=self._address, **quiet)
        elif (used := ray.get_runtime_context().gcs_address) != self._address and ":" in (self._address or ""):
            raise EngineError(f"this process is connected to {used} already; one process uses one cluster")
        totals = ray.cluster_resources()
        self._nodes = sum(key.startswith("node:") and key != "node:__internal_head__" for key in totals)
        self._gpus = self._wanted_gpus(totals)

    def _wanted_gpus(self, totals: Mapping[str, float]) -> float:
        if self._gpus is not None:
            return self._gpus
        return getattr(self._setting.options, "gpus", 1) if totals.get("GPU") else 0

    @property
    def _needs(self) -> dict[str, float]:
        return {name: need for name, need in (("CPU", self._cpus), ("GPU", self._gpus or 0)) if need}

    def room(self) -> int:
        """See Transport. Counted over the whole cluster: a worker for which no single node has room waits."""
        import ray

        try:
            free = ray.available_resources()
        except Exception as error:  # the cluster's head is gone, or busy
            _log.debug("Ray does not say what is free: %s", cause_of(error))
            return 0
        return int(min(free.get(name, 0.0) / need + 1e-9 for name, need in self._needs.items()))

    def claims(self, most: int | None) -> Taken:
        """See Transport. What there is shows when some pool of this process has connected."""
        where = GPUS if self._address is None else f"the Ray cluster at {self._address}"
        if most is None:
            return Taken(where, 1.0)
        ray = sys.modules.get("ray")
        if ray is None or not ray.is_initialized():
            return Taken(where, None)
        totals = ray.cluster_resources()
        gpus = self._wanted_gpus(totals)
        needs = {name: need for name, need in (("CPU", self._cpus), ("GPU", gpus)) if need}
        shares = [most * need / totals[name] if totals.get(name) else 1.0 for name, need in needs.items()]
        return Taken(where, min(1.0, max(shares)))

    def lacking(self) -> str:
        """See Transport."""
        import ray

        total, free = ray.cluster_resources(), ray.available_resources()
        each = ", ".join(
            f"{need:g} {name} (the cluster has {total.get(name, 0):g}, of which {free.get(name, 0):g} are free)"
            for name, need in self._needs.items()
        )
        return f"each worker needs, on one node, {each}"

    async def launch(self, name: str, placed: Callable[[Mapping[str, Any]], None]) -> "RayLink":
        """See Transport."""
        import ray

        actor = (
            ray.remote(RayWorker)
            .options(
                num_cpus=self._cpus,
                num_gpus=self._gpus or 0,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            .remote(pickle.dumps(self._setting), self._secret, str(Path.cwd()), [path for path in sys.path if path])
        )
        link = RayLink(actor)
        try:
            place = await link.told(actor.place.remote())
            placed(place)
            length, error, final = await link.told(actor.load.remote(self._share))
            if error:
                raise WorkerLostError(f"it could not load: {error}", final=final)
            if length is not None:
                placed({**place, "scored_length": length})
            await self._connect_line(name, link)
        except BaseException:
            await link.close()
            raise
        return link

    async def _connect_line(self, name: str, link: "RayLink") -> None:
        host, port = await link.told(link.actor.listen.remote())
        try:
            link.use(await connect(host, port, self._secret))
        except OSError as error:
            self.pace_s = _PACE_OF_ACTOR_CALLS_S
            _log.info(
                "worker %s cannot be reached at %s:%d from here (%s): its messages go through Ray, which costs more CPU"
                " time in this process",
                name,
                host,
                port,
                cause_of(error),
            )

    @property
    def _share(self) -> int:
        """The workers that will share the chats in flight, as far as that can be said now."""
        import ray

        total = ray.cluster_resources()
        fit = int(min(total.get(name, 0.0) / need for name, need in self._needs.items()))
        return max(1, min(fit, self._likely or fit))

    async def close(self) -> None:
        """Ray itself stays until this process ends: other pools of it may use the same cluster."""

    def describe(self) -> Mapping[str, Any]:
        """See Transport."""
        where = "this machine" if self._address is None else self._address
        return {"ray": self._version, "cluster": where, "nodes": self._nodes, "each_worker": self._needs}


class RayLink:
    """A worker in an actor.

    Attributes:
        actor: Ray's handle of it.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self._line: Line | None = None
        self._end: asyncio.Task[Any] | None = None

    def use(self, line: Line) -> None:
        """Messages go over a line from now on; the end of the actor, which Ray may know first, ends the line."""
        self._line = line
        self._end = asyncio.create_task(self.told(self.actor.stay.remote()))
        self._end.add_done_callback(lambda end: None if end.cancelled() else line.fail(_error_of(end)))

    def submit(self, calls: Sequence[tuple[int, AnyRequest]], cancelled: Sequence[int], every_s: float) -> None:
        """See Link."""
        if self._line is not None:
            self._line.send((calls, cancelled, every_s))
            return
        message = packed((calls, cancelled, every_s))
        # A dead actor shows in `collect`.
        with contextlib.suppress(Exception):
            self.actor.submit.remote(*(message[at : at + _PART] for at in range(0, len(message), _PART)))

    async def collect(self) -> Report:
        """See Link."""
        if self._line is None:
            report: Report = unpacked(await self.told(self.actor.collect.remote()))
            return report
        try:
            report = await self._line.receive()
        except (OSError, EOFError):
            raise await self._reason() from None
        return report

    async def _reason(self) -> WorkerLostError:
        """Why the line ended: what Ray says."""
        assert self._end is not None
        await asyncio.wait([self._end], timeout=_REASON_S)
        return _error_of(self._end) if self._end.done() else WorkerLostError("the connection to it broke")

    async def told(self, reference: Any) -> Any:
        """What an actor call returns.

        Raises:
            WorkerLostError: the actor is gone, or the call failed.
        """
        import ray

        try:
            return await reference
        except ray.exceptions.RayActorError as error:
            raise lost(str(error)) from error
        except ray.exceptions.RayError as error:
            raise WorkerLostError(cause_of(error)) from error

    async def close(self) -> None:
        """Kills the actor; what its engine has started ends with it."""
        import ray

        if self._end is not None:
            self._end.cancel()
        if self._line is not None:
            self._line.close()
        with contextlib.suppress(Exception):
            ray.kill(self.actor)


def _error_of(end: asyncio.Task[Any]) -> WorkerLostError:
    """What the call that never returns has ended with."""
    error = None if end.cancelled() else end.exception()
    return error if isinstance(error, WorkerLostError) else WorkerLostError(f"Ray has lost it: {error}")


def _require_answer(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there, and hears no signal meanwhile.

    Raises:
        EngineError: nothing listens at the address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # "auto", or what Ray finds fault with
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except OSError as error:
        raise EngineError(f"nothing answers there ({cause_of(error)})") from error


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself, which is ours: a batch system's preemption ends a run cleanly."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def lost(said: str) -> WorkerLostError:
    """What Ray says of an actor that is gone, in one sentence."""
    lines = [line.strip() for line in _ANSI.sub("", said).splitlines() if line.strip()]
    found = _DETAIL.search("\n".join(lines))
    why = found["why"] if found else "".join(lines[:1]) or "no cause given"
    if "creation task" in said:  # a traceback, whose last line is the error
        why = lines[-1]
    why = why.partition(" Some common causes")[0].rstrip(".")
    node = re.search(r"\bnode\b.*\b(?:died|dead|terminated|preempted|lost)\b", said, re.IGNORECASE) is not None
    return WorkerLostError(" ".join(why.split())[:300], excused=node)
