"""The revocation log: a row is there once the disk has it, and AUTOINCREMENT inside the one write lock is commit order.

Glanced at by every worker each 4 ms and read at each handshake, so a read with nothing new costs microseconds.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from doorward.adapters.stores.rows import acknowledgement_of, acknowledgement_row, revocation_of, revocation_row
from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.terms import REVOCATION_KEPT
from doorward.ports import StoreError
from doorward.values.revocation import Acknowledgement, Revocation

_KNOWN: Final = "SELECT sequence FROM revocations WHERE id = ? AND id <> ''"
_APPEND: Final = """
INSERT INTO revocations (id, kind, value, issuer, tenant, instant, effect, cause, expires_at, made_by, roles)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_READ: Final = """
SELECT sequence, id, kind, value, issuer, tenant, instant, effect, cause, expires_at, made_by, roles
FROM revocations WHERE sequence > ? ORDER BY sequence LIMIT ?
"""
# What somebody forgot meanwhile needs no acknowledgement: it would stay for ever.
_ACKNOWLEDGE: Final = """
INSERT OR REPLACE INTO acknowledgements (revocation, sequence, node, worker, closed, asked, at, took, identities)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM revocations WHERE id = ?1 AND id <> '')
"""
_ACKNOWLEDGEMENTS: Final = """
SELECT revocation, sequence, node, worker, closed, asked, at, took, identities
FROM acknowledgements WHERE revocation = ? ORDER BY node, worker
"""
_FORGET: Final = """
DELETE FROM revocations WHERE sequence IN (
    SELECT sequence FROM revocations WHERE expires_at < ? ORDER BY expires_at LIMIT ?
) RETURNING id
"""
_FORGET_ACKNOWLEDGEMENTS: Final = "DELETE FROM acknowledgements WHERE revocation = ?"

_AT_ONCE: Final = 64  # rows that are read on the event loop: under a millisecond
_FORGET_MOST: Final = 1_000  # in one transaction


class SqliteRevocations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, revocation: Revocation) -> int:
        return await self._database.write(partial(_append, row=revocation_row(revocation)), durable=True)

    async def read(self, *, after: int) -> Sequence[Revocation]:
        rows = await self._database.poll(_READ, (after, _AT_ONCE))
        if not rows:
            return ()
        if len(rows) < _AT_ONCE:
            return [revocation_of(row) for row in rows]
        return await self._database.read(partial(_read, after=after))

    def touched(self) -> bool | None:
        return self._database.touched(_READ)

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        row = acknowledgement_row(acknowledgement)
        await self._database.write(lambda connection: connection.execute(_ACKNOWLEDGE, row).rowcount)

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        return [acknowledgement_of(row) for row in await self._database.rows(_ACKNOWLEDGEMENTS, (id,))]

    async def forget(self, *, now: float) -> int:
        forgotten = 0
        while True:
            some = await self._database.write(partial(_forget, before=now, most=_FORGET_MOST))
            forgotten += some
            if some < _FORGET_MOST:
                return forgotten


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Drop what has been over for an hour. How many."""
    return _forget(connection, before=now - REVOCATION_KEPT, most=most)


def _append(connection: sqlite3.Connection, *, row: Sequence[object]) -> int:
    known: tuple[int] | None = connection.execute(_KNOWN, row[:1]).fetchone()
    if known is not None:
        return known[0]
    sequence = connection.execute(_APPEND, row).lastrowid
    if sequence is None:
        raise StoreError("the log gave no sequence")
    return sequence


def _read(connection: sqlite3.Connection, *, after: int) -> Sequence[Revocation]:
    return [revocation_of(row) for row in connection.execute(_READ, (after, -1)).fetchall()]


def _forget(connection: sqlite3.Connection, *, before: float, most: int) -> int:
    forgotten = connection.execute(_FORGET, (before, most)).fetchall()
    connection.executemany(_FORGET_ACKNOWLEDGEMENTS, forgotten)
    return len(forgotten)
