"""PostgreSQL killed, silent, restarted, full: StoreError in time and nothing else, and well again by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sized
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest

from doorward.adapters.stores.postgres.connecting import HANDSHAKES, Place
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.ports import LogBehindError, Store, StoreError
from doorward.service.withdrawals import Withdrawals
from doorward.values.question import Slot
from doorward.values.ticket import SpentTicket, Ticket
from tests.servers.postgres import PASSWORD, Postgres, running
from tests.stores.calling import CALLS, at, healed, outcomes, until
from tests.stores.clock import NOW
from tests.stores.grounds import PostgresGround
from tests.stores.made import (
    digest,
    event,
    principal,
    revocation,
    slot,
    ticket,
)

pytestmark = pytest.mark.servers

# The bound is 2 s; the rest is what a test on a busy machine may take to be woken.
WITHIN = 2.0 + 3.0


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[PostgresGround]:
    ground = PostgresGround(tmp_path, patience=HANDSHAKES)
    yield ground
    await ground.end()


@pytest.fixture(scope="module")
def hurt() -> Iterator[Postgres]:
    """A server that may be hurt; each test leaves it running."""
    with running() as server:
        yield server


@pytest.fixture
def url(hurt: Postgres) -> str:
    """A database on a server that may be hurt."""
    return hurt.database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = at(url)
    await store.open()
    yield store
    await store.close()


def is_reached(goal: int, *kept: Sized) -> bool:
    return sum(map(len, kept)) >= goal


async def listens(store: Store) -> None:
    """Until word of what others commit is heard again: None is not "no"."""
    await until(lambda: store.revocations.touched() is not None)


async def test_killed_it_is_away_at_once_and_back_as_soon_as_it_is(hurt: Postgres, store: PostgresStore) -> None:
    assert set((await outcomes(store)).values()) == {"done"}
    hurt.kill()
    async with asyncio.timeout(WITHIN):
        assert set((await outcomes(store)).values()) == {"StoreError"}
    began = asyncio.get_running_loop().time()
    for _ in range(100):
        assert set((await outcomes(store)).values()) == {"StoreError"}
    each = (asyncio.get_running_loop().time() - began) / 100 / len(CALLS)
    assert each < 0.05, "nobody waits for what is away"
    assert store.revocations.touched() is None
    hurt.start()
    await healed(store)
    assert set((await outcomes(store)).values()) == {"done"}


async def test_idle_it_notices_that_the_server_went(hurt: Postgres, store: PostgresStore) -> None:
    """So that the first to come is told at once."""
    hurt.kill()
    await until(lambda: store._link.is_away)
    hurt.start()
    await healed(store)


async def test_silent_it_is_waited_for_no_longer_than_the_bound(hurt: Postgres, store: PostgresStore) -> None:
    await store.check()
    hurt.pause()
    try:
        async with asyncio.timeout(WITHIN):
            assert set((await outcomes(store)).values()) == {"StoreError"}
        async with asyncio.timeout(1):
            assert set((await outcomes(store)).values()) == {"StoreError"}
        assert store.revocations.touched() is not False
    finally:
        hurt.resume()
    await healed(store)
    assert set((await outcomes(store)).values()) == {"done"}
    await listens(store)


async def test_while_it_is_silent_a_store_can_be_closed(hurt: Postgres) -> None:
    store = at(hurt.database())
    await store.open()
    waiting = asyncio.create_task(store.check())
    hurt.pause()
    try:
        async with asyncio.timeout(2 * WITHIN):
            await store.close()
            await asyncio.wait([waiting])
            with pytest.raises(StoreError, match=r"is away|closed"):
                await store.check()
            other = at(hurt.url("postgres"))
            with pytest.raises(StoreError, match="does not let us in"):
                await other.open()
    finally:
        hurt.resume()


async def test_after_a_restart_it_hears_and_knows_its_statements_again(hurt: Postgres) -> None:
    url = hurt.database()
    a, b = at(url), at(url, "a:1")
    for one in (a, b):
        await one.open()
    for round in range(3):
        await a.revocations.append(revocation(f"before{round}"))
        await b.revocations.read(after=0)
        hurt.restart()
        for one in (a, b):
            await healed(one)
            await listens(one)
        assert b.revocations.touched() is True, "what may have been missed counts as heard"
        await b.revocations.read(after=0)
        assert b.revocations.touched() is False
        newest = await a.revocations.append(revocation(f"after{round}"))
        await until(b.revocations.touched)
        assert [one.sequence for one in await b.revocations.read(after=newest - 1)] == [newest]
    for one in (a, b):
        await one.close()


async def test_what_was_acknowledged_outlives_kill_9_of_the_server(hurt: Postgres) -> None:
    """No acknowledged revocation is lost, no ticket is spent twice."""
    url = hurt.database()
    stores = [at(url, f"a:{n}") for n in range(2)]
    for store in stores:
        await store.open()
    chance = Random(20261122)  # the moments differ from run to run all the same
    appended: dict[int, str] = {}
    spent: set[str] = set()
    for round in range(6):
        over = asyncio.Event()

        async def append(store: Store, name: str, over: asyncio.Event = over) -> None:
            n = 0
            while not over.is_set():
                n += 1
                with suppress(StoreError):
                    sequence = await store.revocations.append(revocation(f"{name}.{n}", id=f"{name}.{n}"))
                    assert sequence not in appended
                    appended[sequence] = f"{name}.{n}"
                await asyncio.sleep(0)

        async def spend(store: Store, name: str, over: asyncio.Event = over) -> None:
            n = 0
            while not over.is_set():
                n += 1
                code = f"{name}.{n}"
                with suppress(StoreError):
                    await store.tickets.put(ticket(code, principal(session=code)), most=10)
                    if isinstance(await store.tickets.spend(digest(code), now=NOW), Ticket):
                        spent.add(code)
                await asyncio.sleep(0)

        busy = [
            *(asyncio.create_task(append(stores[n % 2], f"r{round}.{n}")) for n in range(4)),
            *(asyncio.create_task(spend(stores[n % 2], f"t{round}.{n}")) for n in range(8)),
        ]
        goal = len(appended) + len(spent) + chance.randrange(30, 300)
        await until(partial(is_reached, goal, appended, spent))
        await asyncio.to_thread(hurt.kill)
        over.set()
        await asyncio.gather(*busy)
        await asyncio.to_thread(hurt.start)
        for store in stores:
            await healed(store)
        log = {one.sequence: one.target.value for one in await stores[0].revocations.read(after=0)}
        assert {sequence: log.get(sequence) for sequence in appended} == appended
        assert sorted(log) == list(range(1, len(log) + 1))
        for code in spent:
            assert isinstance(await stores[1].tickets.spend(digest(code), now=NOW), SpentTicket)
    assert len(appended) > 20
    assert len(spent) > 20
    for store in stores:
        await store.close()


async def test_slots_are_what_is_held_after_a_crash_of_the_server(
    hurt: Postgres, url: str, store: PostgresStore
) -> None:
    """It may forget the last takes and the last releases: the next beat sets both right."""
    for n in range(4):
        await store.slots.take(slot(f"c{n}", per_identity=9, per_address=9), now=NOW)
    database = url.rpartition("/")[2]
    hurt.sql("DELETE FROM doorward_slots WHERE connection IN ('c0', 'c1')", database=database)
    hurt.sql(
        "INSERT INTO doorward_slots SELECT 'gone', 99, identity, address, process FROM doorward_slots"
        " WHERE connection = 'c2'",
        database=database,
    )
    hurt.kill()
    hurt.start()
    await healed(store)
    await store.slots.beat(now=NOW)
    assert hurt.sql("SELECT connection FROM doorward_slots ORDER BY place", database=database) == [
        ("c0",),
        ("c1",),
        ("c2",),
        ("c3",),
    ]


async def test_a_session_that_an_administrator_ends_is_opened_again(ground: PostgresGround) -> None:
    store = await ground.store("a:0")
    for _ in range(5):
        await asyncio.gather(*(store.bans.version() for _ in range(8)), store.revocations.read(after=0))
        ground.server.sql(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'doorward'"
        )
        assert await store.bans.version() == 0
        assert await store.tickets.spend(digest("unknown"), now=NOW) is None
    await listens(store)


async def test_where_it_may_have_few_connections_those_do_all_the_work(hurt: Postgres) -> None:
    """One to listen and one to work with: others are refused, which is no reason to be away."""
    url = hurt.database()
    hurt.sql("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 2 IN ROLE doorward")
    hurt.sql("ALTER ROLE few SET role = doorward")
    store = at(url.replace(f"doorward:{PASSWORD}", "few:few"))
    await store.open()
    for _ in range(5):
        assert set((await outcomes(store)).values()) == {"done"}
        assert not store._link.is_away
    await store.close()


async def test_a_connection_that_nobody_has_used_yet_is_one(hurt: Postgres) -> None:
    """Back again, and before anybody asks for anything: who listens may still be left outside."""
    url = hurt.database()
    place = Place(url)
    link = Link(place, probe="SELECT 1", deadline=WITHIN)
    await link.open(await place.connect())
    link.doubt("not let in")
    assert not link.is_away
    hurt.sql(
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        "pg_backend_pid()",
        database=url.rpartition("/")[2],
    )

    def is_doubted() -> bool:
        link.doubt("not let in")
        return link.is_away

    await until(is_doubted)
    await link.close()


async def test_who_is_cancelled_leaves_nothing_half_done(ground: PostgresGround) -> None:
    store = await ground.store("a:0")
    chance = Random(20261122)
    for _ in range(5):
        tasks = [
            asyncio.create_task(call)
            for n in range(40)
            for call in (
                store.revocations.append(revocation(f"user{n}")),
                store.slots.take(slot(f"c{n}", f"user{n}", per_address=1000), now=NOW),
                store.audit.append([(event(), "line")]),
                store.bans.version(),
            )
        ]
        await asyncio.sleep(chance.uniform(0, 0.02))
        for task in chance.sample(tasks, 80):
            task.cancel()
        kept = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in kept} <= {int, Slot, type(None), asyncio.CancelledError}
    await store.check()
    open_ones = ground.server.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
    assert open_ones == [(0,)]
    log = await store.revocations.read(after=0)
    assert [one.sequence for one in log] == list(range(1, len(log) + 1))


async def test_a_slot_taken_for_nobody_is_given_back_with_the_next_beat(ground: PostgresGround) -> None:
    store = await ground.store("a:0")
    taking = asyncio.create_task(store.slots.take(slot("gone", per_identity=1), now=NOW))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    await store.check()
    await store.slots.beat(now=NOW)
    assert await store.slots.take(slot("c1", per_identity=1), now=NOW) == Slot()


async def test_a_lock_that_somebody_holds_is_waited_for_and_no_longer_than_the_bound(ground: PostgresGround) -> None:
    store = await ground.store("a:0")
    with ground.server.connect(ground.url) as other:
        other.execute("BEGIN")
        other.execute("LOCK doorward_numbers IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(WITHIN):
            with pytest.raises(StoreError, match=r"lock timeout|statement timeout"):
                await store.revocations.append(revocation("late", id="r1"))
        # The link is not away for that: who needs no lock goes on.
        assert await store.tickets.look(digest("unknown")) is None
        appending = asyncio.create_task(store.revocations.append(revocation("late", id="r1")))
        done, _ = await asyncio.wait([appending], timeout=0.1)
        assert not done
        other.execute("COMMIT")
    assert await appending == 1


async def test_one_that_answers_too_slowly_again_and_again_is_away(ground: PostgresGround) -> None:
    """Nobody waits for what the last ones have waited for in vain; and what is as slow to a probe stays away."""
    store = at(ground.url)
    await store.open()
    with ground.server.connect(ground.url) as other:
        other.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(5); RETURN NULL; END'"
        )
        other.execute("CREATE TRIGGER slow BEFORE UPDATE ON doorward_numbers EXECUTE FUNCTION slow()")
        async with asyncio.timeout(WITHIN):
            answers = await asyncio.gather(*(store.check() for _ in range(4)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreError}
        assert store._link.is_away
        async with asyncio.timeout(1):
            assert set((await outcomes(store)).values()) == {"StoreError"}
        other.execute("DROP TRIGGER slow ON doorward_numbers")
    await healed(store)
    assert set((await outcomes(store)).values()) == {"done"}
    await store.close()


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
async def test_what_it_can_not_hold_is_an_error_and_spoils_nobody_elses(ground: PostgresGround, text: str) -> None:
    store = await ground.store("a:0")
    answers = await asyncio.gather(
        store.revocations.append(revocation("before", id="r1")),
        store.revocations.append(revocation(text, id="r2")),
        store.revocations.append(revocation("after", id="r3")),
        store.audit.append([(event(subject=text), "line")]),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["int", "RefusedError", "int", "RefusedError"]
    assert [one.target.value for one in await store.revocations.read(after=0)] == ["before", "after"]


async def test_a_log_that_was_set_back_is_never_read_as_if_nothing_had_happened(ground: PostgresGround) -> None:
    """Restored, or failed over to a replica that lagged: the next revocation would get a number that we have passed."""
    store = await ground.store("a:0")
    for n in range(3):
        await store.revocations.append(revocation(f"user{n}"))
    await store.revocations.read(after=0)
    database = ground.url.rpartition("/")[2]
    ground.server.sql("DELETE FROM doorward_revocations WHERE sequence > 1", database=database)
    ground.server.sql("UPDATE doorward_numbers SET value = 1 WHERE name = 'revocations'", database=database)
    for _ in range(3):
        with pytest.raises(StoreError, match="ended at 3 and now ends at 1"):
            await store.revocations.read(after=3)
        await store.revocations.append(revocation("later"))
    again = await ground.store("a:1")
    assert [one.sequence for one in await again.revocations.read(after=0)] == [1, 2, 3, 4]


async def test_one_that_got_a_lost_one_s_number_is_noticed_though_the_log_is_no_shorter(ground: PostgresGround) -> None:
    """As many were appended since the failover as it had lost, and perhaps more, before this process read again."""
    for more in (0, 1):
        store = await ground.store(f"a:{more}")
        withdrawals = Withdrawals(store.revocations, store.bans, ground.clock)
        for n in range(3):
            await store.revocations.append(revocation(f"user{more}{n}", id=f"u{more}{n}"))
        await withdrawals.catch_up()
        last = withdrawals.cursor
        database = ground.url.rpartition("/")[2]
        ground.server.sql(f"DELETE FROM doorward_revocations WHERE sequence = {last}", database=database)
        ground.server.sql("UPDATE doorward_numbers SET value = value - 1 WHERE name = 'revocations'", database=database)
        command = await ground.store(f"command:{more}")
        assert await command.revocations.append(revocation("mallory", id=f"mallory{more}")) == last
        for n in range(more):
            await command.revocations.append(revocation("trudy", id=f"trudy{n}"))
        ground.server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND (query ILIKE 'LISTEN%' OR query = 'SELECT 1')",
            database=database,
        )
        async with asyncio.timeout(60):
            while store.revocations.touched() is not True:  # noqa: ASYNC110 - a glance has no event
                await asyncio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(LogBehindError, match="Start this node again"):
                await withdrawals.catch_up()
        assert withdrawals.find(f"mallory{more}") is not None
        assert (withdrawals.find("trudy0") is not None) is bool(more)
        await command.revocations.append(revocation("late", id=f"late{more}"))
        with pytest.raises(LogBehindError):
            await withdrawals.catch_up()
        assert withdrawals.find(f"late{more}") is not None


async def test_before_opening_and_after_closing(ground: PostgresGround) -> None:
    store = at(ground.url)
    assert set((await outcomes(store)).values()) == {"StoreError"}
    assert store.revocations.touched() is None
    await store.open()
    with pytest.raises(StoreError):
        await store.open()
    await store.close()
    await store.close()
    assert set((await outcomes(store)).values()) == {"StoreError"}
