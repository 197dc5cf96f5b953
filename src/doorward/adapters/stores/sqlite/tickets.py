"""A ticket is spent by one UPDATE in the one writer's transaction: of racing calls in any process, one gets it."""

import sqlite3
from functools import partial
from typing import Final

from doorward.adapters.stores.rows import Row, principal_text, spent_ticket_of, ticket_of
from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.terms import EXPIRED_TICKET_KEPT
from doorward.ports import Clock
from doorward.values.ticket import SpentTicket, Ticket

_PUT: Final = """
INSERT INTO tickets
(digest, issuer, subject, tenant, session, principal, connection, issued_at, expires_at, path, origin)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DIE: Final = """
DELETE FROM tickets WHERE id IN (
    SELECT id FROM tickets
    WHERE issuer = ? AND subject = ? AND tenant = ? AND session = ? AND spent_at IS NULL AND expires_at > ?
    ORDER BY id DESC LIMIT -1 OFFSET ?
)
"""
_COLUMNS: Final = "principal, connection, issued_at, expires_at, path, origin, spent_at"
_SPEND: Final = f"UPDATE tickets SET spent_at = ? WHERE digest = ? AND spent_at IS NULL RETURNING {_COLUMNS}"  # noqa: S608
_LOOK: Final = f"SELECT {_COLUMNS} FROM tickets WHERE digest = ?"  # noqa: S608 - our own constant
_SWEEP: Final = """
DELETE FROM tickets WHERE id IN (SELECT id FROM tickets WHERE expires_at < ? ORDER BY expires_at LIMIT ?)
"""


class SqliteTickets:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, ticket: Ticket, *, most: int) -> None:
        await self._database.write(partial(_put, ticket=ticket, principal=principal_text(ticket.principal), most=most))

    async def spend(self, digest: bytes, *, now: float) -> Ticket | SpentTicket | None:
        spent_now, row = await self._database.write(partial(_spend, digest=digest, now=now))
        if spent_now:
            return ticket_of(digest, row)
        return spent_ticket_of(row, now=now)

    async def look(self, digest: bytes) -> Ticket | SpentTicket | None:
        row = next(iter(await self._database.poll(_LOOK, (digest,))), None)
        if row is not None and row[6] is None:
            return ticket_of(digest, row)
        return spent_ticket_of(row, now=self._clock.now())


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Drop tickets that are long expired, spent or not. How many."""
    return connection.execute(_SWEEP, (now - EXPIRED_TICKET_KEPT, most)).rowcount


def _put(connection: sqlite3.Connection, *, ticket: Ticket, principal: str, most: int) -> None:
    owner = (*ticket.principal.identity, ticket.principal.session)
    connection.execute(
        _PUT,
        (
            ticket.digest,
            *owner,
            principal,
            ticket.connection,
            ticket.issued_at,
            ticket.expires_at,
            ticket.path,
            ticket.origin,
        ),
    )
    connection.execute(_DIE, (*owner, ticket.issued_at, most))


def _spend(connection: sqlite3.Connection, *, digest: bytes, now: float) -> tuple[bool, Row]:
    """Whether this call spent it, and its row; or what is known of it."""
    spent: Row | None = next(iter(connection.execute(_SPEND, (now, digest)).fetchall()), None)
    if spent is not None:
        return True, spent
    return False, connection.execute(_LOOK, (digest,)).fetchone()
