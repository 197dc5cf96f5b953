"""A ticket is spent by an UPDATE that takes the row's lock: of racing calls on any node, one gets it.

It is committed with the disk's flush: a spent ticket stays spent when the server is killed. Putting one is not: one
that is forgotten is refused.
"""

from typing import Final

from doorward.adapters.stores.postgres.digests import digest_of
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.rows import principal_text, spent_ticket_of, ticket_of
from doorward.ports import Clock
from doorward.values.ticket import SpentTicket, Ticket

_PUT: Final = """
SELECT doorward_put_ticket($1::bytea, $2::bytea, $3::text, $4::text, $5::float8, $6::float8, $7::text, $8::text,
                           $9::bigint)
"""
_COLUMNS: Final = "principal, connection, issued_at, expires_at, path, origin, spent_at"
_SPEND: Final = f"SELECT won, {_COLUMNS} FROM doorward_spend_ticket($1::bytea, $2::float8)"  # noqa: S608 - our own constant
_LOOK: Final = f"SELECT {_COLUMNS} FROM doorward_tickets WHERE digest = $1"  # noqa: S608 - our own constant


class PostgresTickets:
    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock

    async def put(self, ticket: Ticket, *, most: int) -> None:
        await self._link.ask(
            _PUT,
            (
                ticket.digest,
                digest_of(*ticket.principal.identity, ticket.principal.session),
                principal_text(ticket.principal),
                ticket.connection,
                ticket.issued_at,
                ticket.expires_at,
                ticket.path,
                ticket.origin,
                most,
            ),
        )

    async def spend(self, digest: bytes, *, now: float) -> Ticket | SpentTicket | None:
        rows = await self._link.ask(_SPEND, (digest, now))
        if not rows:
            return None
        won, row = rows[0][0], rows[0][1:]
        return ticket_of(digest, row) if won else spent_ticket_of(row, now=now)

    async def look(self, digest: bytes) -> Ticket | SpentTicket | None:
        row = next(iter(await self._link.ask(_LOOK, (digest,), again=True)), None)
        if row is not None and row[6] is None:
            return ticket_of(digest, row)
        return spent_ticket_of(row, now=self._clock.now())
