"""Migrations: in order, once, whole or not at all, and never over what another version made."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.adapters.stores.migration import Migration
from doorward.adapters.stores.sqlite.migrating import migrate, prepare, shipped, statements
from doorward.ports import StoreError

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE one (a TEXT);\n")
SECOND = Migration(
    2, "0002_second.sql", "-- a; comment\nALTER TABLE one ADD b TEXT;\nINSERT INTO one VALUES ('x;', 'y');\n"
)
BROKEN = Migration(3, "0003_broken.sql", "CREATE TABLE two (a TEXT);\nnonsense;\n")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "file", isolation_level=None)
    prepare(connection)
    yield connection
    connection.close()


def apply(connection: sqlite3.Connection, *migrations: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate(connection, migrations, now=1.5)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def test_each_is_applied_once_in_order(connection: sqlite3.Connection) -> None:
    apply(connection, FIRST)
    apply(connection, FIRST, SECOND)
    apply(connection, FIRST, SECOND)
    assert connection.execute("SELECT * FROM one").fetchall() == [("x;", "y")]
    assert connection.execute("SELECT number, name, checksum, applied_at FROM migrations").fetchall() == [
        (1, FIRST.name, FIRST.checksum, 1.5),
        (2, SECOND.name, SECOND.checksum, 1.5),
    ]


def test_a_file_that_is_up_to_date_is_not_written_to(connection: sqlite3.Connection, tmp_path: Path) -> None:
    apply(connection, FIRST)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    apply(connection, FIRST)
    assert (tmp_path / "file-wal").stat().st_size == 0


def test_one_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection) -> None:
    apply(connection, FIRST)
    with pytest.raises(sqlite3.OperationalError):
        apply(connection, FIRST, SECOND, BROKEN)
    assert connection.execute("SELECT max(number) FROM migrations").fetchone() == (1,)
    assert connection.execute("SELECT * FROM one").fetchall() == []


def test_a_newer_file_is_refused(connection: sqlite3.Connection) -> None:
    apply(connection, FIRST, SECOND)
    with pytest.raises(StoreError, match="the file has schema 2, and this version of Doorward knows 1"):
        apply(connection, FIRST)


def test_another_history_is_refused(connection: sqlite3.Connection) -> None:
    apply(connection, FIRST)
    with pytest.raises(StoreError, match=r"another 0001_first\.sql"):
        apply(connection, Migration(1, FIRST.name, FIRST.text + " "))


def test_a_foreign_file_is_refused_and_untouched(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "foreign", isolation_level=None)
    foreign.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StoreError, match="another program's"):
        prepare(foreign)
    assert foreign.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    foreign.close()


def test_what_ships_is_numbered_without_a_gap_and_named_by_it() -> None:
    migrations = shipped()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert all(migration.name.startswith(f"{migration.number:04}_") for migration in migrations)


def test_a_script_is_taken_apart_at_its_statements() -> None:
    text = "CREATE TABLE a (b TEXT DEFAULT ';');\n-- one; two\nSELECT\n  1;\nSELECT 2"
    assert [" ".join(statement.split()) for statement in statements(text)] == [
        "CREATE TABLE a (b TEXT DEFAULT ';');",
        "-- one; two SELECT 1;",
        "SELECT 2",
    ]
