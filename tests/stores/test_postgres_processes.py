"""PostgreSQL among several nodes: what must happen once happens once, and every node reads the same log."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from doorward.ports import Store
from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import WhenFull
from doorward.values.ticket import SpentTicket, Ticket
from tests.stores.clock import NOW
from tests.stores.grounds import PostgresGround
from tests.stores.made import digest, event, key, principal, revocation, slot, ticket
from tests.stores.neighbour import Neighbour
from tests.stores.test_rates import RATE

pytestmark = pytest.mark.servers


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path)
    yield ground
    await ground.end()


async def test_a_hundred_race_for_a_ticket_and_one_wins(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(2)]
    for code in range(10):
        await stores[0].tickets.put(ticket(code), most=1000)
        answers = await asyncio.gather(*(stores[n % 2].tickets.spend(digest(code), now=NOW) for n in range(100)))
        assert Counter(map(type, answers)) == {Ticket: 1, SpentTicket: 99}


async def test_of_many_slots_at_once_no_more_than_the_limit_are_given(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(3)]
    answers = await asyncio.gather(
        *(
            stores[n % 3].slots.take(slot(f"c{n}", f"user{n % 5}", per_identity=4, per_address=11), now=NOW)
            for n in range(150)
        )
    )
    assert Counter(map(type, answers)) == {Slot: 11, SlotsFull: 139}


async def test_replacing_at_once_never_passes_the_limit_nor_names_one_twice(ground: PostgresGround) -> None:
    """Victims of one identity sit at many addresses, and those of one address are many identities'."""
    stores = [await ground.store(f"n:{n}") for n in range(3)]
    questions = [
        slot(
            f"c{n}",
            f"user{n % 7}",
            address=f"192.0.2.{n % 5}",
            per_identity=3,
            per_address=4,
            when_full=WhenFull.REPLACE_OLDEST,
        )
        for n in range(120)
    ]
    answers = await asyncio.gather(
        *(stores[n % 3].slots.take(question, now=NOW) for n, question in enumerate(questions))
    )
    replaced = [gone for answer in answers if isinstance(answer, Slot) for gone in answer.replaced]
    assert len(replaced) == len(set(replaced))
    held = ground.server.sql("SELECT connection, address FROM doorward_slots", database=ground.url.rpartition("/")[2])
    assert {connection for connection, _ in held} == {f"c{n}" for n in range(120)} - set(replaced)
    assert max(Counter(address for _, address in held).values()) <= 4


async def test_a_follower_finds_a_thousand_parallel_appends_in_order_and_without_a_gap(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(3)]
    follower = await ground.store("n:9")
    writing = [
        asyncio.create_task(stores[n % 3].revocations.append(revocation(f"user{n}", id=f"id-{n}"))) for n in range(1000)
    ]
    seen: list[int] = []
    while len(seen) < len(writing):
        for one in await follower.revocations.read(after=seen[-1] if seen else 0):
            assert one.sequence == (seen[-1] if seen else 0) + 1
            seen.append(one.sequence)
    assert sorted(await asyncio.gather(*writing)) == seen == list(range(1, 1001))


async def test_readers_that_overtake_one_another_are_no_log_set_back(ground: PostgresGround) -> None:
    """An answer that was asked for sooner may come later, and end sooner."""
    store, other = [await ground.store(f"n:{n}") for n in range(2)]
    writing = asyncio.create_task(_append_many(other, 150))

    async def read() -> None:
        cursor = 0
        while not writing.done():
            for one in await store.revocations.read(after=cursor):
                assert one.sequence == cursor + 1
                cursor = one.sequence

    await asyncio.gather(writing, *(read() for _ in range(8)))
    assert len(await store.revocations.read(after=0)) == 150


async def _append_many(store: Store, many: int) -> None:
    for n in range(many):
        await store.revocations.append(revocation(f"user{n}"))


async def test_an_id_is_appended_once_by_however_many_nodes(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(3)]
    answers = await asyncio.gather(
        *(stores[n % 3].revocations.append(revocation(f"user{n % 4}", id=f"id-{n % 4}")) for n in range(60))
    )
    assert {(n % 4, answers[n]) for n in range(60)} == {(n, answers[n]) for n in range(4)}
    assert len(await stores[0].revocations.read(after=0)) == 4


async def test_audit_ids_follow_the_commits_of_every_node(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(3)]
    follower = await ground.store("n:9")
    batches = [[(event(), f"{n}.{m}") for m in range(7)] for n in range(60)]
    writing = [asyncio.create_task(stores[n % 3].audit.append(batch)) for n, batch in enumerate(batches)]
    seen: list[int] = []
    while len(seen) < 420:
        seen += [id for id, _ in await follower.audit.query(after=seen[-1] if seen else 0, limit=50)]
    assert seen == list(range(1, 421))
    await asyncio.gather(*writing)


async def test_processes_share_everything(ground: PostgresGround) -> None:
    store = await ground.store("n:9")
    codes = range(100)
    for code in codes:
        await store.tickets.put(ticket(code, principal(session=str(code))), most=10)
    async with AsyncExitStack() as stack:
        three = [await stack.enter_async_context(Neighbour(ground.url, f"n:{n}")) for n in range(3)]
        spent = await asyncio.gather(*(one.ask(*(["spend", code] for code in codes)) for one in three))
        assert [sum(column) for column in zip(*spent, strict=True)] == [1] * len(codes)
        waits = await asyncio.gather(*(one.ask(*[["rate", "k"]] * 30) for one in three))
        assert sum(wait == 0.0 for row in waits for wait in row) == 20
        added = await asyncio.gather(*(one.ask(["key", f"k{n}"]) for n, one in enumerate(three)))
        assert sum(row[0] for row in added) == 1
        assert await three[0].ask(["slot", "held", 1]) == [True]
        assert isinstance(await store.slots.take(slot("c2", per_identity=1), now=NOW), SlotsFull)
        await three[0].kill()
        for after in (2, 4, 6, 8):
            await store.slots.beat(now=NOW + after)
        assert await store.slots.take(slot("c2", per_identity=1), now=NOW + 8) == Slot()


async def test_nodes_that_start_at_once_make_one_schema(ground: PostgresGround) -> None:
    url = ground.server.database()
    async with AsyncExitStack() as stack:
        three = await asyncio.gather(*(stack.enter_async_context(Neighbour(url, f"n:{n}")) for n in range(3)))
        assert [await one.ask(["revoke", "alice"]) for one in three] == [[1], [2], [3]]
    ground.server.drop(url)


async def test_what_a_node_holds_it_says_again_once_others_have_given_it_up(ground: PostgresGround) -> None:
    """Cut off for longer than its lease: its connections are alive, and count again with its next beat."""
    cut_off, living = [await ground.store(f"n:{n}") for n in range(2)]
    await cut_off.slots.take(slot("c1", per_identity=2), now=NOW)
    await cut_off.slots.take(slot("c2", per_identity=2), now=NOW)
    for after in range(0, 12, 2):
        await living.slots.beat(now=NOW + after)
    assert await living.slots.take(slot("other", per_identity=1), now=NOW + 10) == Slot()
    await living.slots.release("other")
    await cut_off.slots.release("c2")
    await cut_off.slots.beat(now=NOW + 12)
    assert isinstance(await living.slots.take(slot("c3", per_identity=1), now=NOW + 12), SlotsFull)
    await cut_off.slots.release("c1")
    assert await living.slots.take(slot("c3", per_identity=1), now=NOW + 12) == Slot()


async def test_no_more_keys_are_counted_than_the_bound_and_none_is_reset(ground: PostgresGround) -> None:
    """RAT-04."""
    store = await ground.store("n:0")
    store.rates._most = 50  # type: ignore[attr-defined]
    for _ in range(5):
        await store.rates.take(name="n", key="known", rate=RATE, cost=1, now=NOW)
    waits = [await store.rates.take(name="n", key=f"k{n}", rate=RATE, cost=1, now=NOW) for n in range(60)]
    assert waits[:49] == [0.0] * 49
    assert all(0 < wait <= 1 for wait in waits[49:])
    assert await store.rates.take(name="n", key="new", rate=RATE, cost=0, now=NOW) > 0
    assert await store.rates.take(name="n", key="known", rate=RATE, cost=1, now=NOW) == pytest.approx(1.0)
    database = ground.url.rpartition("/")[2]
    assert await store.rates.take(name="n", key="new", rate=RATE, cost=1, now=NOW + 1) == 0.0
    [(kept, counted)] = ground.server.sql(
        "SELECT (SELECT count(*) FROM doorward_rates), held FROM doorward_rate_count", database=database
    )
    assert kept == counted <= 50


async def test_two_first_keys_of_many_nodes_become_one(ground: PostgresGround) -> None:
    stores = [await ground.store(f"n:{n}") for n in range(4)]
    added = await asyncio.gather(
        *(store.keys.add(key(f"k{n}"), retire_others_at=None) for n, store in enumerate(stores))
    )
    assert added.count(True) == 1
