"""Durable completions in front of any engine: one SQLite file that survives kill -9.

    <results>/.store/completions.sqlite     completions(key, value, checksum), served(engine, fact, value); WAL mode

The key is a hash of everything that determines a text. A completion is committed before anyone sees it, so a run that
is killed at any moment resumes without losing or repeating a call. Commits are grouped: all completions that arrive in
one turn of the event loop share a transaction. With synchronous=NORMAL a commit survives the death of the process; a
power failure may lose the newest commits, which are then requested again, but never corrupts the file.

For engines behind a network the store also keeps what their servers reported about the weights, next to the texts:
a server that reports something else later is noticed.
"""

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from roleeval.engines._entries import Answer, checksum_of, decoded, encoded
from roleeval.engines._protocol import Engine, Holds, Measures, Renders, ServedElsewhere
from roleeval.errors import EngineDeadError, StoreError, cause_of
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Message, Request

_log = logging.getLogger(__name__)

# Raise when the key's or the value's layout changes: older entries then simply miss.
_FORMAT = 1
_APPLICATION_ID = 0x726F6C65  # "role"


def request_key(engine_fingerprint: str, request: Request, prompt: tuple[str, ...] = ()) -> bytes:
    """SHA-256 of all that determines a request's text.

    Priority and affinity are left out: they say when and where a request is served, not what comes back.

    Args:
        engine_fingerprint: of the engine.
        request: what is asked.
        prompt: what else determines the prompt (Renders.prompt_key).
    """
    sampling = request.sampling
    parts = [
        _FORMAT,
        engine_fingerprint,
        request.adapter.fingerprint if request.adapter else None,
        _chat(request.messages),
        request.prompt,
        request.prefill,
        request.json_schema,
        (
            sampling.temperature,
            sampling.top_p,
            sampling.top_k,
            sampling.repetition_penalty,
            sampling.max_tokens,
            sampling.stop,
        ),
        request.seed,
        request.attempt,
        request.scope,
        *(["prompt_special_tokens"] if request.prompt_special_tokens else []),
        *([["prompt", *prompt]] if prompt else []),
    ]
    return hashlib.sha256(orjson.dumps(parts)).digest()


def likelihood_key(engine_fingerprint: str, request: LikelihoodRequest, prompt: tuple[str, ...] = ()) -> bytes:
    """SHA-256 of all that determines a text's likelihood; never that of a request for a completion."""
    parts = [
        "likelihood",
        _FORMAT,
        engine_fingerprint,
        request.adapter.fingerprint if request.adapter else None,
        _chat(request.messages),
        request.prompt,
        request.prompt_tokens,
        request.prompt_special_tokens,
        request.continuation,
        *([["prompt", *prompt]] if prompt else []),
    ]
    return hashlib.sha256(orjson.dumps(parts)).digest()


def _chat(messages: tuple[Message, ...] | None) -> list[tuple[str, str]] | None:
    return None if messages is None else [(m.role, m.content) for m in messages]


class CompletionStore:
    """The SQLite file. Belongs to one event loop; several processes may share the file on a local disk."""

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        """Opens or creates the file.

        Raises:
            StoreError: the file is corrupt, locked, of another program, or cannot be written.
        """
        self._path = path
        self._pending: dict[bytes, _Pending] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
            self._prepare()
            self._inode = path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    def _prepare(self) -> None:
        db = self._db
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != _APPLICATION_ID and tables:
            raise StoreError(f"{self._path}: a database of another program; set store=FILE to another file")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if owner != _APPLICATION_ID:
            db.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        db.execute(
            "CREATE TABLE IF NOT EXISTS completions (key BLOB PRIMARY KEY, value BLOB NOT NULL, checksum BLOB NOT NULL)"
        )
        db.execute(
            "CREATE TABLE IF NOT EXISTS served (engine TEXT, fact TEXT, value TEXT, PRIMARY KEY (engine, fact, value))"
        )

    def get(self, key: bytes, kind: type[Answer]) -> Answer | None:
        """Returns what is stored under a key, or None.

        A damaged entry is dropped with a warning: its text is then asked for again, and all others stay.

        Args:
            key: of `request_key` or `likelihood_key`.
            kind: the type of the answers under that kind of key.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            row = self._db.execute("SELECT value, checksum FROM completions WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            if (answer := decoded(key, row[0], row[1], kind)) is not None:
                return answer
            self._db.execute("DELETE FROM completions WHERE key = ? AND checksum IS ?", (key, row[1]))
        except sqlite3.Error as error:
            raise self._explain(error) from error
        _log.warning(
            "%s: the entry %s does not match its checksum; it is deleted and requested again. Check the disk",
            self._path,
            key.hex()[:16],
        )
        return None

    async def put(self, key: bytes, answer: Answer) -> Answer:
        """Stores an answer and returns what is stored under the key once it is durable.

        Where another process stored one first, that one stays and is returned: a key has one answer for ever.

        Raises:
            EngineError: the answer is nothing that can be kept (half a surrogate pair, a count beyond 64 bits).
            StoreError: it could not be written (disk full, locked, corrupt).
        """
        value = encoded(answer)
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._flush)
        future: asyncio.Future[Answer] = loop.create_future()
        self._pending[key] = _Pending(answer, value, future)
        return await future

    def _flush(self) -> None:
        """Writes what is pending in one transaction; every waiter gets its answer or the cause, whatever happens."""
        pending, self._pending = self._pending, {}
        stored: dict[bytes, Completion | Likelihood] = {}
        try:
            self._require_the_file()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for key, each in pending.items():
                    stored[key] = self._insert(key, each)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite has ended it itself where the disk is full
                    self._db.execute("ROLLBACK")
                raise
        except Exception as error:
            reason = error if isinstance(error, StoreError) else self._explain(error)
            for each in pending.values():
                if not each.future.done():
                    each.future.set_exception(reason)
            return
        for key, each in pending.items():
            if not each.future.done():  # cancelled while it waited; the text is kept all the same
                each.future.set_result(stored[key])

    def _require_the_file(self) -> None:
        # SQLite continues to write to a file that has no name any more.
        try:
            there = self._path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise StoreError(
                f"{self._path}: deleted or replaced while this run writes to it, so its answers would be lost; run the"
                " same command again"
            )

    def _insert(self, key: bytes, pending: "_Pending") -> Completion | Likelihood:
        answer, value = pending.answer, pending.value
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?)", (key, value, checksum_of(key, value))
        )
        if cursor.rowcount == 1:
            return answer
        first: Completion | Likelihood | None = self.get(key, type(answer))  # type: ignore[type-var]
        # None: the existing entry was damaged and has just been deleted
        return self._insert(key, pending) if first is None else first

    def remember(self, engine: str, facts: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str, str]]:
        """Keeps what is said of an engine's weights.

        Args:
            engine: its fingerprint.
            facts: fact -> the values said for it.

        Returns:
            Of every value that is new where another one was known: the fact, the last one known before, the new one.

        Raises:
            StoreError: the file cannot be read or written.
        """
        changes = []
        try:
            for fact, values in facts.items():
                rows = self._db.execute(
                    "SELECT value FROM served WHERE engine = ? AND fact = ? ORDER BY rowid", (engine, fact)
                )
                known = [str(value) for (value,) in rows.fetchall()]
                for value in values:
                    if value not in known:
                        self._db.execute("INSERT OR IGNORE INTO served VALUES (?, ?, ?)", (engine, fact, value))
                        changes += [(fact, known[-1], value)] if known else []
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return changes

    def count(self) -> int:
        """Number of stored answers."""
        (count,) = self._db.execute("SELECT count(*) FROM completions").fetchone()
        return int(count)

    def close(self) -> None:
        if self._pending:
            self._flush()
        self._db.close()

    def _explain(self, error: Exception) -> StoreError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return StoreError(f"{self._path}: locked by another process ({text}); wait for it, or set store=FILE")
        if "malformed" in text or "not a database" in text or "corrupt" in text:
            return StoreError(
                f"{self._path}: not a usable store ({text}). Move it away (its texts are then generated again) or"
                " restore it from a backup"
            )
        if "full" in text:
            return StoreError(f"{self._path}: {text}; free some space, then run the same command again")
        return StoreError(f"{self._path}: could not be written ({cause_of(error)})")


@dataclass(frozen=True, slots=True)
class _Pending:
    """An answer on its way into the file: its entry, and who waits for it."""

    answer: Completion | Likelihood
    value: bytes
    future: asyncio.Future[Any]


@dataclass(slots=True)
class Usage:
    """What a run took from an engine and from the store.

    Attributes:
        requests: all of them.
        stored: those that the store answered.
        asked: calls of an engine that has started; of these `generated` brought an answer.
        failed: requests without an answer.
        prompt_tokens, output_tokens: of answers that were generated.
        begun: time.monotonic() of the first call of a started engine.
    """

    requests: int = 0
    stored: int = 0
    asked: int = 0
    generated: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    begun: float | None = None


class StoredEngine:
    """An engine with the store in front of it. The store and the engine belong to whoever made them."""

    def __init__(self, engine: Engine, store: CompletionStore, usage: Usage | None = None) -> None:
        """Makes one; several may count into the same `usage`."""
        self._engine = engine
        self._store = store
        self._running: dict[bytes, asyncio.Task[Any]] = {}
        # Looked at once: a protocol check of each call costs as much as the rest of it.
        self._served = engine if isinstance(engine, ServedElsewhere) else None
        self._renders = engine if isinstance(engine, Renders) else None
        self._compared: object = None
        self._starting = asyncio.Lock()
        self._dead = ""  # why the engine could not start
        self.usage = Usage() if usage is None else usage

    @property
    def fingerprint(self) -> str:
        return self._engine.fingerprint

    def check(self, adapter: AdapterRef) -> None:
        self._engine.check(adapter)

    async def start(self) -> None:
        """Does nothing: the engine is started by the first request that the store cannot answer."""

    async def generate(self, request: Request) -> Completion:
        """Answers from the store, or asks the engine once and stores the answer before returning it.

        Raises:
            EngineError, AdapterError: the engine failed; nothing is stored.
            ConfigError: the model's chat template cannot express the request's chat.
            StoreError: the store cannot be read or written.
        """
        key = request_key(self._engine.fingerprint, request, self._prompt_key(request))
        return await self._answer(key, Completion, lambda: self._engine.generate(request))

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """The same for the likelihood of a text.

        Raises:
            EngineError, AdapterError, StoreError: see generate.
        """
        key = likelihood_key(self._engine.fingerprint, request, self._prompt_key(request))
        return await self._answer(key, Likelihood, lambda: self._engine.likelihood(request))

    def _prompt_key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        return () if self._renders is None else self._renders.prompt_key(request)

    def hold(self, tokens: int) -> int | None:
        """See Holds; an engine that needs no room says nothing."""
        return self._engine.hold(tokens) if isinstance(self._engine, Holds) else None

    @property
    def measures(self) -> bool:
        """Whether the engine knows its context before it is loaded (`Measures`)."""
        return isinstance(self._engine, Measures)

    def require_room(self, request: Request) -> None:
        """See Measures; an engine that does not know its context refuses nothing."""
        if isinstance(self._engine, Measures):
            self._engine.require_room(request)

    @property
    def likelihoods(self) -> bool:
        return self._engine.likelihoods

    async def scored_length(self) -> int:
        return await self._engine.scored_length()

    async def _answer(self, key: bytes, kind: type[Answer], ask: Callable[[], Awaitable[Answer]]) -> Answer:
        stored = self._store.get(key, kind)
        self.usage.requests += 1
        if stored is not None:
            self.usage.stored += 1
            return stored
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._ask(key, ask))
            self._running[key] = running
            running.add_done_callback(lambda task: self._ended(key, task))
        answer: Answer = await asyncio.shield(running)
        return answer

    def _ended(self, key: bytes, task: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # taken note of; whoever waited for it has it, and perhaps nobody waits any more

    async def _ask(self, key: bytes, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            await self._started()
            self._compare_served()
            self.usage.asked += 1
            self.usage.begun = self.usage.begun or time.monotonic()
            answer = replace(await ask(), served_by=self._engine.fingerprint)
            self._compare_served()
            kept = await self._store.put(key, answer)
        except BaseException:
            self.usage.failed += 1
            raise
        self.usage.generated += 1
        self.usage.prompt_tokens += answer.prompt_tokens
        if isinstance(answer, Completion):
            self.usage.output_tokens += answer.output_tokens
        return kept

    async def _started(self) -> None:
        """Starts the engine; one that could not start is not started again, and the first cause ends the run."""
        async with self._starting:
            if self._dead:
                raise EngineDeadError(self._dead)
            try:
                await self._engine.start()
            except Exception as error:
                self._dead = cause_of(error)
                raise EngineDeadError(self._dead) from error

    def _compare_served(self) -> None:
        """Says where a server's words about its weights are not those that stored texts were made under."""
        if self._served is None or self._served.served is self._compared:
            return
        served = self._compared = self._served.served
        for fact, before, now in self._store.remember(self._engine.fingerprint, served.facts):
            _log.warning(
                "%s: the server reports %s=%r, but reported %r for earlier texts in the store. If it now serves other"
                " weights or settings, set engine.served_as=NAME to store their texts separately",
                served.name,
                fact,
                now,
                before,
            )

    async def close(self) -> None:
        """Cancels what is in flight and waits for it."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def describe(self) -> Mapping[str, Any]:
        return self._engine.describe()
