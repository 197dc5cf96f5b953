"""Rates stay bounded under a flood of new keys, and a flood resets nobody (RAT-04, AZ-29). In memory and as rows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.adapters.stores.memory import MemoryRates
from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.sqlite.rates import SqliteRates
from doorward.ports import RateStore
from doorward.values.rules import Rate
from tests.stores.clock import NOW, StillClock

MOST = 50
RATE = Rate(count=60, period=60.0, burst=5)


@pytest.fixture(params=["memory", "sqlite"])
async def rates(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RateStore]:
    if request.param == "memory":
        yield MemoryRates(most=MOST)
        return
    database = Database(tmp_path / "file")
    await database.open(now=NOW)
    yield SqliteRates(database, StillClock(), most=MOST)
    await database.close()


async def take(rates: RateStore, key: object, *, now: float = NOW, cost: int = 1) -> float:
    return await rates.take(name="n", key=str(key), rate=RATE, cost=cost, now=now)


async def test_new_keys_wait_while_all_are_live(rates: RateStore) -> None:
    for _ in range(5):
        await take(rates, "victim")
    for n in range(MOST - 1):
        assert await take(rates, n) == 0.0
    for n in range(1000):
        assert 0 < await take(rates, f"flood{n}") <= 1.0
        assert 0 < await take(rates, f"flood{n}", cost=0) <= 1.0
    # Nobody was pushed out: the victim's burst is still spent, and the others go on.
    assert await take(rates, "victim") == pytest.approx(1.0)
    assert await take(rates, 0) == 0.0


async def test_who_has_passed_makes_room(rates: RateStore) -> None:
    for n in range(MOST):
        await take(rates, n)
    for _ in range(4):
        await take(rates, 0)
    assert await take(rates, "new", now=NOW + 0.5) == pytest.approx(0.5)
    for n in range(MOST - 1):
        assert await take(rates, f"new{n}", now=NOW + 1) == 0.0
    assert await take(rates, "one too many", now=NOW + 1) > 0
    assert await take(rates, 0, now=NOW + 1, cost=5) > 0


async def test_a_long_flood_keeps_the_table_small_and_others_counts() -> None:
    rates = MemoryRates(most=MOST)
    for n in range(20_000):
        await take(rates, n, now=NOW + n / 10)
        if n % 5 == 0:
            await take(rates, "busy", now=NOW + n / 10)
        assert len(rates) <= 16
    assert await take(rates, "busy", now=NOW + 1999.9, cost=5) > 0


async def test_a_full_table_and_a_clock_that_steps_back(rates: RateStore) -> None:
    for n in range(MOST):
        await take(rates, n)
    assert await take(rates, 0, now=NOW - 100) == pytest.approx(1.0)
    assert await take(rates, 0, now=NOW - 99) == 0.0
    assert await take(rates, "new", now=NOW - 100) > 0
    assert await take(rates, "new", now=NOW + 2) == 0.0
