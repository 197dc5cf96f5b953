"""Whose clock counts: the server's, for leases and rates, whatever the nodes' clocks say."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import Rate
from tests.stores.clock import NOW, StillClock
from tests.stores.grounds import PostgresGround
from tests.stores.made import ban, slot

pytestmark = pytest.mark.servers

DAY = 86_400.0


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path)
    yield ground
    await ground.end()


async def opened(ground: PostgresGround, process: str, *, ahead: float) -> PostgresStore:
    """As a node in production has it, with a clock that is wrong."""
    store = PostgresStore(ground.url, clock=StillClock(NOW + ahead), process=process)
    await store.open()
    return store


async def test_the_servers_time_is_told(ground: PostgresGround) -> None:
    store = await ground.store("a:0")
    before = time.time()
    told = await store.time()
    assert told is not None
    assert before - 1 <= told <= time.time() + 1


async def test_a_rate_is_by_the_servers_clock(ground: PostgresGround) -> None:
    fast, slow = await opened(ground, "a:0", ahead=DAY), await opened(ground, "a:1", ahead=-DAY)
    rate = Rate(count=1, period=3600.0, burst=2)
    waits = [
        await store.rates.take(name="n", key="k", rate=rate, cost=1, now=store._clock.now())
        for store in (fast, slow, fast, slow)
    ]
    assert waits[:2] == [0.0, 0.0]
    assert all(3500 < wait <= 3600 for wait in waits[2:])
    for store in (fast, slow):
        await store.close()


async def test_a_lease_is_by_the_servers_clock(ground: PostgresGround) -> None:
    fast, slow = await opened(ground, "a:0", ahead=DAY), await opened(ground, "a:1", ahead=-DAY)
    await slow.slots.take(slot("c1", per_identity=1), now=slow._clock.now())
    await fast.slots.beat(now=fast._clock.now())
    assert isinstance(await fast.slots.take(slot("c2", per_identity=1), now=fast._clock.now()), SlotsFull)
    database = ground.url.rpartition("/")[2]
    ground.server.sql("UPDATE doorward_slot_leases SET beat_at = beat_at - 8 WHERE process = 'a:1'", database=database)
    await fast.slots.beat(now=fast._clock.now())
    assert await fast.slots.take(slot("c2", per_identity=1), now=fast._clock.now()) == Slot()
    for store in (fast, slow):
        await store.close()


async def test_a_sweep_is_by_the_servers_clock(ground: PostgresGround) -> None:
    wrong = await opened(ground, "a:0", ahead=-365 * DAY)
    await wrong.bans.add(ban(expires_at=time.time() + 60))
    await wrong.bans.add(ban(expires_at=time.time() - 60))
    assert await wrong.sweep() is False
    rows = ground.server.sql("SELECT id FROM doorward_bans", database=ground.url.rpartition("/")[2])
    assert rows == [(1,)]
    await wrong.close()
