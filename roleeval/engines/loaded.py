"""The engines that are loaded, who has them open, and how the next one gets room."""

import asyncio
import logging

from roleeval.engines._protocol import Engine
from roleeval.engines.taken import fit, taken_by

_log = logging.getLogger(__name__)


class Loaded:
    """Loads engines one after the other: vLLM measures a GPU's free memory while it loads.

    An engine that nobody has open stays loaded, for the next job of a sweep, until another one needs its room.
    """

    def __init__(self) -> None:
        self._engines: dict[int, Engine] = {}  # by id, the one that was opened last at the end
        self._users: dict[int, set[int]] = {}
        self._loading = asyncio.Lock()

    async def open(self, engine: Engine, user: object) -> None:
        """Loads an engine for a user, and closes idle ones that leave no room for it.

        Raises:
            EngineError: it cannot load.
        """
        key = id(engine)
        if id(user) in self._users.get(key, ()):  # almost always: each call asks
            await engine.start()
            return
        if taken_by(engine) is None:
            self._users.setdefault(key, set()).add(id(user))
            await engine.start()
            return
        async with self._loading:
            if key not in self._engines:
                await self._make_room(engine)
            self._engines[key] = self._engines.pop(key, engine)
            self._users.setdefault(key, set()).add(id(user))
            try:
                await engine.start()
            except BaseException:
                self.leave(engine, user)
                if not self._users[key]:
                    del self._engines[key]
                raise

    def leave(self, engine: Engine, user: object) -> None:
        """The user asks nothing more."""
        self._users.get(id(engine), set()).discard(id(user))

    async def close(self, engine: Engine) -> None:
        """Closes an engine, whoever has it open."""
        self._engines.pop(id(engine), None)
        self._users.pop(id(engine), None)
        await engine.close()

    async def _make_room(self, engine: Engine) -> None:
        wanted = taken_by(engine)
        assert wanted is not None
        beside = [other for other in self._engines.values() if (of := taken_by(other)) and of.of == wanted.of]
        idle = [other for other in beside if not self._users.get(id(other))]
        while idle and not fit([engine, *beside], unknown=1.0):
            other = idle.pop(0)
            beside.remove(other)
            _log.info("an idle engine is closed: another one needs its share of %s", wanted.of)
            await self.close(other)
