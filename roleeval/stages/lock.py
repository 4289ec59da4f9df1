"""One process at a time on a result folder: another one that wants it waits, and says for whom.

    results/<benchmark>/<model>/.<hash of the run's name>.lock     there while a process works on the run

The lock goes with the process, however that ends; a file that a killed one left behind locks nothing.
"""

import asyncio
import errno
import fcntl
import logging
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from roleeval.errors import ResultError
from roleeval.hashing import digest

log = logging.getLogger("roleeval")

_AGAIN_S = 0.5
_HOLDER = re.compile(r"process (\d+) on (.*)")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EROFS, errno.EACCES, errno.EPERM)


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[None]:
    """Holds a result folder for this process; waits while another one does.

    Raises:
        ResultError: the lock's file cannot be written.
    """
    file = _lock_file(folder)
    handle = await _taken(file, folder)
    try:
        if handle is not None:
            _remove_parts(folder)
        yield
    finally:
        if handle is not None:
            file.unlink(missing_ok=True)  # before it is let go: whoever waits looks whether the file is still this one
            os.close(handle)


def holder(folder: Path) -> str:
    """Who works on a result folder, as far as can be seen without touching its lock: "process 12 on host", or ""."""
    try:
        said = _lock_file(folder).read_text(errors="replace")
    except OSError:
        return ""
    found = _HOLDER.fullmatch(said)
    if found is None or found[2] != socket.gethostname():
        return said  # of another machine: it is there as long as its file is
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:  # it was killed
        return ""
    except PermissionError:  # somebody else's
        return said
    return said


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f".{digest(folder.name)[:16]}.lock")


async def _taken(file: Path, folder: Path) -> int | None:
    """The open lock file; None where the file system has no locks or cannot be written."""
    waits = False
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None  # what is to be written will say so; what is only looked up works
            raise ResultError(f"{file}: could not be written ({error})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(file, handle):
                os.truncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
                return handle
        except BlockingIOError:
            if not waits:
                waits = True
                who = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
                log.warning("%s: %s works on this run; waiting until it is done (Ctrl-C to stop)", folder, who)
            os.close(handle)
            await asyncio.sleep(_AGAIN_S)
            continue
        except OSError as error:
            os.close(handle)
            if error.errno in _NO_LOCKS:
                log.warning("%s: no locks here (%s); do not run two commands on this run at once", file.parent, error)
                return None
            raise ResultError(f"{file}: could not be locked ({error})") from error
        os.close(handle)  # removed by who had it: take the new one


def _is(file: Path, handle: int) -> bool:
    try:
        return file.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _remove_parts(folder: Path) -> None:
    """Removes half-written files of runs that were killed; nobody else writes here now."""
    for pattern in (".*.part", ".*.unordered"):
        for part in folder.glob(pattern):
            part.unlink(missing_ok=True)
