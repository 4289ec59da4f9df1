"""The completion store: nothing lost, nothing repeated, nothing stale, and never a wrong text."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.engines import CompletionStore, LoraNeed, ModelSource, StoredEngine, request_key
from roleeval.errors import EngineDeadError, EngineError, StoreError
from roleeval.types import AdapterRef, Completion, Likelihood, Message, Request, Sampling

REQUEST = Request(
    messages=(Message("system", "You are a sailor."), Message("user", "Where to?")),
    sampling=Sampling(temperature=0.7, top_p=0.9, top_k=40, repetition_penalty=1.1, max_tokens=64, stop=("\n",)),
    seed=7,
    adapter=AdapterRef("sailor", "/adapters/sailor", "fingerprint-a", 8),
    prefill="Ahoy",
    json_schema='{"type": "object"}',
    scope="judge:style:pack-1",
)
TEXT = Completion("To the sea.", "stop", 11, 4, reasoning="He asks where.", served_by="engine")

MUTATIONS = {
    "message": replace(REQUEST, messages=(Message("system", "You are a sailor."), Message("user", "Where to? "))),
    "message role": replace(REQUEST, messages=(Message("user", "You are a sailor."), Message("user", "Where to?"))),
    "message split": replace(REQUEST, messages=(Message("system", "You are a sailor.Where to?"),)),
    "raw prompt": replace(REQUEST, messages=None, prompt="Where to?"),
    "adapter": replace(REQUEST, adapter=AdapterRef("sailor", "/adapters/sailor", "fingerprint-b", 8)),
    "no adapter": replace(REQUEST, adapter=None),
    "prefill": replace(REQUEST, prefill=""),
    "schema": replace(REQUEST, json_schema=None),
    "seed": replace(REQUEST, seed=8),
    "attempt": replace(REQUEST, attempt=1),
    "judge": replace(REQUEST, scope="judge:style:pack-2"),
    "temperature": replace(REQUEST, sampling=replace(REQUEST.sampling, temperature=0.8)),
    "top_p": replace(REQUEST, sampling=replace(REQUEST.sampling, top_p=0.8)),
    "top_k": replace(REQUEST, sampling=replace(REQUEST.sampling, top_k=0)),
    "repetition_penalty": replace(REQUEST, sampling=replace(REQUEST.sampling, repetition_penalty=1.0)),
    "max_tokens": replace(REQUEST, sampling=replace(REQUEST.sampling, max_tokens=65)),
    "stop": replace(REQUEST, sampling=replace(REQUEST.sampling, stop=())),
}


def put(store: CompletionStore, key: bytes, completion: Completion) -> Completion:
    return asyncio.run(store.put(key, completion))


def test_a_stored_completion_comes_back_whole_after_reopening(tmp_path: Path) -> None:
    key = request_key("engine", REQUEST)
    store = CompletionStore(tmp_path / "s.sqlite")
    put(store, key, TEXT)
    store.close()
    assert CompletionStore(tmp_path / "s.sqlite").get(key, Completion) == replace(TEXT, stored=True)


@pytest.mark.parametrize("part", MUTATIONS)
def test_flipping_any_part_of_the_request_misses(tmp_path: Path, part: str) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    put(store, request_key("engine", REQUEST), TEXT)
    assert store.get(request_key("engine", MUTATIONS[part]), Completion) is None
    assert store.get(request_key("engine", REQUEST), Completion) is not None


def test_flipping_the_engine_or_model_misses(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    put(store, request_key("engine", REQUEST), TEXT)
    assert store.get(request_key("another engine", REQUEST), Completion) is None


def test_when_and_where_a_request_is_served_does_not_name_its_text() -> None:
    assert request_key("e", REQUEST) == request_key("e", replace(REQUEST, priority=3, affinity="scene-4"))


def test_the_first_text_of_a_key_stays(tmp_path: Path) -> None:
    """Two processes that generate the same call must agree on its text afterwards."""
    first, second = CompletionStore(tmp_path / "s.sqlite"), CompletionStore(tmp_path / "s.sqlite")
    key = request_key("engine", REQUEST)
    put(first, key, TEXT)
    assert put(second, key, replace(TEXT, text="To the hills.")).text == "To the sea."


def test_a_damaged_entry_is_lost_alone_and_never_a_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file)
    key, other = request_key("engine", REQUEST), request_key("engine", MUTATIONS["seed"])
    put(store, key, TEXT)
    put(store, other, replace(TEXT, text="To the hills."))
    store.close()
    with sqlite3.connect(file) as db:
        db.execute("UPDATE completions SET value = ? WHERE key = ?", (b'["To the bar."]', key))
    again = CompletionStore(file)
    assert again.get(key, Completion) is None
    assert "checksum" in caplog.text
    found = again.get(other, Completion)
    assert found is not None
    assert found.text == "To the hills."
    assert put(again, key, TEXT) == TEXT
    assert again.get(key, Completion) == replace(TEXT, stored=True)


def test_an_answer_in_the_place_of_a_damaged_one_is_kept(tmp_path: Path) -> None:
    """Another process may damage or read an entry between a look-up and a write."""
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file)
    key = request_key("engine", REQUEST)
    put(store, key, TEXT)
    with sqlite3.connect(file) as db:
        db.execute("UPDATE completions SET checksum = ?", (b"x",))
    assert put(store, key, replace(TEXT, text="Anew.")).text == "Anew."


def test_an_entry_moved_to_another_key_is_no_answer_to_it(tmp_path: Path) -> None:
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file)
    put(store, request_key("engine", REQUEST), TEXT)
    store.close()
    other = request_key("engine", MUTATIONS["seed"])
    with sqlite3.connect(file) as db:
        db.execute("UPDATE completions SET key = ?", (other,))
    assert CompletionStore(file).get(other, Completion) is None


UNKEPT = {
    "half a surrogate pair": replace(TEXT, text="By the powers \ud83d"),
    "half a pair in the reasoning": replace(TEXT, reasoning="\udc00"),
    "a token count of 2^64": replace(TEXT, prompt_tokens=2**64),
    "no text": replace(TEXT, text=None),  # type: ignore[arg-type]
    "bytes": replace(TEXT, text=b"To the sea."),  # type: ignore[arg-type]
    "a set": replace(TEXT, output_tokens={1}),  # type: ignore[arg-type]
    "log-probability": Likelihood(float("nan"), 1, greedy=True, prompt_tokens=3),
}


@pytest.mark.parametrize("kind", UNKEPT)
def test_an_answer_that_cannot_be_kept_fails_alone(tmp_path: Path, kind: str) -> None:
    """One flush writes what came in one turn of the loop; one bad answer costs none of the others."""
    store = CompletionStore(tmp_path / "s.sqlite")

    async def together() -> list[object]:
        good = [store.put(str(n).encode() * 32, replace(TEXT, text=f"text {n}")) for n in range(4)]
        async with asyncio.timeout(10):
            return await asyncio.gather(store.put(b"k" * 32, UNKEPT[kind]), *good, return_exceptions=True)

    bad, *good = asyncio.run(together())
    assert isinstance(bad, EngineError)
    assert [answer.text for answer in good if isinstance(answer, Completion)] == [f"text {n}" for n in range(4)]
    assert store.count() == 4


def test_no_waiter_hangs_whatever_the_database_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")

    def broken(*_: object) -> None:
        raise OverflowError("Python int too large")

    monkeypatch.setattr(store, "_insert", broken)

    async def waiting() -> None:
        async with asyncio.timeout(10):
            await store.put(b"k" * 32, TEXT)

    with pytest.raises(StoreError, match="OverflowError"):
        asyncio.run(waiting())


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_deleted_in_mid_run_is_noticed(tmp_path: Path, replaced: bool) -> None:
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file)
    put(store, b"k" * 32, TEXT)
    file.rename(tmp_path / "away.sqlite")
    if replaced:
        file.write_bytes(b"")
    with pytest.raises(StoreError, match="deleted or replaced"):
        put(store, b"l" * 32, TEXT)


class Unstartable(StubEngine):
    """Cannot load; counts how often that was tried."""

    async def start(self) -> None:
        self.loads += 1
        await asyncio.sleep(0.01)
        raise EngineError("no memory for one sequence; set engine.cpu_kv_cache_gib=2")


def test_an_engine_that_cannot_start_is_started_once(tmp_path: Path) -> None:
    engine = Unstartable(StubOptions(), ModelSource("m"), LoraNeed())
    stored = StoredEngine(engine, CompletionStore(tmp_path / "s.sqlite"))

    async def many() -> list[object]:
        calls = [stored.generate(replace(REQUEST, seed=seed)) for seed in range(20)]
        first = await asyncio.gather(*calls, return_exceptions=True)
        return [*first, *await asyncio.gather(stored.generate(REQUEST), return_exceptions=True)]

    found = asyncio.run(many())
    assert engine.loads == 1
    assert all(isinstance(error, EngineDeadError) and "cpu_kv_cache_gib=2" in str(error) for error in found)


@pytest.mark.parametrize(
    "content", [b"not a database, whatever it says on the tin" * 40, b"SQLite format 3\x00" + b"\x07" * 4000]
)
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "s.sqlite"
    file.write_bytes(content)
    with pytest.raises(StoreError, match="not a usable store"):
        CompletionStore(file).get(b"key")


def test_a_truncated_database_gives_an_error_or_a_miss_but_no_wrong_text(tmp_path: Path) -> None:
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file)
    for seed in range(300):
        put(store, request_key("engine", replace(REQUEST, seed=seed)), replace(TEXT, text=f"text {seed}"))
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(StoreError):
        damaged = CompletionStore(file)
        for seed in range(300):
            found = damaged.get(request_key("engine", replace(REQUEST, seed=seed)), Completion)
            assert found is None or found.text == f"text {seed}"


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE accounts (id)")
    with pytest.raises(StoreError, match="another program"):
        CompletionStore(file)


def test_a_locked_store_is_named(tmp_path: Path) -> None:
    file = tmp_path / "s.sqlite"
    store = CompletionStore(file, timeout_s=0.1)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        put(store, b"k" * 32, TEXT)
    holder.execute("ROLLBACK")
    assert put(store, b"k" * 32, TEXT) == TEXT


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        CompletionStore(tmp_path / "file" / "s.sqlite")


def test_the_same_call_twice_at_once_is_asked_once(tmp_path: Path) -> None:
    engine = StubEngine(StubOptions(delay_s=0.01), ModelSource("m"), LoraNeed())

    async def twice() -> list[Completion]:
        stored = StoredEngine(engine, CompletionStore(tmp_path / "s.sqlite"))
        return await asyncio.gather(stored.generate(REQUEST), stored.generate(REQUEST))

    first, second = asyncio.run(twice())
    assert first == second
    assert engine.calls == 1


def test_everything_stored_never_loads_the_engine(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    asyncio.run(StoredEngine(StubEngine(StubOptions(), ModelSource("m"), LoraNeed()), store).generate(REQUEST))
    again = StubEngine(StubOptions(), ModelSource("m"), LoraNeed())
    stored = StoredEngine(again, store)
    assert asyncio.run(stored.generate(REQUEST)).stored
    assert (again.calls, again.loads, stored.usage.stored) == (0, 0, 1)


def test_a_failed_call_is_not_stored(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    stored = StoredEngine(StubEngine(StubOptions(fail="Where"), ModelSource("m"), LoraNeed()), store)
    with pytest.raises(EngineError):
        asyncio.run(stored.generate(REQUEST))
    assert store.count() == 0
    assert stored.usage.failed == 1


def test_a_cancelled_waiter_does_not_lose_the_answer(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path / "s.sqlite")
    stored = StoredEngine(StubEngine(StubOptions(delay_s=0.02), ModelSource("m"), LoraNeed()), store)

    async def cancel_one() -> None:
        waiting = asyncio.create_task(stored.generate(REQUEST))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.1)

    asyncio.run(cancel_one())
    assert store.get(request_key(stored.fingerprint, REQUEST), Completion) is not None


def test_a_full_disk_is_named_and_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """SQLite ends the transaction itself then; its own cause must not be hidden by that."""
    store = CompletionStore(tmp_path / "s.sqlite")
    put(store, b"k" * 32, TEXT)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match=r"s\.sqlite: database or disk is full; free some space"):
        put(store, b"l" * 32, replace(TEXT, text="x" * 100_000))
    assert store.get(b"k" * 32, Completion) is not None
    store._db.execute(f"PRAGMA max_page_count={pages + 1000}")
    assert put(store, b"l" * 32, TEXT) == TEXT
