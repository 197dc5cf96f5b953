"""Readiness asks the store at most once a second, and never for longer than its deadline."""

import asyncio

import pytest

from doorward.adapters.web import Readiness, health
from doorward.ports import StoreError
from doorward.testing import FakeClock


class FakeStore:
    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.blocks: asyncio.Event | None = None

    async def check(self) -> None:
        self.asked += 1
        if self.blocks is not None:
            await self.blocks.wait()
        if self.fails:
            raise StoreError("away")


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def readiness(store: FakeStore, clock: FakeClock, draining: bool = False) -> Readiness:
    return Readiness(check=store.check, draining=lambda: draining, clock=clock)


async def test_ready_while_the_store_would_take_a_write(store: FakeStore) -> None:
    clock = FakeClock()
    ready = readiness(store, clock)
    assert await ready.ready()
    store.fails = True
    clock.advance(1.0)
    assert not await ready.ready()
    store.fails = False
    clock.advance(1.0)
    assert await ready.ready()


async def test_asking_often_costs_the_store_once_a_second(store: FakeStore) -> None:
    clock = FakeClock()
    ready = readiness(store, clock)
    for _ in range(100):
        assert await ready.ready()
        clock.advance(0.009)
    assert store.asked == 1
    clock.advance(0.1)
    await ready.ready()
    assert store.asked == 2


async def test_all_who_ask_at_once_wait_for_one_call(store: FakeStore) -> None:
    store.blocks = asyncio.Event()
    ready = readiness(store, FakeClock())
    asking = [asyncio.create_task(ready.ready()) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    store.blocks.set()
    assert await asyncio.gather(*asking[1:]) == [True] * 49
    assert store.asked == 1


async def test_a_store_that_does_not_answer_is_not_ready(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DEADLINE", 0.01)
    store.blocks = asyncio.Event()
    assert not await readiness(store, FakeClock()).ready()


async def test_draining_is_not_ready_and_asks_nobody(store: FakeStore) -> None:
    assert not await readiness(store, FakeClock(), draining=True).ready()
    assert store.asked == 0


async def test_a_clock_that_was_set_back_makes_no_answer_last_longer(store: FakeStore) -> None:
    clock = FakeClock()
    ready = readiness(store, clock)
    assert await ready.ready()
    store.fails = True
    clock._now -= 3600
    assert not await ready.ready()
