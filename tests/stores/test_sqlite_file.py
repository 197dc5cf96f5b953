"""The SQLite file itself: only its owner reads it, no code is in it, it is swept, and its log stays small."""

import asyncio
import sqlite3
import stat
from pathlib import Path
from secrets import token_urlsafe

import pytest

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.adapters.stores.sqlite.migrating import migrate, prepare, shipped
from doorward.ports import Store
from doorward.values.ticket import SpentTicket
from tests.stores.clock import NOW, StillClock
from tests.stores.grounds import SqliteGround
from tests.stores.made import acknowledgement, ban, digest, event, node, present, principal, revocation, ticket
from tests.stores.test_rates import take

MINUTE = 60.0


@pytest.fixture
def ground(tmp_path: Path) -> SqliteGround:
    return SqliteGround(tmp_path, shared=True)


@pytest.fixture
async def store(ground: SqliteGround) -> Store:
    return await ground.store("a:0")


async def test_only_its_owner_can_read_it(ground: SqliteGround, store: Store) -> None:
    await store.revocations.append(revocation())
    files = sorted(ground.path.parent.iterdir())
    assert [file.name for file in files] == ["doorward.db", "doorward.db-shm", "doorward.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    await ground.end()
    assert [file.name for file in ground.path.parent.iterdir()] == ["doorward.db"]


async def test_no_code_is_in_it(ground: SqliteGround, store: Store) -> None:
    """TKT-02."""
    codes = [token_urlsafe(32) for _ in range(20)]
    for code in codes:
        await store.tickets.put(ticket(code, connection="c"), most=100)
    for code in codes[:10]:
        await store.tickets.spend(digest(code), now=NOW)
    log = ground.path.with_name("doorward.db-wal").read_bytes()
    await ground.end()
    with sqlite3.connect(ground.path) as connection:
        dump = "\n".join(connection.iterdump()).encode()
    connection.close()
    for code in codes:
        assert digest(code) in log
        assert digest(code).hex().encode() in dump.lower()
        for text in (log, dump, ground.path.read_bytes()):
            assert code.encode() not in text


async def test_what_is_over_is_swept(ground: SqliteGround, store: Store) -> None:
    await store.tickets.put(ticket("spent"), most=10)
    await store.tickets.spend(digest("spent"), now=NOW)
    await store.tickets.put(ticket("unspent"), most=10)
    await take(store)
    await store.bans.add(ban(expires_at=NOW + 60))
    await store.bans.add(ban(expires_at=None))
    over = revocation(expires_at=NOW + 60)
    await store.revocations.append(over)
    await store.revocations.acknowledge(acknowledgement(over.id))
    await store.presence.beat(node())
    await store.presence.note(opened=[present("c1")], closed=())
    await store.audit.append([(event(), "kept")])

    assert isinstance(store, SqliteStore)
    assert await store.sweep() is False
    assert counts(ground.path) == [2, 1, 2, 1, 1, 1, 1, 1]
    ground.clock.at = NOW + 61
    await store.sweep()
    # Sixty seconds more for an expired ticket, an hour more for a revocation: clocks err. An hour, too, for a node that
    # is not heard of, and what it has open: it may live.
    assert counts(ground.path) == [2, 0, 1, 1, 1, 1, 1, 1]
    ground.clock.at = NOW + 91
    await store.sweep()
    assert counts(ground.path) == [0, 0, 1, 1, 1, 1, 1, 1]
    ground.clock.at = NOW + 61 * MINUTE + 1
    await store.sweep()
    assert counts(ground.path) == [0, 0, 1, 0, 0, 0, 0, 1]
    assert await take(store, now=ground.clock.at) == 0.0
    await ground.end()


def counts(path: Path) -> list[int]:
    tables = ("tickets", "rates", "bans", "revocations", "acknowledgements", "nodes", "connections", "audit")
    connection = sqlite3.connect(path)
    numbers = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    connection.close()
    return numbers


async def test_a_sweep_is_bounded_and_says_that_there_is_more(ground: SqliteGround, store: Store) -> None:
    assert isinstance(store, SqliteStore)
    await asyncio.gather(*(store.tickets.put(ticket(n), most=1000) for n in range(600)))
    ground.clock.at = NOW + 91
    left = []
    while await store.sweep():
        left.append(counts(ground.path)[0])
    assert left == [344, 88]
    assert counts(ground.path)[0] == 0
    await ground.end()


async def test_a_log_of_before_ids_goes_on(ground: SqliteGround) -> None:
    """What was half acknowledged when the version changed is still waited for, and is not done twice."""
    connection = sqlite3.connect(ground.path, isolation_level=None)
    prepare(connection)
    connection.execute("BEGIN IMMEDIATE")
    migrate(connection, shipped()[:2], now=NOW)
    for subject in ("alice", "bob"):
        connection.execute(
            "INSERT INTO revocations (kind, value, instant, effect, cause, expires_at, made_by, roles)"
            " VALUES ('identity', ?, 1.0, 'close', 'c', ?, 'o', '[]')",
            (subject, NOW + 3600),
        )
    connection.execute("INSERT INTO acknowledgements VALUES (2, 'gw-1', 0, 3, 1, 5.0, 0.5, '[]')")
    connection.execute("COMMIT")
    connection.close()
    store = await ground.store("a:0")
    log = await store.revocations.read(after=0)
    assert [(one.sequence, one.target.value) for one in log] == [(1, "alice"), (2, "bob")]
    assert [answer.closed for answer in await store.revocations.acknowledgements(log[1].id)] == [3]
    await store.revocations.acknowledge(acknowledgement(log[1].id, worker=1))
    assert len(await store.revocations.acknowledgements(log[1].id)) == 2
    assert await store.revocations.append(revocation()) == 3
    await ground.end()


class Asked(StillClock):
    """Lets somebody wait until it has been asked the time so many times."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0
        self.waiting: list[tuple[int, asyncio.Event]] = []

    def now(self) -> float:
        self.times += 1
        for times, enough in self.waiting:
            if self.times >= times:
                enough.set()
        return super().now()

    async def asked(self, more: int) -> None:
        enough = asyncio.Event()
        self.waiting.append((self.times + more, enough))
        await asyncio.wait_for(enough.wait(), 20)


async def test_sweeping_goes_on_by_itself_also_after_a_failure(ground: SqliteGround) -> None:
    """Which is told once when it begins, and once when it is over."""
    clock = Asked()
    notes: list[str] = []
    store = SqliteStore(
        ground.path, clock=clock, process="a:0", shared=False, deadline=0.5, sweep_every=0.01, note=notes.append
    )
    await store.open()
    await store.tickets.put(ticket(1), most=10)
    other = sqlite3.connect(ground.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await clock.asked(3)
    assert notes == ["what is over is not swept: no answer within 0.5 s"]
    other.execute("ROLLBACK")
    other.close()
    clock.at = NOW + 91
    await clock.asked(5)
    assert counts(ground.path)[0] == 0
    await store.close()
    assert len(notes) == 2
    assert notes[1].startswith("what is over is swept again after ")


async def test_sweeping_goes_on_after_a_bug_of_ours_though_nobody_can_be_told(ground: SqliteGround) -> None:
    faults: list[str] = []

    class Wrong(Asked):
        def now(self) -> float:
            found = super().now()
            if self.times == before + 1:
                raise LookupError
            return found

    def untold(where: str, error: BaseException) -> None:
        faults.append(where)
        raise BrokenPipeError(32, "Broken pipe")

    clock, before = Wrong(), 10**9
    store = SqliteStore(ground.path, clock=clock, process="a:0", shared=False, sweep_every=0.01, fault=untold)
    await store.open()
    await store.tickets.put(ticket(1), most=10)
    before = clock.times
    clock.at = NOW + 91
    await clock.asked(5)
    assert faults == ["sqlite sweeps"]
    assert counts(ground.path)[0] == 0
    await store.close()


async def test_the_log_starts_anew_while_writing_goes_on(ground: SqliteGround, store: Store) -> None:
    """Without a pause in the writing, the log would never be wholly moved, and grow for ever."""
    rounds = 0
    while restarts(ground.path) < 2:
        rounds += 1
        assert rounds < 4000
        owners = [principal(session=f"{rounds}-{n}") for n in range(8)]
        await asyncio.gather(*(store.tickets.put(ticket(owner.session, owner), most=10) for owner in owners))
    await ground.end()
    assert counts(ground.path)[0] == rounds * 8


def restarts(path: Path) -> int:
    """How often the log has begun from its start (SQLite, WAL-mode file format: the checkpoint sequence number)."""
    log = path.with_name(f"{path.name}-wal")
    with log.open("rb") as file:
        return int.from_bytes(file.read(16)[12:16])


async def test_a_second_life_knows_what_was_spent(ground: SqliteGround, store: Store) -> None:
    await store.tickets.put(ticket(1), most=10)
    await store.tickets.spend(digest(1), now=NOW)
    await store.close()
    again = await ground.store("a:0")
    assert await again.tickets.spend(digest(1), now=NOW + 1) == SpentTicket("connection-of-1", NOW)
    await ground.end()
