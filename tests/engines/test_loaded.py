"""Engines that share a GPU: an idle one leaves when another needs its room, and one that is asked stays."""

import asyncio
from typing import Any

import pytest
from roleeval_stubs import StubEngine, StubOptions

from roleeval.engines import Loaded, LoraNeed, ModelSource, fit
from roleeval.engines.taken import GPUS, MEMORY, Taken, of_memory
from roleeval.errors import EngineError


class Sharing(StubEngine):
    """An engine of a share of the GPUs' memory; `is_loaded` says whether it has it."""

    is_loaded = False

    def __init__(self, share: float | None, of: str = GPUS) -> None:
        super().__init__(StubOptions(), ModelSource("stub"), LoraNeed())
        self.taken = Taken(of, share)

    def takes(self) -> Taken:
        return self.taken

    async def start(self) -> None:
        self.loads += not self.is_loaded
        self.is_loaded = True

    async def close(self) -> None:
        self.is_loaded = False


def play(*opened: tuple[Sharing, bool]) -> list[bool]:
    """Opens engines one after the other, closing again those that are followed by False; whether each is loaded."""

    async def main() -> None:
        loaded = Loaded()
        for engine, stays_open in opened:
            user = object()
            await loaded.open(engine, user)
            if not stays_open:
                loaded.leave(engine, user)

    asyncio.run(main())
    return [engine.is_loaded for engine, _ in opened]


def test_an_idle_engine_is_closed_where_another_needs_its_room() -> None:
    assert play((Sharing(0.9), False), (Sharing(0.9), False), (Sharing(0.9), True)) == [False, False, True]


def test_engines_that_fit_beside_each_other_stay() -> None:
    assert play((Sharing(0.4), False), (Sharing(0.4), False), (Sharing(0.2), True)) == [True, True, True]
    assert play((Sharing(0.9), False), (Sharing(0.9, MEMORY), True)) == [True, True]


def test_no_more_are_closed_than_need_be_and_those_first_that_were_asked_longest_ago() -> None:
    one, two = Sharing(0.4), Sharing(0.4)
    assert play((one, False), (two, False), (one, False), (Sharing(0.6), True)) == [True, False, True, True]


def test_an_engine_that_somebody_asks_stays() -> None:
    assert play((Sharing(0.9), True), (Sharing(0.9), True)) == [True, True]


def test_an_idle_engine_of_unknown_size_makes_room() -> None:
    assert play((Sharing(None), False), (Sharing(0.9), True)) == [False, True]
    assert play((Sharing(0.4), False), (Sharing(None), True)) == [False, True]
    assert play((Sharing(None), True), (Sharing(0.9), True)) == [True, True]


def test_an_engine_that_was_closed_loads_again() -> None:
    one, two = Sharing(0.9), Sharing(0.9)
    assert play((one, False), (two, False), (one, True)) == [True, False, True]
    assert (one.loads, two.loads) == (2, 1)


def test_engines_are_loaded_one_after_the_other() -> None:
    """vLLM measures the free memory while it loads; another one that loads meanwhile makes it fail."""
    loading: list[str] = []

    class Slow(Sharing):
        async def start(self) -> None:
            if not self.is_loaded:
                assert not loading
                loading.append("")
                await asyncio.sleep(0)
                loading.clear()
            await super().start()

    async def main() -> None:
        loaded = Loaded()
        await asyncio.gather(*(loaded.open(Slow(0.2), object()) for _ in range(4)))

    asyncio.run(main())


def test_an_engine_that_cannot_load_takes_no_room() -> None:
    class Broken(Sharing):
        async def start(self) -> None:
            raise EngineError("no such file")

    async def main() -> bool:
        loaded, whole = Loaded(), Sharing(0.4)
        await loaded.open(whole, 1)
        loaded.leave(whole, 1)
        with pytest.raises(EngineError):
            await loaded.open(Broken(0.6), 2)
        await loaded.open(Sharing(0.6), 3)
        return whole.is_loaded

    assert asyncio.run(main())


@pytest.mark.parametrize(
    ("shares", "fits"),
    [((0.5, 0.5), True), ((0.9, 0.2), False), ((None, 0.9), True), ((None, None), True), ((1.0,), True)],
)
def test_what_fits_together(shares: tuple[Any, ...], fits: bool) -> None:
    assert fit([*map(Sharing, shares), StubEngine(StubOptions(), ModelSource("x"), LoraNeed())]) is fits


def test_an_engine_that_several_models_share_counts_once() -> None:
    engine = Sharing(0.9)
    assert fit([engine, engine])


def test_main_memory_in_shares() -> None:
    taken = of_memory(2**30)
    assert taken.of == MEMORY and taken.share is not None and 0 < taken.share < 1
    assert of_memory(None).share is None
