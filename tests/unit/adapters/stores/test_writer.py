"""The writer: what waits becomes one transaction, what must last gets its own, and one bad job spoils only itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from doorward.adapters.stores.sqlite.lane import Job, Lane, Settle
from doorward.adapters.stores.sqlite.writer import Writer
from doorward.ports import StoreError
from tests.unit.adapters.stores.gated import Gate

INSERT = "INSERT INTO rows VALUES (?)"


def insert(value: object) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(INSERT, (value,)).rowcount and value


class Watched(Writer):
    """Keeps the size of every batch and of every settlement."""

    batches: list[int]
    settled: list[int]

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        def settle_and_keep(part: Sequence[Job]) -> None:
            self.settled.append(len(part))
            settle(part)

        self.batches.append(len(jobs))
        super().run(jobs, settle_and_keep)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def writer(gate: Gate, path: Path) -> Watched:
    writer = Watched(partial(gate.connect, path))
    writer.batches, writer.settled = [], []
    return writer


@pytest.fixture
async def lane(writer: Watched) -> AsyncIterator[Lane]:
    lane = Lane(writer, name="writer", deadline=10.0)
    yield lane
    await lane.close()


async def held_up(lane: Lane, gate: Gate) -> asyncio.Future[object]:
    """A first job that has begun and waits at the gate, so that all others wait behind it."""
    gate.closed.clear()
    gate.open.clear()
    first = lane.do(insert("first"))
    await asyncio.to_thread(gate.closed.wait, 10)
    return first


def kept(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    values = [value for (value,) in connection.execute("SELECT value FROM rows ORDER BY rowid")]
    connection.close()
    return values


async def test_what_waits_becomes_one_transaction_of_at_most_256(
    lane: Lane, gate: Gate, writer: Watched, path: Path
) -> None:
    first = await held_up(lane, gate)
    rest = [lane.do(insert(n)) for n in range(300)]
    gate.open.set()
    assert await first == "first"
    assert await asyncio.gather(*rest) == list(range(300))
    assert writer.batches == [1, 256, 44]
    assert gate.said.count("BEGIN IMMEDIATE") == gate.said.count("COMMIT") == 3
    assert kept(path) == ["first", *range(300)]


async def test_one_wake_a_batch(lane: Lane, gate: Gate, writer: Watched) -> None:
    await held_up(lane, gate)
    rest = [lane.do(insert(n)) for n in range(100)]
    gate.open.set()
    await asyncio.gather(*rest)
    assert writer.settled == [1, 100]


async def test_only_what_must_last_waits_for_the_disk(lane: Lane, gate: Gate, path: Path) -> None:
    await held_up(lane, gate)
    jobs = [lane.do(insert(n), durable=n in (1, 3)) for n in range(5)]
    gate.open.set()
    await asyncio.gather(*jobs)
    after = lane.do(insert("after"))
    await after
    pragmas_and_transactions = [said for said in gate.said if said != INSERT]
    transaction = ["BEGIN IMMEDIATE", "COMMIT"]
    assert pragmas_and_transactions == [
        "PRAGMA synchronous = NORMAL",
        *transaction,
        *transaction,
        "PRAGMA synchronous = FULL",
        *transaction,
        "PRAGMA synchronous = NORMAL",
        *transaction,
    ]
    assert kept(path) == ["first", 0, 2, 4, 1, 3, "after"]


async def test_a_job_that_fails_spoils_only_itself(lane: Lane, gate: Gate, path: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, ("half",))
        raise ZeroDivisionError

    first = await held_up(lane, gate)
    jobs = [lane.do(insert(0)), lane.do(insert("first")), lane.do(half), lane.do(insert(1))]
    gate.open.set()
    answers = await asyncio.gather(first, *jobs, return_exceptions=True)
    assert list(map(type, answers)) == [str, int, StoreError, ZeroDivisionError, int]
    assert kept(path) == ["first", 0, 1]


async def test_a_cancelled_job_is_left_out(lane: Lane, gate: Gate, path: Path) -> None:
    await held_up(lane, gate)
    jobs = [lane.do(insert(n)) for n in range(4)]
    jobs[1].cancel()
    gate.open.set()
    await asyncio.wait(jobs)
    assert kept(path) == ["first", 0, 2, 3]


async def test_a_job_cancelled_in_its_transaction_changes_nothing_for_the_others(
    lane: Lane, gate: Gate, path: Path
) -> None:
    first = await held_up(lane, gate)
    second = lane.do(insert("second"))
    first.cancel()
    gate.open.set()
    assert await second == "second"
    # It had been begun when its caller went: not done, since nobody waited for it when its turn came.
    assert kept(path) == ["second"]


async def test_a_job_whose_caller_was_told_that_it_is_too_late_is_not_done(
    gate: Gate, writer: Watched, path: Path
) -> None:
    lane = Lane(writer, name="writer", deadline=0.05)
    first = await held_up(lane, gate)
    second = lane.do(insert("second"))
    for late in (first, second):
        with pytest.raises(StoreError, match=r"no answer within 0\.05 s"):
            await late
    gate.open.set()
    assert await lane.do(insert("third")) == "third"
    assert kept(path) == ["third"]
    await lane.close()


async def test_a_full_file_fails_each_and_heals_with_a_new_connection(gate: Gate, path: Path) -> None:
    full = Event()
    full.set()

    def connect() -> sqlite3.Connection:
        connection = gate.connect(path)
        if full.is_set():
            connection.execute("PRAGMA max_page_count = 3").fetchall()
        return connection

    lane = Lane(Writer(connect), name="writer")
    answers = await asyncio.gather(*(lane.do(insert(str(n) * 9000)) for n in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreError}
    assert "SQLITE_FULL" in str(answers[0])
    full.clear()
    assert await lane.do(insert("0" * 9000)) == "0" * 9000
    assert kept(path) == ["0" * 9000]
    await lane.close()


async def test_a_connection_that_can_not_be_made_is_tried_again(gate: Gate, path: Path) -> None:
    tries: list[None] = []

    def connect() -> sqlite3.Connection:
        tries.append(None)
        if len(tries) < 3:
            raise sqlite3.OperationalError("unable to open database file")
        return gate.connect(path)

    lane = Lane(Writer(connect), name="writer")
    for _ in range(2):
        with pytest.raises(StoreError, match="unable to open"):
            await lane.do(insert(1))
    assert await lane.do(insert(1)) == 1
    await lane.close()


async def test_an_overgrown_log_is_moved_by_the_writer(lane: Lane, gate: Gate, writer: Watched, path: Path) -> None:
    await lane.do(insert(1))
    writer.overgrown = True
    await lane.do(insert(2))
    await lane.do(insert(3))
    assert gate.said.count("PRAGMA wal_checkpoint(PASSIVE)") == 1
    assert not writer.overgrown
