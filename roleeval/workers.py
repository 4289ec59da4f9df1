"""One worker pool for everything that makes many calls: episodes, questions to a judge, lm-eval's documents."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from roleeval.errors import RoleEvalError

T = TypeVar("T")


async def in_flight(items: Iterable[T], work: Callable[[T], Awaitable[object]], *, most: int) -> None:
    """Keeps `most` items in flight until there are no more. Items are taken lazily, in order.

    Raises:
        RoleEvalError: the first one that `work` or `items` raised; all other work is cancelled.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(most):
                group.create_task(worker())
    except* RoleEvalError as errors:
        raise _first(errors) from None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
