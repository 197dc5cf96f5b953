"""A Redis Cluster that is resharded and loses a master while everybody goes on asking."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from doorward.adapters.stores.redis.rates import _place
from doorward.ports import StoreError
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import Rate
from doorward.values.ticket import SpentTicket, Ticket
from tests.servers.redis import RedisCluster, running_cluster, shared, shared_cluster
from tests.stores.clock import NOW
from tests.stores.made import digest, node, present, slot, ticket
from tests.stores.redis_ground import RedisGround, RedisParts

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

FULL = SlotsFull(Reason.SLOTS_IDENTITY)
RATE = Rate(count=60, period=60.0, burst=5)
TAGS = ("{t}", "{s}", "{p}", "{f}")


@pytest.fixture
async def ground() -> AsyncIterator[RedisGround]:
    cluster = shared_cluster()
    ground = RedisGround(lambda: cluster.url)
    yield ground
    await ground.end()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters with a replica each, to be hurt."""
    with running_cluster(tmp_path / "cluster", masters=3, replicas=1) as cluster:
        yield cluster


@pytest.fixture
async def hurt(cluster: RedisCluster) -> AsyncIterator[RedisGround]:
    ground = RedisGround(lambda: cluster.url)
    yield ground
    await ground.end()


async def test_the_parts_lie_on_several_masters() -> None:
    cluster = shared_cluster()
    assert len({cluster.server_of(tag).port for tag in TAGS}) > 1


async def test_a_slot_that_moves_loses_no_answer_and_no_place(ground: RedisGround) -> None:
    """MOVED, ASK and TRYAGAIN, while slots are taken and released all the time."""
    cluster = shared_cluster()
    a, b = [await ground.parts(f"{name}:0", deadline=30.0) for name in "ab"]
    for n in range(300):
        assert await a.slots.take(slot(f"c{n}", f"user{n}", per_address=5000), now=NOW) == Slot()
    outcomes: Counter[str] = Counter()
    moved = asyncio.Event()

    async def come_and_go(store: RedisParts, who: int) -> None:
        turn = 0
        while not moved.is_set() or turn < 20:
            question = slot(f"{who}-{turn}", f"visitor{who}", per_identity=1, per_address=5000)
            outcomes[type(await store.slots.take(question, now=NOW)).__name__] += 1
            await store.slots.release(question.connection)
            turn += 1

    visitors = [asyncio.create_task(come_and_go(store, who)) for who, store in enumerate((a, b) * 4)]
    try:
        for _ in range(3):
            move = await asyncio.to_thread(cluster.begin_move, "{s}")
            while await asyncio.to_thread(partial(cluster.carry, *move, most=50)):
                pass
            await asyncio.to_thread(cluster.end_move, *move)
    finally:
        moved.set()
    await asyncio.gather(*visitors)
    assert outcomes.keys() == {"Slot"}
    assert a.link.here
    assert b.link.here
    assert a.said == b.said == []
    assert await b.slots.take(slot("more", per_address=300), now=NOW) == SlotsFull(Reason.SLOTS_ADDRESS)
    assert await b.slots.take(slot("more", per_address=301), now=NOW) == Slot()
    assert await b.slots.take(slot("again", "user7", per_identity=1, per_address=5000), now=NOW) == FULL


async def test_scripts_are_loaded_where_a_slot_went(ground: RedisGround) -> None:
    cluster = shared_cluster()
    store = await ground.parts("a:0")
    await store.tickets.put(ticket(1), most=10)
    move = cluster.begin_move("{t}")
    cluster.carry(*move)
    move[2].ask("SCRIPT", "FLUSH")
    # its ticket was carried along and the slot is not: asked there by ASK, where no script is known
    assert await store.tickets.spend(digest(1), now=NOW) is not None
    cluster.end_move(*move)
    move[2].ask("SCRIPT", "FLUSH")
    await store.tickets.put(ticket(2), most=10)
    assert isinstance(await store.tickets.spend(digest(2), now=NOW), Ticket)


async def test_two_spends_of_a_ticket_whose_slot_moves_have_at_most_one_winner(ground: RedisGround) -> None:
    cluster = shared_cluster()
    stores = [await ground.parts(f"{name}:0") for name in "ab"]
    for code in range(6):
        await stores[0].tickets.put(ticket(code), most=100)
        move = cluster.begin_move("{t}")
        first = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for store in stores * 5))
        cluster.carry(*move)
        second = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for store in stores * 5))
        cluster.end_move(*move)
        third = await asyncio.gather(*(store.tickets.spend(digest(code), now=NOW) for store in stores * 5))
        won = Counter(isinstance(answer, Ticket) for answer in (*first, *second, *third))
        assert won[True] == 1


async def test_a_rate_counts_on_where_its_slot_went(ground: RedisGround) -> None:
    cluster = shared_cluster()
    store = await ground.parts("a:0")
    waits = []
    for turn in range(8):
        if turn in {2, 5}:
            move = cluster.begin_move(_place("n", "k"))
            cluster.carry(*move)
            cluster.end_move(*move)
        waits.append(await store.rates.take(name="n", key="k", rate=RATE, cost=1, now=NOW))
    assert [wait == 0.0 for wait in waits] == [True] * 5 + [False] * 3


async def test_a_master_that_dies_is_followed_to_its_replica(cluster: RedisCluster, hurt: RedisGround) -> None:
    a, b = [await hurt.parts(f"{name}:0") for name in "ab"]
    for n in range(50):
        await a.slots.take(slot(f"c{n}", f"user{n}", per_identity=1, per_address=999), now=NOW)
    await a.presence.beat(node())
    await a.presence.note(opened=[present("c1")], closed=())
    await a.tickets.put(ticket("before"), most=10)
    for tag in ("{s}", "{t}"):
        master = cluster.server_of(tag)
        master.kill()
        while cluster.server_of(tag) is master:  # noqa: ASYNC110 - a real cluster's own time, some seconds
            await asyncio.sleep(0.05)
        for store in (a, b):
            await back(store)
    assert await b.slots.take(slot("d", "user7", per_identity=1, per_address=999), now=NOW) == FULL
    assert await b.slots.take(slot("d", per_address=50), now=NOW) == SlotsFull(Reason.SLOTS_ADDRESS)
    assert await b.tickets.spend(digest("before"), now=NOW) is None
    await a.tickets.put(ticket("after"), most=10)
    answers = await asyncio.gather(*(store.tickets.spend(digest("after"), now=NOW) for store in (a, b) * 20))
    assert Counter(map(type, answers)) == {Ticket: 1, SpentTicket: 39}
    await a.presence.beat(node(beat_at=NOW + 1))
    assert await b.presence.connections(now=NOW + 1) == [present("c1")]


async def test_a_replica_that_takes_over_in_order_is_begun_with_anew(cluster: RedisCluster, hurt: RedisGround) -> None:
    """CLUSTER FAILOVER: the old master lives on and sends us to the new one, which may not have heard all."""
    store = await hurt.parts("a:0")
    await store.slots.take(slot("c1", per_identity=1), now=NOW)
    master, epoch, life = cluster.server_of("{s}"), store.link.epoch, store.link.life("{s}")
    replica = cluster.servers[cluster.servers.index(master) + 3]
    replica.ask("CLUSTER", "FAILOVER")
    async with asyncio.timeout(120):
        while store.link.epoch == epoch:  # the old master serves until it has heard of it itself
            await back(store)
    assert store.link.life("{s}") != life
    assert await store.slots.take(slot("c2", per_identity=1), now=NOW) == FULL


async def test_a_cluster_without_one_of_its_masters_serves_nobody(tmp_path: Path) -> None:
    """No replica took over: whatever is asked fails, quickly, and all is well once it is back."""
    with running_cluster(tmp_path / "cluster") as cluster:
        ground = RedisGround(lambda: cluster.url)
        store = await ground.parts("a:0")
        lost = cluster.server_of("{s}")
        lost.kill()
        with pytest.raises(StoreError):
            await store.slots.take(slot("c1"), now=NOW)
        with pytest.raises(StoreError):
            await store.tickets.spend(digest(1), now=NOW)
        lost.restart()
        await back(store)
        assert await store.slots.take(slot("c1"), now=NOW + 3) == Slot()
        await ground.end()


async def test_a_url_that_names_the_wrong_kind_says_which_is_right() -> None:
    cluster = RedisGround(lambda: shared().url.replace("redis://", "redis+cluster://"))
    with pytest.raises(StoreError, match=r"begin store\.cluster_url with redis://"):
        await cluster.parts("a:0")
    single = RedisGround(lambda: shared_cluster().url.replace("redis+cluster://", "redis://"))
    with pytest.raises(StoreError, match=r"begin store\.cluster_url with redis\+cluster://"):
        await single.parts("a:0")
    await cluster.end()
    await single.end()


async def back(store: RedisParts) -> None:
    """Returns once it is served again; one that has not noticed yet finds out here."""
    async with asyncio.timeout(120):
        while True:
            came = asyncio.Event()

            async def hear(_: object, came: asyncio.Event = came) -> None:
                came.set()

            store.link.on_back(hear)
            try:
                await asyncio.gather(*(store.link.call("GET", f"doorward:{tag}:none") for tag in TAGS))
                return
            except StoreError:
                if not store.link.here:
                    await came.wait()
                    await asyncio.sleep(0)
