"""The pool without Ray: nothing is lost and nothing answered twice, whatever happens to its workers."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from simulated_pool import SimulatedLink, SimulatedWorld, request, text_of, virtually

from roleeval.engines.pool._link import WorkerLostError
from roleeval.engines.pool._pool import Limits, Pool
from roleeval.errors import EngineDeadError, EngineError


def in_pool(world: SimulatedWorld, work: Callable[[Pool], Awaitable[Any]], **limits: Any) -> Any:
    """Runs something with a pool of simulated workers, and closes it."""

    async def main() -> Any:
        pool = Pool(world, Limits(**limits))
        try:
            await pool.open()
            return await work(pool)
        finally:
            await pool.close()
            assert world.closed
            assert not world.links

    return virtually(main)


async def answered(pool: Pool, count: int, *, per_conversation: int = 1, at_once: int = 64) -> list[str]:
    """Texts of so many calls in their order; the calls of a conversation follow each other."""
    texts = [""] * count
    free = asyncio.Semaphore(at_once)

    async def play(first: int) -> None:
        async with free:
            for number in range(first, min(count, first + per_conversation)):
                answer = await pool.ask(request(number, conversation=f"scene {first}"))
                texts[number] = answer.text  # type: ignore[union-attr]

    await asyncio.gather(*(play(first) for first in range(0, count, per_conversation)))
    return texts


EXPECTED = [text_of(request(number)) for number in range(2000)]


def test_workers_share_the_work_and_conversations_stay() -> None:
    world = SimulatedWorld(seats=4)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(20)
        assert await answered(pool, 800, per_conversation=10, at_once=40) == EXPECTED[:800]
        return pool.describe()

    facts = in_pool(world, work)
    assert facts["conversations_moved"] == facts["calls_done_again"] == facts["lost"] == 0
    counts = Counter(name for name, _ in world.served)
    assert set(counts.values()) == {200}


def test_a_worker_that_falls_behind_hands_conversations_over() -> None:
    def takes(link: SimulatedLink, asked: Any) -> float:
        return 20.0 if link.name == "w0" else 1.0

    world = SimulatedWorld(seats=4, takes=takes)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(20)
        await answered(pool, 2000, per_conversation=20, at_once=100)
        return pool.describe()

    facts = in_pool(world, work)
    slow = sum(name == "w0" for name, _ in world.served)
    assert slow < 2000 / 4 / 3
    assert facts["conversations_moved"] > 0


def test_what_waits_for_a_full_worker_goes_to_one_that_joins() -> None:
    world = SimulatedWorld(seats=1)

    async def work(pool: Pool) -> Any:
        asking = asyncio.create_task(answered(pool, 200, at_once=200))
        await asyncio.sleep(5)
        world.seats = 3
        assert await asking == EXPECTED[:200]
        return pool.describe()

    facts = in_pool(world, work, window=4, look_s=2.0)
    counts = Counter(name for name, _ in world.served)
    assert min(counts[name] for name in ("w0", "w1", "w2")) > 40
    assert facts["calls_done_again"] == 0


def test_a_worker_that_dies_comes_back_and_only_its_calls_are_done_again() -> None:
    world = SimulatedWorld(seats=2)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(20)
        asking = asyncio.create_task(answered(pool, 400, per_conversation=4, at_once=16))
        await asyncio.sleep(3.5)
        world.links["w1"].die("killed by signal 9")
        assert await asking == EXPECTED[:400]
        await asyncio.sleep(20)
        return pool.describe()

    facts = in_pool(world, work)
    assert facts["lost"] == 1
    assert facts["calls_done_again"] == world.lost_calls == 8
    assert len(world.served) - 400 == 0  # none of those had been answered
    assert [worker["state"] for worker in facts["workers"]] == ["ready", "ready"]
    assert facts["workers"][1]["losses"] == ["killed by signal 9"]


@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills_at_random_moments_lose_nothing(seed: int) -> None:
    chance = random.Random(seed)
    world = SimulatedWorld(seats=4, load_s=2.0, takes=lambda link, asked: chance.uniform(0.5, 8.0))

    async def work(pool: Pool) -> Any:
        async def kill() -> None:
            killed = 0
            while killed < 100:
                await asyncio.sleep(chance.expovariate(1 / 3))
                if world.links:
                    world.links[chance.choice(sorted(world.links))].die("killed by signal 9")
                    killed += 1

        killing = asyncio.create_task(kill())
        texts = await answered(pool, 2000, per_conversation=5, at_once=32)
        await killing
        assert texts == EXPECTED
        return pool.describe()

    facts = in_pool(world, work, rest_s=0.1)
    assert facts["lost"] == 100
    assert facts["calls_done_again"] == world.lost_calls
    assert world.reported == 2000  # each answer came once
    # where a life is three calls long, one may look like a worker with a fault of its own
    assert sum(worker["state"] == "given up" for worker in facts["workers"]) <= 1


def test_a_worker_that_never_comes_up_is_given_up_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    world = SimulatedWorld(seats=3, fails={"w1": [WorkerLostError("CUDA error: the device is lost")] * 50})

    async def work(pool: Pool) -> Any:
        assert await answered(pool, 600, at_once=16) == EXPECTED[:600]
        return pool.describe()

    facts = in_pool(world, work, restarts=3)
    assert [worker["state"] for worker in facts["workers"]] == ["ready", "given up", "ready"]
    assert facts["workers"][1]["lost"] == 4
    assert "worker w1 on node of w1 is given up after 4 losses: CUDA error: the device is lost" in caplog.text


def test_a_worker_that_comes_up_and_dies_again_and_again_is_given_up() -> None:
    world = SimulatedWorld(seats=2, load_s=1.0)

    async def work(pool: Pool) -> Any:
        async def flap() -> None:
            while True:
                await asyncio.sleep(0.5)
                if link := world.links.get("w1"):
                    link.die("killed by signal 11")

        flapping = asyncio.create_task(flap())
        assert await answered(pool, 400, at_once=8) == EXPECTED[:400]
        flapping.cancel()
        return pool.describe()

    facts = in_pool(world, work)
    assert facts["workers"][1]["state"] == "given up"
    assert facts["workers"][0]["answered"] == 400


def test_a_worker_that_answers_a_little_and_dies_again_and_again_is_given_up() -> None:
    world = SimulatedWorld(seats=3, load_s=1.0)

    async def work(pool: Pool) -> Any:
        async def flap() -> None:
            while True:
                await asyncio.sleep(3.0)
                if link := world.links.get("w2"):
                    link.die("killed by signal 9")

        flapping = asyncio.create_task(flap())
        assert await answered(pool, 1500, at_once=24) == EXPECTED[:1500]
        flapping.cancel()
        return pool.describe()

    facts = in_pool(world, work)
    assert [worker["state"] for worker in facts["workers"]] == ["ready", "ready", "given up"]
    assert facts["workers"][2]["lost"] == 6
    assert facts["workers"][2]["answered"] > 0


def test_a_fault_that_no_restart_heals_is_tried_once() -> None:
    world = SimulatedWorld(seats=2, fails={"w0": [WorkerLostError("another vLLM on this node", final=True)]})

    async def work(pool: Pool) -> Any:
        return await answered(pool, 10)

    assert in_pool(world, work) == EXPECTED[:10]
    assert world.launches == 2


def test_when_all_are_gone_the_run_stops_and_says_why() -> None:
    world = SimulatedWorld(seats=2)

    async def work(pool: Pool) -> Any:
        asking = [asyncio.create_task(pool.ask(request(number))) for number in range(10)]
        await asyncio.sleep(0.5)
        for name in ("w0", "w1"):
            world.fails[name] = [WorkerLostError("no such file: model.safetensors")] * 50
        for link in list(world.links.values()):
            link.die("killed by signal 9")
        return await asyncio.gather(*asking, return_exceptions=True)

    errors = in_pool(world, work)
    assert {type(error) for error in errors} == {EngineDeadError}
    assert "all 2 workers are gone: no such file: model.safetensors" in str(errors[0])
    assert "it resumes" in str(errors[0])


def test_a_pool_whose_workers_never_come_up_does_not_open() -> None:
    causes = [WorkerLostError("out of memory")] * 50
    world = SimulatedWorld(seats=1, fails={"w0": causes})
    with pytest.raises(EngineDeadError, match="all 1 workers are gone: out of memory"):
        in_pool(world, lambda pool: answered(pool, 1))


def test_a_pool_without_room_says_what_is_lacking() -> None:
    world = SimulatedWorld(seats=0)
    with pytest.raises(EngineDeadError, match=r"no room .* within 600 s: a worker needs a seat, and there are 0"):
        in_pool(world, lambda pool: answered(pool, 1))


def test_least_and_most_workers_are_kept() -> None:
    world = SimulatedWorld(seats=8)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(60)
        return len(world.links)

    assert in_pool(world, work, most=3) == 3
    world = SimulatedWorld(seats=1)

    async def asked_for(pool: Pool) -> Any:
        return [slot.state for slot in pool.slots.values()]

    assert in_pool(world, asked_for, least=3) == ["ready", "waiting for room", "waiting for room"]


def test_a_node_that_leaves_does_not_count_against_its_worker_and_it_comes_back_with_room() -> None:
    world = SimulatedWorld(seats=2, load_s=1.0)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(5)
        asking = asyncio.create_task(answered(pool, 300, at_once=8))
        for _ in range(10):
            await asyncio.sleep(3)
            if "w1" in world.links:
                world.links["w1"].die("its node has left", excused=True)
        assert await asking == EXPECTED[:300]
        world.seats = 1
        world.links["w1"].die("its node has left", excused=True)
        await asyncio.sleep(50)
        assert "w1" not in world.links
        world.seats = 2
        await asyncio.sleep(50)
        return pool.describe()

    facts = in_pool(world, work)
    assert [worker["state"] for worker in facts["workers"]] == ["ready", "ready"]


def test_a_call_that_ends_workers_is_found_out_and_the_others_are_answered() -> None:
    """One prompt that crashes the engine costs itself, not the run."""
    world = SimulatedWorld(seats=2, load_s=1.0, deadly={70})

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(5)
        return await asyncio.gather(*(pool.ask(request(n)) for n in range(200)), return_exceptions=True)

    found = in_pool(world, work, window=16)
    wrong = [error for error in found if isinstance(error, BaseException)]
    assert [found.index(error) for error in wrong] == [70]
    assert isinstance(wrong[0], EngineError)
    assert not isinstance(wrong[0], EngineDeadError)
    assert "7 workers were lost while they had this request, the last 4 of them with nothing else" in str(wrong[0])
    assert [each.text for n, each in enumerate(found) if n != 70] == EXPECTED[:70] + EXPECTED[71:200]


def test_an_error_of_the_engine_is_the_answer_to_its_call() -> None:
    class Refusing(SimulatedWorld):
        def answer(self, asked: Any) -> Any:
            return EngineError("too long") if asked.seed == 3 else super().answer(asked)

    async def work(pool: Pool) -> Any:
        return await asyncio.gather(*(pool.ask(request(n)) for n in range(5)), return_exceptions=True)

    found = in_pool(Refusing(), work)
    assert [str(each) for each in found if isinstance(each, Exception)] == ["too long"]


def test_a_silent_worker_is_lost() -> None:
    class Silent(SimulatedLink):
        async def collect(self) -> Any:
            if self.name == "w1":
                await asyncio.Event().wait()
            return await super().collect()

    class World(SimulatedWorld):
        async def launch(self, name: str, placed: Any) -> Any:
            link = await super().launch(name, placed)
            link.__class__ = Silent
            return link

    world = World(seats=2)

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(11)
        assert await answered(pool, 100, at_once=20) == EXPECTED[:100]
        return pool.describe()

    facts = in_pool(world, work)
    assert facts["workers"][1]["losses"][0] == "no sign of life for 60 s"


def test_what_nobody_waits_for_any_more_is_cancelled_and_frees_its_place() -> None:
    world = SimulatedWorld(seats=1)

    async def work(pool: Pool) -> Any:
        asking = [asyncio.create_task(pool.ask(request(number))) for number in range(8)]
        await asyncio.sleep(0.5)
        for task in asking[:6]:
            task.cancel()
        return await asyncio.gather(*asking[6:])

    texts = [answer.text for answer in in_pool(world, work, window=4)]
    assert texts == EXPECTED[6:8]
    assert len(world.cancelled) == 4  # those in the line were never sent
    assert len(world.served) == 2


def test_small_priorities_are_served_first() -> None:
    world = SimulatedWorld(seats=1)

    async def work(pool: Pool) -> Any:
        await asyncio.gather(*(pool.ask(request(number, priority=-number)) for number in range(6)))

    in_pool(world, work, window=1)
    assert [number for _, number in world.served] == [1, 6, 5, 4, 3, 2]


def test_512_workers_with_failures() -> None:
    chance = random.Random(7)
    world = SimulatedWorld(seats=512, load_s=30.0, takes=lambda link, asked: chance.uniform(1.0, 10.0))

    async def work(pool: Pool) -> Any:
        await asyncio.sleep(31)

        async def kill() -> None:
            while True:
                await asyncio.sleep(chance.expovariate(1.0))
                if world.links:
                    world.links[chance.choice(sorted(world.links))].die("killed by signal 9")

        killing = asyncio.create_task(kill())
        texts = await answered(pool, 1200, per_conversation=2, at_once=600)
        killing.cancel()
        return texts

    assert in_pool(world, work) == EXPECTED[:1200]
    assert world.reported == 1200
