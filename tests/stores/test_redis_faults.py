"""What Redis may forget, or others write into it, admits nobody twice and leaves nothing behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from doorward.adapters.stores.redis.rates import _place
from doorward.adapters.stores.redis.slots import LEASE
from doorward.adapters.stores.terms import UNHEARD_KEPT
from doorward.ports import StoreError
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull
from doorward.values.rules import Rate, WhenFull
from doorward.values.ticket import SpentTicket, Ticket
from tests.servers.redis import RedisServer, running_redis, shared
from tests.stores.clock import NOW
from tests.stores.made import digest, node, present, slot, ticket
from tests.stores.redis_ground import RedisGround, RedisParts

pytestmark = pytest.mark.servers

FULL = SlotsFull(Reason.SLOTS_IDENTITY)
SETTLED = 3.0


@pytest.fixture
async def ground() -> AsyncIterator[RedisGround]:
    server = shared()
    ground = RedisGround(lambda: server.url)
    yield ground
    await ground.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One to be hurt."""
    with running_redis(tmp_path / "redis", append="always") as server:
        yield server


@pytest.fixture
async def hurt(server: RedisServer) -> AsyncIterator[RedisGround]:
    ground = RedisGround(lambda: server.url)
    yield ground
    await ground.end()


async def back(*stores: RedisParts) -> None:
    """Returns once all are served again; one that has not noticed yet finds out here."""
    for store in stores:
        async with asyncio.timeout(60):
            while True:
                came = asyncio.Event()

                async def hear(_: object, came: asyncio.Event = came) -> None:
                    came.set()

                store.link.on_back(hear)
                try:
                    await store.check()
                    break
                except StoreError:
                    if not store.link.here:
                        await came.wait()
                        await asyncio.sleep(0)


# tickets


async def test_200_spends_over_three_links_have_one_winner(ground: RedisGround) -> None:
    stores = [await ground.parts(f"n{n}:0") for n in range(3)]
    for code in range(10):
        await stores[0].tickets.put(ticket(code), most=100)
        answers = await asyncio.gather(*(stores[n % 3].tickets.spend(digest(code), now=NOW) for n in range(200)))
        assert Counter(map(type, answers)) == {Ticket: 1, SpentTicket: 199}


async def test_spends_that_are_given_up_leave_no_second_winner(ground: RedisGround) -> None:
    stores = [await ground.parts(f"n{n}:0") for n in range(3)]
    for code in range(40):
        await stores[0].tickets.put(ticket(code), most=100)
        tasks = [asyncio.create_task(stores[n % 3].tickets.spend(digest(code), now=NOW)) for n in range(12)]
        for _ in range(code % 4):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(answer, Ticket) for answer in answers) <= 1
        last = await stores[1].tickets.spend(digest(code), now=NOW)
        won = sum(isinstance(answer, Ticket) for answer in (*answers, last))
        assert won <= 1
        assert isinstance(await stores[2].tickets.spend(digest(code), now=NOW), SpentTicket)


async def test_kill_9_in_the_middle_of_spends_gives_no_ticket_twice(server: RedisServer, hurt: RedisGround) -> None:
    """Three nodes race for 300 tickets, Redis is killed half-way and comes back with what it had written."""
    stores = [await hurt.parts(f"n{n}:0") for n in range(3)]
    codes = range(300)
    await asyncio.gather(*(stores[0].tickets.put(ticket(code), most=1000) for code in codes))
    won: Counter[int] = Counter()
    half = asyncio.Event()

    async def spend(code: int, store: RedisParts) -> None:
        [answer] = await asyncio.gather(store.tickets.spend(digest(code), now=NOW), return_exceptions=True)
        assert answer is None or isinstance(answer, Ticket | SpentTicket | StoreError)
        won[code] += isinstance(answer, Ticket)
        if won.total() >= len(codes) // 2:
            half.set()

    async def race(codes: Sequence[int]) -> None:
        for code in codes:
            await asyncio.gather(*(spend(code, store) for store in stores))

    racing = asyncio.create_task(race(codes))
    await half.wait()
    server.kill()
    await racing
    assert len(codes) // 2 <= won.total() < len(codes)
    server.restart()
    await back(*stores)
    await race(codes)
    assert max(won.values()) == 1


async def test_a_restart_voids_every_ticket_and_spends_none_twice(server: RedisServer, hurt: RedisGround) -> None:
    store = await hurt.parts("a:0")
    await store.tickets.put(ticket("spent"), most=10)
    await store.tickets.put(ticket("open"), most=10)
    assert isinstance(await store.tickets.spend(digest("spent"), now=NOW), Ticket)
    server.kill()
    server.restart()
    await back(store)
    assert server.ask("EXISTS", f"doorward:{{t}}:ticket:{digest('open').hex()}") == 1  # it came back from the disk
    for code in ("spent", "open"):
        assert await store.tickets.spend(digest(code), now=NOW) is None
    assert any("earlier life" in line for line in store.said)
    await store.tickets.put(ticket("new"), most=10)
    assert isinstance(await store.tickets.spend(digest("new"), now=NOW), Ticket)


async def test_a_replica_that_takes_over_knows_no_ticket_of_before(server: RedisServer, tmp_path: Path) -> None:
    with running_redis(tmp_path / "replica", options={"replicaof": f"127.0.0.1 {server.port}"}) as replica:
        addresses = [server.url, replica.url]
        ground = RedisGround(lambda: addresses.pop(0))
        before = await ground.parts("a:0")
        await before.tickets.put(ticket(1), most=10)
        await asyncio.to_thread(server.ask, "WAIT", 1, 30_000)
        server.kill()
        replica.ask("REPLICAOF", "NO", "ONE")
        after = await ground.parts("a:1")
        assert replica.ask("EXISTS", f"doorward:{{t}}:ticket:{digest(1).hex()}") == 1
        assert await after.tickets.spend(digest(1), now=NOW) is None
        await ground.end()


async def test_a_flush_forgets_tickets_and_none_comes_back(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    await store.tickets.put(ticket(1), most=10)
    await store.tickets.spend(digest(1), now=NOW)
    shared()
    assert await store.tickets.spend(digest(1), now=NOW) is None


async def test_what_somebody_else_wrote_is_no_ticket(ground: RedisGround) -> None:
    """Who can write to Redis makes no ticket, moves none to another code, and brings none into a later life."""
    store = await ground.parts("a:0")
    strangers = await ground.parts("a:1", key=bytes(range(1, 33)))
    await strangers.tickets.put(ticket("other key"), most=10)
    await store.tickets.put(ticket("mine"), most=10)
    server = shared_as_it_is()
    mine, moved, forged, old, odd = (
        f"doorward:{{t}}:ticket:{digest(code).hex()}" for code in ("mine", "moved", "forged", "old", "odd")
    )
    server.ask("COPY", mine, moved)
    server.ask("COPY", mine, old)
    server.ask("HSET", old, "life", "another")
    server.ask("HSET", forged, "life", server.ask("HGET", mine, "life"), "ticket", '{"principal": "admin"}')
    server.ask("HSET", odd, "life", server.ask("HGET", mine, "life"), "ticket", "")
    for code in ("other key", "moved", "forged", "old", "odd"):
        assert await store.tickets.look(digest(code)) is None
        assert await store.tickets.spend(digest(code), now=NOW) is None
    assert len(store.said) == 10
    assert isinstance(await store.tickets.spend(digest("mine"), now=NOW), Ticket)
    server.ask("SET", forged, "of another type", "KEEPTTL")
    with pytest.raises(StoreError):
        await store.tickets.spend(digest("forged"), now=NOW)


async def test_redis_holds_no_code_and_forgets_every_ticket(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    await store.tickets.put(ticket("canary-code"), most=10)
    server = shared_as_it_is()
    keys = server.ask("KEYS", "*")
    assert len(keys) == 3  # the ticket, its owner's list, the lease of the slots
    assert not any(b"canary" in key for key in keys)
    for key in keys:
        if b"{t}" in key:
            assert 0 < server.ask("PTTL", key) <= 90_000


# rates


async def test_a_flood_of_new_keys_is_gone_by_itself(ground: RedisGround) -> None:
    """RAT-04: 100,000 keys, and nobody else's count is lost for them."""
    store = await ground.parts("a:0", server_time=True)
    rate = Rate(count=1000, period=1.0, burst=10)
    slow = Rate(count=1, period=3600.0, burst=1)
    assert await store.rates.take(name="n", key="mine", rate=slow, cost=1, now=0.0) == 0.0
    for start in range(0, 100_000, 1000):
        waits = await asyncio.gather(
            *(store.rates.take(name="n", key=f"{start + n}", rate=rate, cost=1, now=0.0) for n in range(1000))
        )
        assert set(waits) == {0.0}
    server = shared_as_it_is()
    expired = server.ask("EVAL", "return #redis.call('KEYS', 'doorward:{r:*')", 0)
    assert expired < 20_000
    assert await store.rates.take(name="n", key="mine", rate=slow, cost=1, now=0.0) > 3500


async def test_every_rate_key_has_its_end(ground: RedisGround) -> None:
    store = await ground.parts("a:0", server_time=True)
    rate = Rate(count=60, period=60.0, burst=5)
    for _ in range(7):
        await store.rates.take(name="n", key="k", rate=rate, cost=1, now=0.0)
    assert 4000 < shared_as_it_is().ask("PTTL", _place("n", "k")) <= 5000


async def test_keys_can_not_run_into_each_other() -> None:
    """AZ-13."""
    places = {
        _place(*pair) for pair in (("a", "bc"), ("ab", "c"), ("a", ":bc"), ("a:", "bc"), ("", "abc"), ("a", "b{}\n*"))
    }
    assert len(places) == 6
    assert all(place.isascii() and place.count("{") == place.count("}") == 1 for place in places)


@pytest.mark.parametrize("junk", ["word", "nan", "inf", "-inf", "", "1e400"])
async def test_junk_in_a_rate_locks_nobody_out(ground: RedisGround, junk: str) -> None:
    store = await ground.parts("a:0")
    rate = Rate(count=60, period=60.0, burst=5)
    shared_as_it_is().ask("SET", _place("n", "k"), junk)
    assert await store.rates.take(name="n", key="k", rate=rate, cost=1, now=NOW) <= 5.0


async def test_the_servers_clock_counts_and_not_the_callers(ground: RedisGround) -> None:
    a, b = [await ground.parts(f"a:{n}", server_time=True) for n in range(2)]
    rate = Rate(count=1, period=3600.0, burst=1)
    assert await a.rates.take(name="n", key="k", rate=rate, cost=1, now=NOW) == 0.0
    assert await b.rates.take(name="n", key="k", rate=rate, cost=1, now=NOW + 7200) > 3500


# slots


async def test_a_flush_loses_no_slot(ground: RedisGround) -> None:
    a, b = [await ground.parts(f"{name}:0") for name in "ab"]
    slots = [slot(f"c{n}", f"user{n}", per_address=5000) for n in range(1200)]
    await asyncio.gather(*(a.slots.take(one, now=NOW) for one in slots))
    assert await a.slots.take(slot("alice1", per_identity=1, per_address=5000), now=NOW) == Slot()
    shared()
    # nobody is given one until all have had the time to put back what they hold
    with pytest.raises(StoreError, match="put back"):
        await b.slots.take(slot("alice2", per_identity=1, per_address=5000), now=NOW)
    await a.slots.beat(now=NOW + 2)
    await b.slots.beat(now=NOW + 2)
    assert await b.slots.take(slot("alice2", per_identity=1, per_address=5000), now=NOW + SETTLED) == FULL
    assert await b.slots.take(slot("bob", "bob", per_address=1201), now=NOW + SETTLED) == SlotsFull(
        Reason.SLOTS_ADDRESS
    )
    await a.slots.release(*(f"c{n}" for n in range(1200)), "alice1")
    await b.slots.release("alice2", "bob")
    assert left_of(shared_as_it_is()) == []


async def test_the_order_outlives_a_flush(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    for n in range(3):
        await store.slots.take(slot(f"c{n}", per_identity=9, per_address=9), now=NOW)
    shared()
    await store.slots.beat(now=NOW + 1)
    await store.slots.take(slot("c3", per_identity=9, per_address=9), now=NOW + SETTLED + 1)
    question = slot("new", per_identity=3, per_address=9, when_full=WhenFull.REPLACE_OLDEST)
    assert await store.slots.take(question, now=NOW + SETTLED + 1) == Slot(replaced=("c0", "c1"))


async def test_slots_are_put_back_before_anybody_is_served(server: RedisServer, hurt: RedisGround) -> None:
    """A restart without its data, with nothing but the link's own way back in between."""
    a, b = [await hurt.parts(f"{name}:0") for name in "ab"]
    assert await a.slots.take(slot("c1", per_identity=1), now=NOW) == Slot()
    server.kill()
    for file in (server.folder / "appendonlydir").iterdir():
        file.unlink()
    server.restart()
    await back(a, b)
    assert server.ask("ZCARD", "doorward:{s}:live") == 2
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + SETTLED) == FULL


async def test_what_a_snapshot_brings_back_of_ours_is_freed(server: RedisServer, hurt: RedisGround) -> None:
    a, b = [await hurt.parts(f"{name}:0") for name in "ab"]
    for n in range(3):
        await a.slots.take(slot(f"c{n}", per_identity=3), now=NOW)
    server.kill()
    with pytest.raises(StoreError):
        await a.slots.release("c0", "c1")
    server.restart()
    await back(a, b)
    assert await b.slots.take(slot("d0", per_identity=2), now=NOW) == Slot()
    assert await b.slots.take(slot("d1", per_identity=2), now=NOW) == FULL


async def test_who_was_away_for_long_loses_nothing_to_who_came_back_first(ground: RedisGround) -> None:
    """Redis was away for a minute, so every lease has run out: the first to be back frees nobody's slots."""
    a, b = [await ground.parts(f"{name}:0") for name in "ab"]
    assert await a.slots.take(slot("c1", per_identity=1), now=NOW) == Slot()
    await b.slots.beat(now=NOW + 60)
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + 60) == FULL
    await b.slots.beat(now=NOW + 62)
    await a.slots.beat(now=NOW + 62)
    await b.slots.beat(now=NOW + 66)
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + 66) == FULL


async def test_who_stood_still_has_his_slots_again(ground: RedisGround) -> None:
    """A suspended process: the others took its places meanwhile, and it still has its connections."""
    a, b = [await ground.parts(f"{name}:0") for name in "ab"]
    await a.slots.take(slot("c1", per_identity=1), now=NOW)
    for after in range(2, 14, 2):
        await b.slots.beat(now=NOW + after)
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + 12) == Slot()
    await a.slots.beat(now=NOW + 13)
    await b.slots.release("c2")
    assert await b.slots.take(slot("c3", per_identity=1), now=NOW + 13) == FULL
    await a.slots.release("c1")
    assert await b.slots.take(slot("c3", per_identity=1), now=NOW + 13) == Slot()


async def test_nothing_of_the_dead_stays(ground: RedisGround) -> None:
    dead, living = [await ground.parts(f"{name}:0") for name in "ab"]
    for start in range(0, 2500, 500):
        slots = [
            slot(f"c{n}", f"user{n}", address=f"address{n % 50}", per_address=5000) for n in range(start, start + 500)
        ]
        await asyncio.gather(*(dead.slots.take(one, now=NOW) for one in slots))
    server = shared_as_it_is()
    assert len(left_of(server)) > 2500
    await dead.link.close()
    for after in range(2, 18, 2):
        await living.slots.beat(now=NOW + after)
    assert left_of(server) == []
    assert server.ask("ZCARD", "doorward:{s}:live") == 1


async def test_what_is_left_in_order_leaves_nothing(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    slots = [slot(f"c{n}", f"user{n}", per_address=5000) for n in range(2500)]
    await asyncio.gather(*(store.slots.take(one, now=NOW) for one in slots))
    await store.held.stop()
    server = shared_as_it_is()
    assert left_of(server) == []
    assert server.ask("ZCARD", "doorward:{s}:live") == 0


async def test_a_limit_that_was_lowered_by_thousands_replaces_them_all(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    for start in range(0, 9000, 500):
        names = [(f"c{n}", f"user{n}") for n in range(start, start + 500)]
        await asyncio.gather(*(store.slots.take(slot(*name, per_address=9999), now=NOW) for name in names))
    question = slot("new", "user", per_address=1, when_full=WhenFull.REPLACE_OLDEST)
    answer = await store.slots.take(question, now=NOW)
    assert answer == Slot(replaced=tuple(f"c{n}" for n in range(9000)))


async def test_a_take_that_nobody_waits_for_holds_nothing(ground: RedisGround) -> None:
    store = await ground.parts("a:0")
    for turn in range(60):
        task = asyncio.create_task(store.slots.take(slot(f"c{turn}", per_identity=1), now=NOW))
        for _ in range(turn % 6):
            await asyncio.sleep(0)
        task.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        if outcome == Slot():
            await store.slots.release(f"c{turn}")
        assert await store.slots.take(slot(f"d{turn}", per_identity=1), now=NOW) == Slot()
        await store.slots.release(f"d{turn}")
    await store.slots.beat(now=NOW)
    assert left_of(shared_as_it_is()) == []


async def test_what_could_not_be_released_is_with_the_next_beat(server: RedisServer, hurt: RedisGround) -> None:
    store = await hurt.parts("a:0", deadline=2.0)
    await store.slots.take(slot("c1", per_identity=1), now=NOW)
    server.pause()
    with pytest.raises(StoreError):
        await store.slots.release("c1")
    server.resume()
    await back(store)
    await store.slots.beat(now=NOW + 1)
    assert left_of(server) == []


async def test_a_server_that_stood_still_gives_no_slot_twice(server: RedisServer, hurt: RedisGround) -> None:
    """SIGSTOP: what was asked meanwhile may be done when it goes on, for callers who were told no."""
    a, b = [await hurt.parts(f"{name}:0", deadline=2.0) for name in "ab"]
    await a.slots.take(slot("c0", per_identity=2), now=NOW)
    server.pause()
    outcomes = await asyncio.gather(
        *(store.slots.take(slot(f"{n}{store.said}", per_identity=2), now=NOW) for n in range(20) for store in (a, b)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {StoreError}
    server.resume()
    await back(a, b)
    for store in (a, b):
        await store.slots.beat(now=NOW)
    assert await b.slots.take(slot("c1", per_identity=2), now=NOW) == Slot()
    assert await b.slots.take(slot("c2", per_identity=2), now=NOW) == FULL


async def test_the_servers_clock_counts_for_leases(ground: RedisGround) -> None:
    """Nodes whose clocks are an hour apart neither free nor keep each other's slots."""
    a, b = [await ground.parts(f"{name}:0", server_time=True) for name in "ab"]
    await a.slots.take(slot("c1", per_identity=1), now=NOW)
    await b.slots.beat(now=NOW + 3600)
    await b.slots.beat(now=NOW + 7200)
    assert await b.slots.take(slot("c2", per_identity=1), now=NOW + 7200) == FULL
    lease = float(shared_as_it_is().ask("ZRANGE", "doorward:{s}:live", 0, 0, "WITHSCORES")[1])
    seconds, _ = shared_as_it_is().ask("TIME")
    assert 0 < lease - int(seconds) <= LEASE + 1


# presence


async def test_rows_come_back_after_a_flush(ground: RedisGround) -> None:
    store, other = [await ground.parts(f"gw-1:{n}") for n in range(2)]
    rows = [present(f"c{n:04}", opened_at=NOW + n) for n in range(1000)]
    await store.presence.beat(node())
    await store.presence.note(opened=rows, closed=())
    shared()
    assert await other.presence.connections(now=NOW) == []
    await store.presence.note(opened=(), closed=["c0003"])
    await store.presence.beat(node(beat_at=NOW + 2))
    assert await other.presence.connections(now=NOW + 2) == rows[:3] + rows[4:]


async def test_what_could_not_be_noted_is_there_with_the_next_beat(server: RedisServer, hurt: RedisGround) -> None:
    store = await hurt.parts("gw-1:0", deadline=2.0)
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1")], closed=())
    server.pause()
    with pytest.raises(StoreError):
        await store.presence.note(opened=[present("c2")], closed=["c1"])
    server.resume()
    await back(store)
    await store.presence.beat(node())
    assert await store.presence.connections(now=NOW) == [present("c2")]


async def test_what_is_left_of_the_dead_goes_by_itself(ground: RedisGround) -> None:
    store = await ground.parts("gw-1:0")
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1")], closed=())
    server = shared_as_it_is()
    [key] = server.ask("KEYS", "doorward:{p}:rows:*")
    assert 0 < server.ask("TTL", key) <= 60
    await store.presence.beat(node(1, beat_at=NOW + UNHEARD_KEPT + 1))
    assert server.ask("ZCARD", "doorward:{p}:beats") == server.ask("HLEN", "doorward:{p}:workers") == 1


async def test_junk_among_the_rows_hides_nobody(ground: RedisGround) -> None:
    store = await ground.parts("gw-1:0")
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1")], closed=())
    server = shared_as_it_is()
    [key] = server.ask("KEYS", "doorward:{p}:rows:*")
    for n, junk in enumerate(("", "word", "[]", '{"a": 1}', "[1, 2, 3]", "null")):
        server.ask("HSET", key, f"x{n}", junk)
        server.ask("HSET", "doorward:{p}:workers", f"x{n}", junk)
        server.ask("ZADD", "doorward:{p}:beats", NOW, f"x{n}")
    assert await store.presence.connections(now=NOW) == [present("c1")]
    assert await store.presence.nodes(now=NOW) == [node()]


def shared_as_it_is() -> RedisServer:
    """Without emptying it."""
    from tests.servers import redis

    return redis._shared[0]


def left_of(server: RedisServer) -> list[bytes]:
    """What there is about single slots."""
    return [key for kind in "iap" for key in server.ask("KEYS", f"doorward:{{s}}:{kind}:*")]
