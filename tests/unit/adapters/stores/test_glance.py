"""A glance changes with every commit, whoever makes it, and with nothing else; what it can't tell it does not."""

import sqlite3
from functools import partial
from pathlib import Path

from doorward.adapters.stores.sqlite.connecting import connect
from doorward.adapters.stores.sqlite.glance import Glance
from doorward.adapters.stores.sqlite.reader import QuickReader

COUNT = "SELECT count(*) FROM rows"


def test_it_is_another_after_each_commit_and_the_same_until_then(path: Path) -> None:
    ours, other = connect(path, patience=1), connect(path, patience=1)
    ours.execute(COUNT).fetchall()
    glance = Glance(path)
    glance.begin()
    seen = [glance.look()]
    assert seen[0] is not None
    for _ in range(50):
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO rows VALUES (3)")
        assert glance.look() == seen[-1], "what is not committed is not there"
        other.execute("COMMIT")
        assert glance.look() not in seen
        seen.append(glance.look())
        ours.execute(COUNT).fetchall()
        assert glance.look() == seen[-1], "reading changes nothing"
    other.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    before = glance.look()
    other.execute("INSERT INTO rows VALUES (4)")
    assert glance.look() not in (*seen, before), "the log begins anew"
    for connection in (ours, other):
        connection.close()
    glance.end()


def test_nothing_is_told_where_there_is_no_shared_index(path: Path) -> None:
    glance = Glance(path)
    glance.begin()
    assert glance.look() is None, "nobody has the file open"
    index = path.with_name("file-shm")
    for content in (b"", bytes(32768), b"\xff" * 32768, bytes(48) + b"\x01" * 32720):
        index.write_bytes(content)
        glance.begin()
        assert glance.look() is None
    glance.end()


def test_the_last_user_closes_the_map_and_locks_stay_until_then(path: Path) -> None:
    connection = connect(path, patience=1)
    connection.execute(COUNT).fetchall()
    one, other = Glance(path), Glance(path)
    one.begin()
    other.begin()
    one.begin()
    one.end()
    assert one.look() is None
    assert other.look() is not None
    other.pause()
    assert other.look() is None
    other.begin()
    assert other.look() is not None
    connection.close()
    other.end()


def test_a_quick_reader_answers_again_only_while_nobody_commits(path: Path) -> None:
    asked: list[str] = []

    def watched() -> sqlite3.Connection:
        connection = connect(path, patience=0, query_only=True)
        connection.set_trace_callback(asked.append)
        return connection

    glance, other = Glance(path), connect(path, patience=1)
    reader = QuickReader(watched, glance)
    for _ in range(5):
        assert reader.rows(COUNT, ()) == [(2,)]
    assert len(asked) == 2, "the first has no glance yet"
    other.execute("INSERT INTO rows VALUES (3)")
    assert [reader.rows(COUNT, ()) for _ in range(5)] == [[(3,)]] * 5
    assert len(asked) == 3
    some = "SELECT value FROM rows WHERE value > ?"
    assert [reader.rows(some, (number,)) for number in (1, 1, 2, 2)] == [[(2,), (3,)]] * 2 + [[(3,)]] * 2
    assert len(asked) == 5
    reader.close()
    other.execute("INSERT INTO rows VALUES (4)")
    assert reader.rows(COUNT, ()) == [(4,)], "another connection begins with nothing"
    reader.close()
    other.close()
    glance.end()


def test_a_file_that_others_made_anew_is_read_anew(path: Path) -> None:
    glance = Glance(path)
    reader = QuickReader(partial(connect, path, patience=0, query_only=True), glance)
    assert [reader.rows(COUNT, ()) for _ in range(3)] == [[(2,)]] * 3
    reader.close()  # with the last connection the shared index goes
    assert not path.with_name("file-shm").exists()
    other = connect(path, patience=1)
    other.execute("INSERT INTO rows VALUES (3)")
    assert [reader.rows(COUNT, ()) for _ in range(3)] == [[(3,)]] * 3
    other.execute("INSERT INTO rows VALUES (4)")
    assert reader.rows(COUNT, ()) == [(4,)]
    reader.close()
    other.close()
    glance.end()
