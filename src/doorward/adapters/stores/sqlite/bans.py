"""Bans as rows, and a number that changes with each, so that a handshake asks for a number instead of the rows."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from doorward.adapters.stores.rows import ban_of, ban_row
from doorward.adapters.stores.sqlite.database import Database
from doorward.ports import StoreError
from doorward.values.ban import Ban

_ADD: Final = """
INSERT INTO bans (network, subject, issuer, tenant, cause, made_at, expires_at, made_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_REMOVE: Final = "DELETE FROM bans WHERE id = ?"
_CHANGED: Final = "UPDATE numbers SET value = value + 1 WHERE name = 'bans'"
_VERSION: Final = "SELECT value FROM numbers WHERE name = 'bans'"
_ALL: Final = """
SELECT id, network, subject, issuer, tenant, cause, made_at, expires_at, made_by
FROM bans WHERE expires_at IS NULL OR expires_at > ? ORDER BY id
"""
_SWEEP: Final = "DELETE FROM bans WHERE id IN (SELECT id FROM bans WHERE expires_at <= ? LIMIT ?)"


class SqliteBans:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, ban: Ban) -> int:
        return await self._database.write(partial(_add, row=ban_row(ban)), durable=True)

    async def remove(self, id: int) -> bool:
        return await self._database.write(partial(_remove, id=id), durable=True)

    async def version(self) -> int:
        version: int = (await self._database.poll(_VERSION))[0][0]
        return version

    async def all(self, *, now: float) -> Sequence[Ban]:
        return [ban_of(row) for row in await self._database.rows(_ALL, (now,))]


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Drop expired ones. How many."""
    return connection.execute(_SWEEP, (now, most)).rowcount


def _add(connection: sqlite3.Connection, *, row: Sequence[object]) -> int:
    id = connection.execute(_ADD, row).lastrowid
    if id is None:
        raise StoreError("the ban got no id")
    connection.execute(_CHANGED)
    return id


def _remove(connection: sqlite3.Connection, *, id: int) -> bool:
    if not connection.execute(_REMOVE, (id,)).rowcount:
        return False
    connection.execute(_CHANGED)
    return True
