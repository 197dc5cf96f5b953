"""SQLite among several processes: what must happen once happens once, and what one did the others see."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import Rate
from tests.stores.clock import NOW
from tests.stores.grounds import SqliteGround
from tests.stores.made import slot, ticket
from tests.stores.neighbour import Neighbour


async def test_a_call_that_waited_for_others_is_counted_when_its_turn_comes(tmp_path: Path) -> None:
    """Seen as a 429 among 20,000 handshakes over 3 workers: it had waited longer than its whole burst takes."""
    ground = SqliteGround(tmp_path, shared=True)
    store = await ground.store("a:0")
    rate = Rate(count=60, period=60.0, burst=5)
    with closing(sqlite3.connect(ground.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        late = asyncio.create_task(store.rates.take(name="n", key="k", rate=rate, cost=1, now=NOW))
        await asyncio.sleep(0)
        ground.clock.at = NOW + 6
        other.execute("INSERT INTO rates (tat, name, key) VALUES (?, ?, ?)", (NOW + 7, "n", "k"))
        other.execute("COMMIT")
    assert await late == 0.0
    await ground.end()


async def test_what_may_happen_once_happens_once(tmp_path: Path) -> None:
    ground = SqliteGround(tmp_path, shared=True)
    store = await ground.store("a:9")
    codes = range(200)
    for code in codes:
        await store.tickets.put(ticket(code), most=1000)
    async with AsyncExitStack() as stack:
        four = [await stack.enter_async_context(Neighbour(ground.path, f"a:{n}")) for n in range(4)]
        spent = await asyncio.gather(*(one.ask(*(["spend", code] for code in codes)) for one in four))
        assert [sum(column) for column in zip(*spent, strict=True)] == [1] * len(codes)

        waits = await asyncio.gather(*(one.ask(*[["rate", "k"]] * 30) for one in four))
        assert sum(wait == 0.0 for row in waits for wait in row) == 20

        held = await asyncio.gather(
            *(one.ask(*(["slot", f"{n}-{m}", 7] for m in range(10))) for n, one in enumerate(four))
        )
        assert sum(sum(row) for row in held) == 7

        added = await asyncio.gather(*(one.ask(["key", f"k{n}"]) for n, one in enumerate(four)))
        assert sum(row[0] for row in added) == 1

        versions = [await store.bans.version()]
        for one in four:
            await one.ask(["ban"])
            versions.append(await store.bans.version())
        assert len(set(versions)) == 5

        for n, one in enumerate(four):
            [sequence] = await one.ask(["revoke", f"user{n}"])
            assert [read.sequence for read in await store.revocations.read(after=sequence - 1)] == [sequence]
    await ground.end()


async def test_slots_of_a_killed_process_come_free(tmp_path: Path) -> None:
    ground = SqliteGround(tmp_path, shared=True)
    store = await ground.store("a:0")
    async with Neighbour(ground.path, "a:1") as other:
        assert await other.ask(["slot", "c1", 1]) == [True]
        assert isinstance(await store.slots.take(slot("c2", per_identity=1), now=NOW), SlotsFull)
        await other.kill()
    for after in (2, 4, 6, 8):
        await store.slots.beat(now=NOW + after)
    assert await store.slots.take(slot("c2", per_identity=1), now=NOW + 8) == Slot()
    await ground.end()


async def test_processes_that_start_at_once_make_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "doorward.db"
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(
            *(stack.enter_async_context(Neighbour(path, f"a:{n}")) for n in range(4)),
        )
        assert [await one.ask(["revoke", "alice"]) for one in started] == [[1], [2], [3], [4]]


async def test_a_second_store_in_a_process_does_not_take_the_firsts_locks(tmp_path: Path) -> None:
    """Two middlewares in one application. Without its locks the next command to end would take the log away, and what
    later ones revoke would never be seen."""
    ground = SqliteGround(tmp_path, shared=True)
    first = await ground.store("a:1")
    await first.revocations.read(after=0)
    second = await ground.store("a:2")
    for user in ("ann", "bob"):
        async with Neighbour(ground.path, "b:1") as other:
            [sequence] = await other.ask(["revoke", user])
        for store in (first, second):
            assert [read.sequence for read in await store.revocations.read(after=sequence - 1)] == [sequence]
    await ground.end()
