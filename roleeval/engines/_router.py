"""Chooses who serves a request: what shares an adapter or a conversation stays together, and nobody is flooded.

One router for the copies of a model in vLLM, for the URLs of the openai engine and for the workers of a pool. It knows
names and numbers of requests, nothing else, and the same calls give the same choices.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Key = tuple[str, str]

# A worker may have so many more requests than the idlest one before its requests go there; fewer where the idlest one
# has hardly any.
SLACK = 16
_LEAST_SLACK = 2
# Conversations whose worker is remembered; the one that was longest not heard of is forgotten first.
_REMEMBERED = 20_000


class Router(Generic[Name]):
    """Counts the requests of each worker.

    A conversation is leased to a worker with its first request and stays there. Conversations with the same group (an
    adapter) begin on workers that have served the group before. Both move where a worker falls behind.

    Attributes:
        moves: conversations that went on with another worker.
        adoptions: times that a worker was given a group that it had not served.
    """

    def __init__(self, workers: Iterable[Name] = (), *, slack: int = SLACK, outlasting: bool = False) -> None:
        """Makes one.

        Args:
            workers: the first of them.
            slack: requests that a worker may have more than the idlest one.
            outlasting: the workers are servers that outlast this process and serve others too. A conversation's place
                is then found from the names (rendezvous hashing: a server that comes or goes moves nothing between
                the others), so that a resumed run finds its prefixes. Equally busy ones take turns; otherwise the
                one that was busy last is asked again.
        """
        self._slack = slack
        self._outlasting = outlasting
        # What a worker would have with one request more, weighed.
        self._loads: dict[Name, int] = {}
        self._weights: dict[Name, int] = {}
        # The workers with such a load, in the order in which they came to have it.
        self._by_load: dict[int, dict[Name, None]] = {}
        self._least = 1
        self._groups: dict[str, dict[Name, None]] = {}
        self._leases: OrderedDict[Key, Name] = OrderedDict()
        self.moves = self.adoptions = 0
        for name in workers if outlasting else reversed(list(workers)):
            self.join(name)

    def __contains__(self, name: object) -> bool:
        return name in self._loads

    def join(self, name: Name) -> None:
        """A worker is ready."""
        self._loads[name] = self._weights[name] = self._least = 1
        self._by_load.setdefault(1, {})[name] = None

    def leave(self, name: Name) -> None:
        """A worker is gone, with its requests and all that it had of adapters and prefixes."""
        load = self._loads.pop(name)
        del self._weights[name]
        self._remove(name, load)
        for members in self._groups.values():
            members.pop(name, None)

    def load(self, name: Name) -> int:
        """Requests of one worker, each as many times as the worker is slower than others."""
        return self._loads[name] - self._weights[name]

    def weigh(self, name: Name, weight: int) -> None:
        """Says how many times slower than the usual one a worker is; each of its requests counts as many."""
        before = self._weights[name]
        if weight != before:
            self._weights[name] = weight
            self._change(name, self._loads[name] // before * (weight - before))

    def idlest(self) -> Name | None:
        """A worker with the fewest requests; None without any worker."""
        return self._next_of(self._by_load[self._least]) if self._loads else None

    def _next_of(self, names: dict[Name, None]) -> Name:
        return next(iter(names) if self._outlasting else reversed(names))

    def choose(self, conversation: str = "", *, group: str = "", among: Collection[Name] | None = None) -> Name | None:
        """The worker for a request; `begin` counts it.

        Args:
            conversation: requests that share a prefix; "" for none.
            group: requests that share an adapter; "" for none.
            among: the workers that may be asked now; None: all.

        Returns:
            None where there is none.
        """
        idlest = self.idlest() if among is None else self._idlest_of(among)
        if idlest is None:
            return None
        key = (group, conversation)
        home = self._leases.get(key) if conversation else None
        if home is not None:
            self._leases.move_to_end(key)
        there = home in self._loads if among is None else home in among
        if home is not None and there and not self._behind(home, idlest):
            return home
        if self._outlasting and conversation and home is None:
            return self._hashed(key, idlest, among)
        chosen = self._of_group(group, idlest) if group else idlest
        # A server that is down for the moment keeps its conversations.
        if conversation and (there or not self._outlasting):
            self.lease(conversation, chosen, group=group)
        elif group:
            self._served(group, chosen)
        return chosen

    def lease(self, conversation: str, name: Name, *, group: str = "") -> None:
        """Gives a conversation to a worker, from the one that had it."""
        key = (group, conversation)
        before = self._leases.get(key)
        self.moves += before is not None and before != name
        self._leases[key] = name
        self._leases.move_to_end(key)
        if len(self._leases) > _REMEMBERED:
            self._leases.popitem(last=False)
        if group:
            self._served(group, name)

    def begin(self, name: Name) -> None:
        """A worker has one request more."""
        self._change(name, self._weights[name])

    def end(self, name: Name) -> None:
        """A worker has one request less; one that has left has none."""
        if name in self._loads:
            self._change(name, -self._weights[name])

    @contextmanager
    def serving(self, conversation: str = "", *, group: str = "") -> Iterator[Name]:
        """Chooses one of workers that stay, and counts one request while it is served.

        Raises:
            LookupError: there is no worker.
        """
        alone = len(self._loads) == 1  # nothing to remember
        chosen = next(iter(self._loads)) if alone else self.choose(conversation, group=group)
        if chosen is None:
            raise LookupError("no worker")
        self.begin(chosen)
        try:
            yield chosen
        finally:
            self.end(chosen)

    def _behind(self, name: Name, idlest: Name) -> bool:
        slack = self._slack if self._outlasting else min(self._slack, max(_LEAST_SLACK, self._loads[idlest]))
        return self._loads[name] - self._loads[idlest] > slack

    def _of_group(self, group: str, idlest: Name) -> Name:
        """The least busy worker that has served a group, or the idlest one where all of those are behind."""
        members = self._groups.get(group, {})
        if not members or idlest in members:
            return idlest
        best = min(members, key=self._loads.__getitem__)
        return idlest if self._behind(best, idlest) else best

    def _served(self, group: str, name: Name) -> None:
        members = self._groups.setdefault(group, {})
        self.adoptions += name not in members
        members[name] = None

    def _hashed(self, key: Key, idlest: Name, among: Collection[Name] | None) -> Name:
        text = key[1] if not key[0] else "\0".join(key)
        chosen = max(
            self._loads if among is None else among,
            key=lambda name: hashlib.sha256(f"{text}\0{name}".encode()).digest(),
        )
        if not self._behind(chosen, idlest):
            return chosen
        self.lease(key[1], idlest, group=key[0])
        return idlest

    def _idlest_of(self, among: Collection[Name]) -> Name | None:
        if not among:
            return None
        least = min(self._loads[name] for name in among)
        return self._next_of({name: None for name in self._by_load[least] if name in among})

    def _change(self, name: Name, by: int) -> None:
        if by == 0:
            return
        load = self._loads[name]
        self._loads[name] = load + by
        self._by_load.setdefault(load + by, {})[name] = None
        self._least = min(self._least, load + by)
        self._remove(name, load)

    def _remove(self, name: Name, load: int) -> None:
        names = self._by_load[load]
        del names[name]
        if not names:
            del self._by_load[load]
            if load == self._least:
                self._least = min(self._by_load, default=1)
