"""Loading a model in a thread of its own, so that the event loop continues: progress, other engines, Ctrl-C.

Not in asyncio's own threads: Python waits for those when it ends, and a load that was interrupted may take minutes.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T], *, name: str, stop: Callable[[], None] = lambda: None) -> T:
    """Runs blocking work and returns what it returns; the loop continues meanwhile.

    Args:
        work: what blocks.
        name: of the thread.
        stop: called where the waiting is cancelled; ends what the work has begun, as far as that can be done.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if future.done() else settle())

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            raised = error
            deliver(lambda: future.set_exception(raised))
        else:
            deliver(lambda: future.set_result(result))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        stop()
        raise
