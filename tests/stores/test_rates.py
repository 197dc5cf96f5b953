"""RateStore: GCRA to the event, and a state that no flood makes grow or forget."""

import asyncio

import pytest

from doorward.ports import Store
from doorward.values.rules import Rate
from tests.stores.clock import NOW
from tests.stores.grounds import Ground

RATE = Rate(count=60, period=60.0, burst=5)


async def take(store: Store, *, key: str = "k", now: float = NOW, cost: int = 1, name: str = "n") -> float:
    return await store.rates.take(name=name, key=key, rate=RATE, cost=cost, now=now)


async def test_the_burst_then_exactly_the_wait(store: Store) -> None:
    assert [await take(store) for _ in range(5)] == [0.0] * 5
    assert await take(store) == pytest.approx(1.0)
    assert await take(store, now=NOW + 0.25) == pytest.approx(0.75)
    assert await take(store, now=NOW + 0.99) > 0
    assert await take(store, now=NOW + 1) == 0.0
    assert await take(store, now=NOW + 1) == pytest.approx(1.0)


async def test_what_is_refused_costs_nothing(store: Store) -> None:
    for _ in range(5):
        await take(store)
    for _ in range(100):
        assert await take(store) == pytest.approx(1.0)


async def test_a_cost_counts_as_that_many(store: Store) -> None:
    assert await take(store, cost=4) == 0.0
    assert await take(store, cost=2) == pytest.approx(1.0)
    assert await take(store, cost=1) == 0.0
    assert await take(store, cost=6) == float("inf")


async def test_cost_0_looks_and_takes_nothing(store: Store) -> None:
    for _ in range(20):
        assert await take(store, cost=0) == 0.0
    for _ in range(5):
        assert await take(store) == 0.0
    assert await take(store, cost=0) == pytest.approx(1.0)
    assert await take(store, cost=0, now=NOW + 0.5) == pytest.approx(0.5)
    assert await take(store, cost=0, now=NOW + 1) == 0.0


async def test_names_and_keys_count_apart(store: Store) -> None:
    for _ in range(5):
        await take(store)
    assert await take(store, key="other") == 0.0
    assert await take(store, name="other") == 0.0
    assert await take(store) > 0


async def test_a_clock_that_steps_back_locks_nobody_out(store: Store) -> None:
    """RAT-06: at worst it is as after a burst."""
    for _ in range(5):
        await take(store)
    assert await take(store, now=NOW - 3600) == pytest.approx(1.0)
    assert await take(store, now=NOW - 3600 + 5) == 0.0


async def test_looking_after_a_clock_stepped_back_locks_nobody_out(store: Store) -> None:
    for _ in range(5):
        await take(store)
    assert await take(store, now=NOW - 3600, cost=0) == pytest.approx(1.0)
    assert await take(store, now=NOW - 3600 + 5, cost=0) == 0.0


async def test_parallel_calls_let_exactly_the_burst_pass(store: Store) -> None:
    """RAT-03."""
    waits = await asyncio.gather(*(take(store) for _ in range(200)))
    assert waits.count(0.0) == 5


async def test_two_processes_count_as_one(shared_ground: Ground) -> None:
    stores = [await shared_ground.store(f"a:{n}") for n in range(2)]
    waits = await asyncio.gather(*(take(stores[n % 2]) for n in range(100)))
    assert waits.count(0.0) == 5
    assert await take(stores[0], cost=0) == await take(stores[1], cost=0) > 0
