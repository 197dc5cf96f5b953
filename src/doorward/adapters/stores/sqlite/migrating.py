"""The schema is brought up to date when the store is opened, by numbered files that never change once applied.

Each is applied in one transaction, so a process killed half-way leaves the schema as it was. Several processes may do
this at once: the first does it, the others find it done.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from doorward.adapters.stores.migration import Migration, migrations_in, missing
from doorward.adapters.stores.sqlite.connecting import OLDEST_SQLITE
from doorward.ports import StoreError

# "door": tells our file from any other program's.
APPLICATION_ID: Final = 0x646F6F72

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at REAL NOT NULL
) STRICT
"""


def shipped() -> Sequence[Migration]:
    """The migrations of this version, in order."""
    return migrations_in("doorward.adapters.stores.sqlite.migrations")


def prepare(connection: sqlite3.Connection) -> None:
    """Make sure that the file is ours or empty, and turn its write-ahead log on.

    Raises StoreError for a foreign file, sqlite3.Error for a failing one. Outside of a transaction.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: Doorward needs {oldest} or newer")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID and _number(
        connection, "SELECT count(*) FROM sqlite_schema"
    ):
        raise StoreError("the file is another program's database")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"the file's journal mode is {mode}: its file system can't share memory")


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], *, now: float) -> None:
    """Apply what is missing, inside the caller's transaction.

    Raises StoreError when the file is newer than this version, or was made by migrations that differ from these.
    """
    # A file that is up to date is not written to: every command opens it.
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(_TABLE)
    applied: dict[int, str] = dict(connection.execute("SELECT number, checksum FROM migrations").fetchall())
    for migration in missing(applied, migrations, of="the file"):
        for statement in statements(migration.text):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now),
        )


def statements(text: str) -> Iterator[str]:
    """A script's statements, one by one: sqlite3's executescript would end the transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _number(connection: sqlite3.Connection, statement: str) -> int:
    value: int = connection.execute(statement).fetchone()[0]
    return value
