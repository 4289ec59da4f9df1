"""A line of its own between a pool and a worker: a TCP connection, for messages in both directions.

One of Ray's messages costs the coordinator 1 to 2 ms of a core, one of these about 0.2 ms (docs/scale.md). Whoever
connects shows the pool's secret, which Ray has brought to the worker, before anything that it says is read.
"""

import asyncio
import hmac
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from roleeval.engines.pool._wire import packed, unpacked
from roleeval.engines.pool._worker import Worker

SECRET_BYTES = 32
_LENGTH = struct.Struct(">Q")
_BUFFER = 2**20
# Seconds for a connection to be made, and for the secret to be shown.
_CONNECT_S = 5.0


class Line:
    """One end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, message: object) -> None:
        """Sends a message, without waiting; on a line that is broken it is dropped."""
        content = packed(message)
        self._writer.write(_LENGTH.pack(len(content)) + content)

    async def receive(self) -> Any:
        """The next message of the other end.

        Raises:
            ConnectionError, EOFError: the line is broken; or whatever `fail` was given.
        """
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        return unpacked(await self._reader.readexactly(length))

    async def drained(self) -> None:
        """Waits until the other end takes what was sent.

        Raises:
            ConnectionError: the line is broken.
        """
        await self._writer.drain()

    def fail(self, error: Exception) -> None:
        """Lets `receive` raise an error: it is known from elsewhere that nothing more will come."""
        self._reader.set_exception(error)

    def close(self) -> None:
        """Ends it; may be called when it is broken."""
        self._writer.close()


async def connect(host: str, port: int, secret: bytes) -> Line:
    """Connects to a worker.

    Raises:
        OSError: it cannot be reached from here.
    """
    connecting = asyncio.open_connection(host, port, limit=_BUFFER)
    reader, writer = await asyncio.wait_for(connecting, _CONNECT_S)  # TimeoutError is an OSError
    writer.write(secret)
    return Line(reader, writer)


class Listener:
    """The worker's end: waits for the pool."""

    def __init__(self, worker: Worker, secret: bytes, notes: Callable[[], Sequence[str]] = tuple) -> None:
        """`notes`: what its reports are to say beside the worker's own news."""
        self._worker, self._secret, self._notes = worker, secret, notes
        self._server: asyncio.Server | None = None

    async def open(self, host: str) -> int:
        """Listens on one of this machine's addresses; the port."""
        self._server = await asyncio.start_server(self._talk, host, 0, limit=_BUFFER)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            shown = await asyncio.wait_for(reader.readexactly(SECRET_BYTES), _CONNECT_S)
            if hmac.compare_digest(shown, self._secret):
                await self._serve(Line(reader, writer))
        except (OSError, EOFError):  # the pool is gone, or it was somebody else
            pass
        finally:
            writer.close()

    async def _serve(self, line: Line) -> None:
        both = [asyncio.ensure_future(self._read(line)), asyncio.ensure_future(self._report(line))]
        try:
            await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()

    async def _read(self, line: Line) -> None:
        while True:
            self._worker.submit(*await line.receive())

    async def _report(self, line: Line) -> None:
        while True:
            line.send(replace(await self._worker.collect(), notes=self._notes()))
            await line.drained()
