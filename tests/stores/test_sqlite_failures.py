"""SQLite when the disk is full, the file locked, foreign or newer: StoreError in time, and well again by itself."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.adapters.stores.sqlite import SqliteStore
from doorward.ports import Store, StoreError
from doorward.values.question import Slot
from doorward.values.ticket import Ticket
from tests.stores.clock import NOW, StillClock
from tests.stores.made import ban, digest, event, key, node, revocation, slot, ticket
from tests.stores.neighbour import Neighbour
from tests.stores.test_rates import RATE

WRITES: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "put": lambda store: store.tickets.put(ticket("new"), most=10),
    "spend": lambda store: store.tickets.spend(digest("there"), now=NOW),
    "rate": lambda store: store.rates.take(name="n", key="k", rate=RATE, cost=1, now=NOW),
    "slot": lambda store: store.slots.take(slot("c1"), now=NOW),
    "release": lambda store: store.slots.release("c1"),
    "slot beat": lambda store: store.slots.beat(now=NOW),
    "revoke": lambda store: store.revocations.append(revocation()),
    "forget": lambda store: store.revocations.forget(now=NOW),
    "ban": lambda store: store.bans.add(ban()),
    "key": lambda store: store.keys.add(key("k1"), retire_others_at=None),
    "beat": lambda store: store.presence.beat(node()),
    "audit": lambda store: store.audit.append([(event(), "line")]),
    "check": lambda store: store.check(),
}


def at(path: Path, *, deadline: float = 5.0) -> SqliteStore:
    return SqliteStore(path, clock=StillClock(), process="a:0", shared=True, deadline=deadline)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doorward.db"


async def test_a_full_disk_refuses_and_heals(path: Path) -> None:
    """FX-10's sibling: the file may not grow, as on a full disk, and then it may."""
    async with Neighbour(path, "a:1") as other:
        assert await other.ask(["revoke", "first"], ["put", "before"]) == [1, None]
        await other.ask(["file size", 4096])
        answers = await other.ask(["revoke", "lost"], ["put", "lost"], ["spend", "before"], ["slot", "c1", 1])
        assert [str(answer).startswith("StoreError: ") for answer in answers] == [True] * 4
        await other.ask(["file size", None])
        assert await other.ask(["revoke", "second"], ["spend", "before"], ["slot", "c2", 1]) == [2, True, True]
    store = at(path)
    await store.open()
    assert [one.target.value for one in await store.revocations.read(after=0)] == ["first", "second"]
    assert await store.tickets.look(digest("lost")) is None
    await store.close()


async def test_a_lock_that_stays_refuses_every_write_in_time_and_heals(path: Path) -> None:
    store = at(path, deadline=0.3)
    await store.open()
    await store.tickets.put(ticket("there"), most=10)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.wait_for(
        asyncio.gather(*(write(store) for write in WRITES.values()), return_exceptions=True), 3
    )
    assert {name: type(answer) for name, answer in zip(WRITES, answers, strict=True)} == dict.fromkeys(
        WRITES, StoreError
    )
    # Who only reads is not held up: revocations still reach live connections.
    assert list(await store.revocations.read(after=0)) == []
    assert isinstance(await store.tickets.look(digest("there")), Ticket)
    assert await store.bans.version() == 0
    other.execute("ROLLBACK")
    for name, write in WRITES.items():
        assert not isinstance(await write(store), StoreError), name
    other.close()
    await store.close()


async def test_a_lock_that_passes_is_waited_for(path: Path) -> None:
    store = at(path)
    await store.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    appending = asyncio.create_task(store.revocations.append(revocation()))
    # The writer is in its wait by now, or about to begin it: either way the lock is there first.
    done, _ = await asyncio.wait([appending], timeout=0.05)
    assert not done
    other.execute("COMMIT")
    assert await appending == 1
    other.close()
    await store.close()


async def test_a_slot_taken_for_nobody_is_given_back(path: Path) -> None:
    """The call fails or its caller goes, and the slot is taken all the same a moment later: it must not stay taken."""
    store = at(path, deadline=0.3)
    await store.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await store.slots.take(slot("failed", per_identity=1), now=NOW)
    taking = asyncio.create_task(store.slots.take(slot("cancelled", per_identity=1), now=NOW))
    await asyncio.wait([taking], timeout=0.01)
    taking.cancel()
    other.execute("ROLLBACK")
    await asyncio.wait([taking])
    await store.slots.beat(now=NOW)
    assert await store.slots.take(slot("c1", per_identity=1), now=NOW) == Slot()
    other.close()
    await store.close()


async def test_a_slot_that_could_not_be_given_back_is_given_back_with_the_next_beat(path: Path) -> None:
    store = at(path, deadline=0.2)
    await store.open()
    await store.slots.take(slot("c1", per_identity=1), now=NOW)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await store.slots.release("c1")
    other.execute("ROLLBACK")
    await store.slots.beat(now=NOW)
    assert await store.slots.take(slot("c2", per_identity=1), now=NOW) == Slot()
    other.close()
    await store.close()


async def test_a_cancelled_call_leaves_the_batch_whole(path: Path) -> None:
    """FX-02: some of those that wait together are cancelled; the others are done, each once."""
    store = at(path)
    await store.open()
    tasks = [asyncio.create_task(store.revocations.append(revocation(f"user{n}"))) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [answer for n, answer in enumerate(answers) if n % 3]
    assert len(set(kept)) == len(kept)
    log = {one.sequence: one.target.value for one in await store.revocations.read(after=0)}
    assert [log[int(str(answer))] for answer in kept] == [f"user{n}" for n in range(200) if n % 3]
    assert await store.revocations.append(revocation()) > max(log)
    await store.close()


async def test_before_opening_and_after_closing(path: Path) -> None:
    store = at(path)
    reads: list[Callable[[Store], Awaitable[Any]]] = [
        lambda store: store.revocations.read(after=0),
        lambda store: store.tickets.look(digest(1)),
        lambda store: store.bans.all(now=NOW),
        lambda store: store.audit.query(after=0, limit=1),
    ]
    for call in [*WRITES.values(), *reads]:
        with pytest.raises(StoreError):
            await call(store)
    await store.open()
    with pytest.raises(StoreError):
        await store.open()
    await store.close()
    for call in [*WRITES.values(), *reads]:
        with pytest.raises(StoreError):
            await call(store)


@pytest.mark.parametrize("make", ["garbage", "foreign", "folder", "nowhere", "newer", "other", "locked"])
async def test_what_can_not_be_opened_is_told_and_left_alone(path: Path, make: str) -> None:
    first = at(path)
    if make in ("newer", "other", "locked"):
        await first.open()
        await first.close()
    locker: sqlite3.Connection | None = None
    match make:
        case "garbage":
            path.write_bytes(b"not a database at all" * 400)
        case "foreign":
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE migrations (number INTEGER)")
            connection.close()
        case "folder":
            path.mkdir()
        case "nowhere":
            path = path / "deeper"
        case "newer":
            with sqlite3.connect(path) as connection:
                connection.execute("INSERT INTO migrations VALUES (9999, '9999_later.sql', '', 0.0)")
            connection.close()
        case "other":
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE migrations SET checksum = 'changed'")
            connection.close()
        case _:
            locker = sqlite3.connect(path, isolation_level=None)
            locker.execute("BEGIN IMMEDIATE")
    before = path.read_bytes() if path.is_file() else None
    told = {
        "garbage": "not a database",
        "foreign": "another program",
        "folder": "directory",
        "nowhere": "No such file",
        "newer": "run a newer one",
        "other": "another 0001_first.sql",
        "locked": "busy|locked|no answer",
    }
    store = at(path, deadline=0.5)
    with pytest.raises(StoreError, match=told[make]):
        await store.open()
    with pytest.raises(StoreError):
        await store.check()
    assert (path.read_bytes() if path.is_file() else None) == before
    if locker is not None:
        locker.execute("ROLLBACK")
        locker.close()
        await store.open()
        await store.close()
