"""The readers: quick ones never wait, long ones are ended at their deadline, both heal."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from doorward.adapters.stores.sqlite.connecting import connect
from doorward.adapters.stores.sqlite.glance import Glance
from doorward.adapters.stores.sqlite.lane import Lane
from doorward.adapters.stores.sqlite.reader import QuickReader, Reader
from doorward.ports import StoreError

# Counts until it is stopped.
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_quick_reader_reads_at_once_and_never_writes(path: Path) -> None:
    reader = QuickReader(partial(connect, path, patience=0, query_only=True), Glance(path))
    assert reader.rows("SELECT value FROM rows WHERE value > ?", (0,)) == [(1,), (2,)]
    with pytest.raises(StoreError, match="readonly"):
        reader.rows("DELETE FROM rows", ())
    with pytest.raises(StoreError, match="no such table"):
        reader.rows("SELECT * FROM nowhere", ())
    assert reader.rows("SELECT count(*) FROM rows", ()) == [(2,)]
    reader.close()


def test_a_quick_reader_says_when_it_would_have_to_wait(path: Path) -> None:
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    locker.execute("INSERT INTO rows VALUES (3)")
    reader = QuickReader(partial(connect, path, patience=0, query_only=True), Glance(path))
    assert reader.rows("SELECT count(*) FROM rows", ()) is None
    locker.close()
    assert reader.rows("SELECT count(*) FROM rows", ()) == [(3,)]
    reader.close()


def test_a_quick_reader_heals(path: Path) -> None:
    away = path.with_name("away")
    path.rename(away)
    reader = QuickReader(partial(connect, path, patience=0, query_only=True), Glance(path))
    with pytest.raises(StoreError, match="unable to open"):
        reader.rows("SELECT 1 FROM rows", ())
    assert not path.exists(), "reading makes no file"
    away.rename(path)
    assert reader.rows("SELECT count(*) FROM rows", ()) == [(2,)]
    reader.close()


async def test_a_long_query_is_ended_at_its_deadline(path: Path) -> None:
    lane = Lane(Reader(partial(connect, path, patience=1, query_only=True)), name="reader", deadline=0.1)
    with pytest.raises(StoreError):
        await lane.do(lambda connection: connection.execute(ENDLESS).fetchall())
    assert await lane.do(lambda connection: connection.execute("SELECT count(*) FROM rows").fetchone()) == (2,)
    await lane.close()


async def test_a_bug_is_its_callers(path: Path) -> None:
    lane = Lane(Reader(partial(connect, path, patience=1, query_only=True)), name="reader")
    with pytest.raises(ZeroDivisionError):
        await lane.do(lambda connection: 1 // 0)
    with pytest.raises(StoreError, match="SQLITE_ERROR"):
        await lane.do(lambda connection: connection.execute("nonsense").fetchall())
    assert await lane.do(lambda connection: 7) == 7
    await lane.close()
