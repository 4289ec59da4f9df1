"""What a process keeps: one event loop, the engines loaded on it, the open stores.

An engine belongs to one event loop, so all jobs of a sweep run on the same one and share engines.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from roleeval.config import RunOptions, checked
from roleeval.engines import (
    Budget,
    BudgetOptions,
    CompletionStore,
    Engine,
    EngineOptions,
    Loaded,
    LoraNeed,
    ModelSource,
    Price,
    StoredEngine,
    Usage,
    is_elsewhere,
    price_of,
)
from roleeval.errors import AdapterError
from roleeval.hashing import digest
from roleeval.identity import class_name
from roleeval.models import PersonaModel, lora_need

_log = logging.getLogger(__name__)

T = TypeVar("T")
NAMED = 5  # adapters that one error names


class Runtime:
    """Owns the loop, the engines and the stores of a process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._job: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._engines: dict[str, tuple[Engine, LoraNeed]] = {}
        self._expected: dict[str, LoraNeed] = {}
        self._loaded = Loaded()
        self._stores: dict[Path, CompletionStore] = {}
        self._budgets: dict[BudgetOptions, Budget] = {}

    def execute(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs a job on the process's loop. Ctrl-C and `interrupt` cancel it and raise KeyboardInterrupt."""

        async def known() -> T:
            self._job = asyncio.current_task()
            asyncio.get_running_loop().set_exception_handler(_unheard)
            return await job()

        try:
            return self._runner.run(known())
        except asyncio.CancelledError:
            if self._interrupted:
                raise KeyboardInterrupt from None
            raise
        finally:
            self._job, self._interrupted = None, False

    def interrupt(self) -> bool:
        """Cancels the job that is running, from a signal's handler; False where there is none.

        As asyncio does it for SIGINT, which a job in the background of a script ignores.
        """
        if self._job is None:
            return False
        self._interrupted = True
        self._runner.get_loop().call_soon_threadsafe(self._job.cancel)
        return True

    def expect(self, *asked: tuple[EngineOptions, PersonaModel]) -> None:
        """Says ahead which models one job asks together, so that one engine load serves all jobs of a sweep."""
        together: dict[str, list[PersonaModel]] = {}
        for options, model in asked:
            together.setdefault(_key(options, model.source), []).append(model)
        for key, models in together.items():
            self._expected[key] = self._expected.get(key, LoraNeed()).union(lora_need(*models))

    async def engine(self, options: EngineOptions, model: PersonaModel) -> Engine:
        """The engine for a model: shared between models with the same base and options; it loads when first asked."""
        self.expect((options, model))
        key = _key(options, model.source)
        need = self._expected[key]
        known = self._engines.get(key)
        if known is not None and known[1].covers(need):
            return known[0]
        if known is not None:
            await self._loaded.close(known[0])
        engine = _complete(options.build(model.source, need), options)
        self._engines[key] = (engine, need)
        return engine

    async def ready(self, options: EngineOptions, model: PersonaModel) -> Engine:
        """The engine for a model, after every adapter was checked: it may be asked. Loads nothing.

        Raises:
            AdapterError: the engine cannot serve one of the model's adapters; several are named together.
        """
        engine = await self.engine(options, model)
        adapters, refused = model.adapters(), []
        for adapter in adapters:
            try:
                engine.check(adapter)
            except AdapterError as error:
                refused.append(str(error))
        if len(refused) > 1:
            more = f"; and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
            named = "; ".join(refused[:NAMED])
            raise AdapterError(f"{len(refused)} of {len(adapters)} adapters cannot be served: {named}{more}")
        if refused:
            raise AdapterError(refused[0])
        return engine

    async def stored(
        self,
        options: EngineOptions,
        model: PersonaModel,
        run: RunOptions,
        usage: Usage | None = None,
        *,
        prices: Mapping[str, Price] | None = None,
        kind: type[StoredEngine] = StoredEngine,
    ) -> StoredEngine:
        """The same behind a run's store.

        Args:
            options: of the engine.
            model: the model that is asked.
            run: says where the store is, and what calls may cost.
            usage: what calls are counted into; None is a new one.
            prices: further ones than the run's.
            kind: what is made.

        Raises:
            AdapterError: see `ready`.
            ConfigError: there is a budget, and nothing says what the model's calls cost.
        """
        elsewhere = is_elsewhere(options)
        price = price_of(model.source.path, {**run.prices, **(prices or {})}, budget=run.budget, elsewhere=elsewhere)
        engine = await self.ready(options, model)
        return kind(engine, self.store(run), usage, budget=self.budget(run), price=price, loaded=self._loaded)

    def budget(self, options: RunOptions) -> Budget:
        """What the command may spend: one for all of its jobs that have the same limits."""
        return self._budgets.setdefault(options.budget, Budget(options.budget))

    def store(self, options: RunOptions) -> CompletionStore:
        """The completion store of a run, opened once."""
        path = Path(options.store) if options.store else Path(options.results_dir) / ".store" / "completions.sqlite"
        store = self._stores.get(path)
        if store is None:
            store = self._stores[path] = CompletionStore(path)
        return store

    def close(self) -> None:
        """Frees engines and stores."""
        for engine, _ in self._engines.values():
            self._runner.run(engine.close())
        self._engines.clear()
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        self._runner.close()


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio says of errors that nobody waits for any more: for the log file, never for the terminal."""
    _log.debug("asyncio: %s", context.get("message"), exc_info=context.get("exception"))


def _complete(engine: Any, options: EngineOptions) -> Engine:
    """An engine that has all that is asked of engines; what scores texts is needed where it says that it can."""
    without = () if getattr(engine, "likelihoods", False) else ("likelihood", "scored_length")
    found: Engine = checked(engine, Engine, f"engine: {class_name(type(options))}.build", without=without)
    return found


def _key(options: EngineOptions, source: ModelSource) -> str:
    return digest(class_name(type(options)), asdict(options), asdict(source))  # type: ignore[call-overload]
