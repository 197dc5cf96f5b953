"""A ticket is spent in one step that nothing can come between: no method here awaits anything.

Time is what the calls say it is. Expired tickets are shed by later calls, a few each, so that none pays for many.
"""

from heapq import heappop, heappush
from typing import Final

from doorward.adapters.stores.terms import EXPIRED_TICKET_KEPT
from doorward.ports import StoreError
from doorward.values.principal import Identity
from doorward.values.ticket import SpentTicket, Ticket

_SHED: Final = 16  # more than one call adds


class MemoryTickets:
    def __init__(self) -> None:
        self._unspent: dict[bytes, Ticket] = {}
        self._spent: dict[bytes, tuple[SpentTicket, float]] = {}
        self._of: dict[tuple[Identity, str], dict[bytes, float]] = {}  # the unspent ones of an owner, oldest first
        self._ends: list[tuple[float, bytes]] = []
        self._latest = 0.0

    async def put(self, ticket: Ticket, *, most: int) -> None:
        self._shed(ticket.issued_at)
        digest = ticket.digest
        if digest in self._unspent or digest in self._spent:
            raise StoreError("a ticket with this digest is known already")
        self._unspent[digest] = ticket
        heappush(self._ends, (ticket.expires_at + EXPIRED_TICKET_KEPT, digest))
        of = self._of.setdefault(_owner(ticket), {})
        of[digest] = ticket.expires_at
        live = [other for other, expires_at in of.items() if expires_at > ticket.issued_at]
        for other in live[: max(0, len(live) - most)]:
            self._forget(other)

    async def spend(self, digest: bytes, *, now: float) -> Ticket | SpentTicket | None:
        self._shed(now)
        ticket = self._unspent.get(digest)
        if ticket is None:
            return self._spent_one(digest, now)
        self._forget(digest)
        self._spent[digest] = (SpentTicket(connection=ticket.connection, spent_at=now), ticket.expires_at)
        return ticket

    async def look(self, digest: bytes) -> Ticket | SpentTicket | None:
        return self._unspent.get(digest) or self._spent_one(digest, self._latest)

    def _spent_one(self, digest: bytes, now: float) -> SpentTicket | None:
        spent, expires_at = self._spent.get(digest, (None, 0.0))
        return spent if now < expires_at else None

    def _forget(self, digest: bytes) -> None:
        ticket = self._unspent.pop(digest)
        of = self._of[_owner(ticket)]
        del of[digest]
        if not of:
            del self._of[_owner(ticket)]

    def _shed(self, now: float) -> None:
        self._latest = now
        for _ in range(_SHED):
            if not self._ends or self._ends[0][0] >= now:
                return
            _, digest = heappop(self._ends)
            self._spent.pop(digest, None)
            if digest in self._unspent:
                self._forget(digest)


def _owner(ticket: Ticket) -> tuple[Identity, str]:
    return ticket.principal.identity, ticket.principal.session
