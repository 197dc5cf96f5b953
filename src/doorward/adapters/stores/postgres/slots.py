"""Slots as rows, taken under both limits in one call, and leased to the process that holds them.

A process keeps its own list of what it holds. Whenever the server may know less (the lease was given up while we were
cut off) or more (a crash took back what was not flushed yet), the next beat says it anew.
"""

import asyncio
from typing import Final

from doorward.adapters.stores.postgres.digests import digest_of
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.terms import SLOT_LEASE
from doorward.ports import StoreError
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull, TakeSlot
from doorward.values.rules import WhenFull

_TAKE: Final = """
SELECT outcome, taken_place, replaced
FROM doorward_take_slot($1::text, $2::bytea, $3::text, $4::bigint, $5::bigint, $6::boolean, $7::text, $8::float8)
"""
_START: Final = "SELECT doorward_start_slots($1::text, $2::float8)"
_STOP: Final = "SELECT doorward_stop_slots($1::text)"
_FREE: Final = "SELECT doorward_free_slots($1::text[])"
_BEAT: Final = "SELECT doorward_beat_slots($1::text, $2::text[], $3::float8, $4::float8)"
_RESTATE: Final = (
    "SELECT doorward_restate_slots($1::text, $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[])"
)


class PostgresSlots:
    """`process` is a name that no other living process has. `own_time`: each call's `now` counts instead of the
    server's, for tests."""

    def __init__(self, link: Link, *, process: str, own_time: bool) -> None:
        self._link = link
        self._process = process
        self._own_time = own_time
        self._held: dict[str, tuple[int, bytes, str]] = {}  # place, identity, address
        self._being_taken: set[str] = set()
        # Given back, or perhaps taken for nobody, and not known to be free: freed with the next beat at the latest.
        self._owed: set[str] = set()
        self._losses = 0
        self._restating: asyncio.Future[None] | None = None

    async def start(self, *, now: float) -> None:
        """Begin a life: what an earlier process of this name held is free. Raises StoreError."""
        self._losses = self._link.losses
        await self._link.ask(_START, (self._process, self._at(now)))

    async def stop(self) -> None:
        """End it in order: nothing is held any more. Raises StoreError."""
        await self._link.ask(_STOP, (self._process,), again=True)

    async def take(self, question: TakeSlot, *, now: float) -> Slot | SlotsFull:
        await self._settled()
        connection = question.connection
        identity = digest_of(*question.identity)
        self._owed.discard(connection)
        self._held.pop(connection, None)
        self._being_taken.add(connection)
        try:
            outcome, place, replaced = await self._link.one(
                _TAKE,
                (
                    connection,
                    identity,
                    question.address,
                    question.per_identity,
                    question.per_address,
                    question.when_full is WhenFull.REPLACE_OLDEST,
                    self._process,
                    self._at(now),
                ),
            )
        except (asyncio.CancelledError, StoreError):
            # It may be taken all the same, or will be, for a caller who is gone.
            self._owed.add(connection)
            raise
        finally:
            self._being_taken.discard(connection)
        match outcome:
            case "taken":
                self._held[connection] = (place, identity, question.address)
                for gone in replaced:
                    self._held.pop(gone, None)
                return Slot(replaced=tuple(replaced))
            case "identity":
                return SlotsFull(Reason.SLOTS_IDENTITY)
            case _:
                return SlotsFull(Reason.SLOTS_ADDRESS)

    async def release(self, *connections: str) -> None:
        self._owed.update(connections)
        for connection in connections:
            self._held.pop(connection, None)
        await self._settled()
        await self._link.ask(_FREE, (list(connections),), again=True)
        self._owed.difference_update(connections)

    async def beat(self, *, now: float) -> None:
        owed = [connection for connection in self._owed if connection not in self._being_taken]
        losses = self._link.losses
        row = await self._link.one(_BEAT, (self._process, owed, self._at(now), SLOT_LEASE), again=True)
        self._owed.difference_update(owed)
        if row[0] or losses != self._losses:
            await self._restate(losses)

    async def _restate(self, losses: int) -> None:
        """Nothing is taken or given back meanwhile: it would be missed, or come twice."""
        await self._settled()
        restating = self._restating = asyncio.get_running_loop().create_future()
        try:
            held = list(self._held.items())
            await self._link.ask(
                _RESTATE,
                (
                    self._process,
                    [connection for connection, _ in held],
                    [place for _, (place, _, _) in held],
                    [identity for _, (_, identity, _) in held],
                    [address for _, (_, _, address) in held],
                    [*self._being_taken, *self._owed],
                ),
                again=True,
            )
            self._losses = losses
        finally:
            self._restating = None
            restating.set_result(None)

    async def _settled(self) -> None:
        while self._restating is not None:
            await asyncio.wait([self._restating])

    def _at(self, now: float) -> float | None:
        return now if self._own_time else None
