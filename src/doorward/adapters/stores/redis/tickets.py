"""Tickets in Redis: spent in one script, by one of all the callers of all the nodes, and never twice.

Redis may forget what it was told last: a restart from a snapshot, a replica that takes over. So a ticket belongs to the
life of the server that took it, and in any other it is void: its owner gets another one. What others write in there is
unknown, and noted.
"""

from collections.abc import Callable
from typing import Any, Final

from doorward.adapters.stores.redis.link import Asker
from doorward.adapters.stores.redis.script import script
from doorward.adapters.stores.redis.sealing import SealError, TicketSeal
from doorward.adapters.stores.redis.short import short
from doorward.adapters.stores.terms import EXPIRED_TICKET_KEPT
from doorward.ports import Clock, StoreError
from doorward.values.ticket import SpentTicket, Ticket

_PUT: Final = script("ticket_put")
_SPEND: Final = script("ticket_spend")
_TICKET: Final = "doorward:{t}:ticket:"
_OWNER: Final = "doorward:{t}:owner:"


class RedisTickets:
    """`key` seals (sealing.py). `note` is told of tickets that were refused for what the store held."""

    def __init__(self, link: Asker, *, key: bytes, clock: Clock, note: Callable[[str], None]) -> None:
        self._link = link
        self._seal = TicketSeal(key)
        self._clock = clock
        self._note = note

    async def put(self, ticket: Ticket, *, most: int) -> None:
        place = _TICKET + ticket.digest.hex()
        life = self._link.life(place)
        await self._put(ticket, place, life, most=most)
        if self._link.life(place) != life:
            # A cluster's slot has just gone to another master, where it would be void.
            await self._link.call("DEL", place)
            await self._put(ticket, place, self._link.life(place), most=most)

    async def _put(self, ticket: Ticket, place: str, life: str, *, most: int) -> None:
        kept = max(0.0, ticket.expires_at - ticket.issued_at) + EXPIRED_TICKET_KEPT
        taken = await self._link.run(
            _PUT,
            ticket.digest.hex(),
            life,
            self._seal.close(ticket, life=life),
            repr(ticket.issued_at),
            repr(ticket.expires_at),
            most,
            int(kept * 1000),
            _TICKET,
            keys=(place, _owner(ticket)),
        )
        if taken != 1:
            raise StoreError("a ticket with this digest is known already")

    async def spend(self, digest: bytes, *, now: float) -> Ticket | SpentTicket | None:
        return await self._ask(digest, repr(now), now=now)

    async def look(self, digest: bytes) -> Ticket | SpentTicket | None:
        return await self._ask(digest, "", now=self._clock.now())

    async def _ask(self, digest: bytes, spend_at: str, *, now: float) -> Ticket | SpentTicket | None:
        place = _TICKET + digest.hex()
        life = self._link.life(place)
        answer = await self._link.run(_SPEND, life, spend_at, keys=(place,))
        if answer == [b"void"] and self._link.life(place) != life:
            # Asked in the name of a master that the cluster's slot has just left.
            life = self._link.life(place)
            answer = await self._link.run(_SPEND, life, spend_at, keys=(place,))
        if answer is None:
            return None
        try:
            return self._answered(answer, digest=digest, life=life, now=now)
        except SealError:
            self._note(
                "a ticket in Redis was not sealed by us: somebody else writes there, or another key_file is used"
            )
            return None

    def _answered(self, answer: Any, *, digest: bytes, life: str, now: float) -> Ticket | SpentTicket | None:
        match answer:
            case [b"ticket", bytes(sealed)]:
                return self._seal.open(sealed, digest=digest, life=life)
            case [b"spent", bytes(sealed), bytes(spent_at)]:
                ticket = self._seal.open(sealed, digest=digest, life=life)
                if now >= ticket.expires_at:
                    return None
                return SpentTicket(connection=ticket.connection, spent_at=_number(spent_at))
            case [b"void"]:
                self._note("a ticket of an earlier life of Redis is void: it restarted, or a replica took over")
                return None
            case _:
                raise StoreError("a ticket in Redis was not understood")


def _owner(ticket: Ticket) -> str:
    """One list for each identity and session."""
    return _OWNER + short(*ticket.principal.identity, ticket.principal.session, size=16)


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise StoreError("a time in Redis was not understood") from None
