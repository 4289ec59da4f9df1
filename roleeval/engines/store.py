"""Durable completions in front of any engine: one SQLite file that survives kill -9.

    <results>/.store/completions.sqlite     completions(key, value, checksum), WAL mode

The key is a hash of everything that determines a text. A completion is committed before anyone sees it, so a run that
is killed at any moment resumes without losing or repeating a call. Commits are grouped: all completions that arrive in
one turn of the event loop share a transaction. With synchronous=NORMAL a commit survives the death of the process; a
power cut may drop the newest commits, which are then asked for again, and never corrupts the file.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from roleeval.engines._protocol import Engine
from roleeval.errors import StoreError
from roleeval.types import AdapterRef, Completion, Request

# Raise when the key's or the value's layout changes: older entries then simply miss.
_FORMAT = 1
_APPLICATION_ID = 0x726F6C65  # "role"


def request_key(engine_fingerprint: str, request: Request) -> bytes:
    """SHA-256 of all that determines a request's text.

    Priority and affinity are left out: they say when and where a request is served, not what comes back.
    """
    sampling = request.sampling
    parts = [
        _FORMAT,
        engine_fingerprint,
        request.adapter.fingerprint if request.adapter else None,
        None if request.messages is None else [(m.role, m.content) for m in request.messages],
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
    ]
    return hashlib.sha256(orjson.dumps(parts)).digest()


class CompletionStore:
    """The SQLite file. Belongs to one event loop; several processes may share the file on a local disk."""

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        """Opens or creates the file.

        Raises:
            StoreError: the file is corrupt, locked, of another program, or cannot be written.
        """
        self._path = path
        self._pending: dict[bytes, tuple[Completion, asyncio.Future[Completion]]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    def _prepare(self) -> None:
        db = self._db
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != _APPLICATION_ID and tables:
            raise StoreError(f"{self._path}: a database of another program; set store=FILE to another")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if owner != _APPLICATION_ID:
            db.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        db.execute(
            "CREATE TABLE IF NOT EXISTS completions (key BLOB PRIMARY KEY, value BLOB NOT NULL, checksum BLOB NOT NULL)"
        )

    def get(self, key: bytes) -> Completion | None:
        """Returns the stored completion, or None.

        Raises:
            StoreError: the entry does not match its checksum, or the file cannot be read.
        """
        try:
            row = self._db.execute("SELECT value, checksum FROM completions WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return None if row is None else self._decode(key, row[0], row[1])

    async def put(self, key: bytes, completion: Completion) -> Completion:
        """Stores a completion and returns what is stored under the key once it is durable.

        Where another process stored one first, that one stays and is returned: a key has one text for ever.

        Raises:
            StoreError: it could not be written (disk full, locked, corrupt).
        """
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._flush)
        future: asyncio.Future[Completion] = loop.create_future()
        self._pending[key] = (completion, future)
        return await future

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        stored: dict[bytes, Completion] = {}
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for key, (completion, _) in pending.items():
                    stored[key] = self._insert(key, completion)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except (sqlite3.Error, StoreError) as error:
            reason = error if isinstance(error, StoreError) else self._explain(error)
            for _, future in pending.values():
                if not future.done():
                    future.set_exception(reason)
            return
        for key, (_, future) in pending.items():
            if not future.done():  # cancelled while it waited; the text is kept all the same
                future.set_result(stored[key])

    def _insert(self, key: bytes, completion: Completion) -> Completion:
        value = orjson.dumps(
            (
                completion.text,
                completion.finish_reason,
                completion.prompt_tokens,
                completion.output_tokens,
                completion.reasoning,
                completion.served_by,
            )
        )
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?)", (key, value, _checksum(key, value))
        )
        if cursor.rowcount == 1:
            return completion
        first = self.get(key)
        assert first is not None  # the insert was ignored because the key is there
        return first

    def _decode(self, key: bytes, value: bytes, checksum: bytes) -> Completion:
        if _checksum(key, value) != checksum:
            raise StoreError(
                f"{self._path}: the entry {key.hex()[:16]} does not match its checksum; the file is damaged."
                " Move it away (texts are then generated again) or restore it from a backup"
            )
        text, finish_reason, prompt_tokens, output_tokens, reasoning, served_by = orjson.loads(value)
        return Completion(text, finish_reason, prompt_tokens, output_tokens, reasoning, served_by, stored=True)

    def count(self) -> int:
        """Number of stored completions."""
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
                f"{self._path}: not a usable store ({text}). Move it away (texts are then generated again)"
                " or restore it from a backup"
            )
        return StoreError(f"{self._path}: {text}")


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=16).digest()


@dataclass(slots=True)
class Usage:
    """What a run took from an engine and from the store."""

    requests: int = 0
    stored: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


class StoredEngine:
    """An engine with the store in front of it. The store and the engine belong to whoever made them."""

    def __init__(self, engine: Engine, store: CompletionStore) -> None:
        self._engine = engine
        self._store = store
        self._running: dict[bytes, asyncio.Task[Completion]] = {}
        self.usage = Usage()

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
            StoreError: the store cannot be read or written.
        """
        key = request_key(self._engine.fingerprint, request)
        completion = self._store.get(key)
        self.usage.requests += 1
        if completion is not None:
            self.usage.stored += 1
            return completion
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._ask(key, request))
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def _ask(self, key: bytes, request: Request) -> Completion:
        try:
            await self._engine.start()
            completion = await self._engine.generate(request)
        except BaseException:
            self.usage.failed += 1
            raise
        self.usage.prompt_tokens += completion.prompt_tokens
        self.usage.output_tokens += completion.output_tokens
        return await self._store.put(key, replace(completion, served_by=self._engine.fingerprint))

    async def close(self) -> None:
        """Cancels what is under way and waits for it."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def describe(self) -> Mapping[str, Any]:
        return self._engine.describe()
