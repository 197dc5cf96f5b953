"""The schema is brought up to date when the store is opened, by numbered files that never change once applied.

All of it is one transaction under an advisory lock: of several nodes that start at once the first does it, the others
find it done, and one that is killed half-way leaves the schema as it was.
"""

from collections.abc import Sequence
from typing import Final

import psycopg

from doorward.adapters.stores.migration import Migration, migrations_in, missing
from doorward.adapters.stores.postgres.connecting import OLDEST, Connection, Cut, told
from doorward.adapters.stores.postgres.guarding import guard
from doorward.ports import StoreError

MIGRATE_WITHIN: Final = 60.0
_LOCK: Final = "SELECT pg_advisory_xact_lock(1685024630, hashtext(current_schema()::text))"
_LOCK_WITHIN: Final = 30.0  # seconds, for each lock
_BEFORE: Final = "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '{:.0f}', true)"
_FACTS: Final = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       current_setting('server_encoding'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
       current_schema(), to_regclass('doorward_migrations') IS NOT NULL
"""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS doorward_migrations (
    number bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at float8 NOT NULL
)
"""
_APPLIED: Final = "SELECT number, checksum FROM doorward_migrations"
_NOTE: Final = "INSERT INTO doorward_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)"


def shipped() -> Sequence[Migration]:
    """The migrations of this version, in order."""
    return migrations_in("doorward.adapters.stores.postgres.migrations")


async def migrate(
    connection: Connection, migrations: Sequence[Migration], *, now: float, lock_within: float = _LOCK_WITHIN
) -> str:
    """Apply what is missing; the schema's name. Raises StoreError: what won't do, with the remedy."""
    try:
        async with Cut(connection, within=MIGRATE_WITHIN):
            # One that is up to date is not written to, and no lock is taken: every command opens it.
            schema, is_there = await _fit(connection)
            if not is_there or missing(await _applied(connection), migrations, of="the database"):
                await _apply(connection, migrations, now=now, lock_within=lock_within)
            return schema
    except psycopg.errors.LockNotAvailable:
        raise StoreError(
            f"the schema can't be brought up to date: another session has held a lock for {lock_within:g} s. "
            "Whose, pg_stat_activity and pg_locks tell by their pid"
        ) from None
    except psycopg.Error as error:
        raise told(error) from None


async def _fit(connection: Connection) -> tuple[str, bool]:
    """The schema, and whether our tables are there. Raises StoreError for a server or schema that can't hold them."""
    row = await (await connection.execute(_FACTS, prepare=False)).fetchone()
    if row is None:
        raise StoreError("PostgreSQL does not say what it is")
    number, version, encoding, read_only, schema, ours = row
    if number < OLDEST:
        raise StoreError(f"PostgreSQL {version} is too old: Doorward needs {OLDEST // 10000} or newer")
    if encoding != "UTF8":
        raise StoreError(f"the database's encoding is {encoding}: create it with ENCODING 'UTF8'")
    if read_only:
        raise StoreError("the database is read-only, a replica perhaps: store.url must name the primary")
    if schema is None or schema.startswith("pg_"):
        raise StoreError("no schema of the search_path is there: CREATE SCHEMA … AUTHORIZATION the role of store.url")
    await guard(connection, is_there=bool(ours))
    return schema, bool(ours)


async def _applied(connection: Connection) -> dict[int, str]:
    rows = await (await connection.execute(_APPLIED, prepare=False)).fetchall()
    return dict(rows)


async def _apply(connection: Connection, migrations: Sequence[Migration], *, now: float, lock_within: float) -> None:
    async with connection.transaction():
        await connection.execute(_BEFORE.format(lock_within * 1000).encode(), prepare=False)
        await connection.execute(_LOCK, prepare=False)
        await connection.execute(_TABLE, prepare=False)
        for migration in missing(await _applied(connection), migrations, of="the database"):
            await connection.execute(migration.text.encode(), prepare=False)
            await connection.execute(_NOTE, (migration.number, migration.name, migration.checksum, now), prepare=False)
