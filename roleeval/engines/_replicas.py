"""Chooses the copy of a model that serves a request: requests that share a prefix stay on one copy."""

from collections.abc import Iterator
from contextlib import contextmanager

# A copy may have so many more requests in flight than the idlest one before its requests go there.
_SLACK = 16


class Replicas:
    """Counts the requests in flight on each copy. A key's home is the copy that was idlest when the key first came."""

    def __init__(self, count: int) -> None:
        """Makes one for `count` copies."""
        self._under_way = [0] * count
        self._homes: dict[str, int] = {}

    @contextmanager
    def serving(self, key: str) -> Iterator[int]:
        """Counts one request while it is served.

        Args:
            key: of requests that share a prefix or an adapter; "" for none.

        Yields:
            The number of the copy that is to serve it: the key's home, or the idlest one if the home is too busy.
        """
        if len(self._under_way) == 1:
            yield 0
            return
        idlest = self._under_way.index(min(self._under_way))
        chosen = self._homes.setdefault(key, idlest) if key else idlest
        if self._under_way[chosen] - self._under_way[idlest] > _SLACK:
            chosen = idlest
        self._under_way[chosen] += 1
        try:
            yield chosen
        finally:
            self._under_way[chosen] -= 1
