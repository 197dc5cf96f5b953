"""A Store over one PostgreSQL database: durable, and shared by as many nodes as there are.

Time: leases of slots and rates go by the server's clock, the only one that all nodes have in common; what callers hand
over as `now` counts in tests, which can't wait.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from doorward.adapters.stores.postgres.audit import PostgresAudit
from doorward.adapters.stores.postgres.bans import PostgresBans
from doorward.adapters.stores.postgres.connecting import COMMANDS, HANDSHAKES, Patience, Place, end
from doorward.adapters.stores.postgres.keys import PostgresKeys
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.postgres.listening import Listener
from doorward.adapters.stores.postgres.migrating import migrate, shipped
from doorward.adapters.stores.postgres.numbers import Counters
from doorward.adapters.stores.postgres.presence import PostgresPresence
from doorward.adapters.stores.postgres.rates import PostgresRates
from doorward.adapters.stores.postgres.revocations import PostgresRevocations
from doorward.adapters.stores.postgres.slots import PostgresSlots
from doorward.adapters.stores.postgres.tickets import PostgresTickets
from doorward.adapters.stores.sweeping import SWEEP_EVERY, SWEEP_MOST, sweep_by_itself
from doorward.adapters.stores.terms import EXPIRED_TICKET_KEPT, REVOCATION_KEPT, UNHEARD_KEPT
from doorward.ports import (
    AuditStore,
    BanStore,
    Clock,
    KeyStore,
    Presence,
    RateStore,
    RevocationLog,
    SlotStore,
    StoreError,
    TicketStore,
)
from doorward.service.guarding import Fault, guarded, log_fault
from doorward.service.noting import Note, unfailing

_SWEEP: Final = "SELECT doorward_sweep($1::float8, $2::bigint, $3::float8, $4::float8, $5::float8)"
_CHECK: Final = "UPDATE doorward_numbers SET value = value + 1 WHERE name = 'checks' RETURNING value"
_TIME: Final = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8"

_log = logging.getLogger(__name__)


class PostgresStore:
    """`process` names this process and no other living one: node and worker. `sweep_every` is in seconds.

    `patience` is that of whoever asks; opening has a command's. `own_time`: leases and rates go by each call's `now`
    instead of the server's clock. `note` gets lines for our own log, `fault` is told of our own bugs.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        process: str,
        own_time: bool = False,
        patience: Patience = HANDSHAKES,
        sweep_every: float = SWEEP_EVERY,
        note: Note = _log.warning,
        fault: Fault = log_fault,
    ) -> None:
        """Raises StoreError when `url` is none of PostgreSQL's."""
        self._clock = clock
        self._own_time = own_time
        self._sweep_every = sweep_every
        self._note = unfailing(note)
        self._place = Place(url, patience=patience)
        self._link = link = Link(self._place, probe=_CHECK, deadline=patience.answer, fault=fault)
        self._listener = Listener(link, within=patience.answer)
        link.on_back = self._listener.wake
        counters = Counters(link)
        self._slots = PostgresSlots(link, process=process, own_time=own_time)
        self._sweeper: asyncio.Task[None] | None = None
        self._open = False
        self.tickets: TicketStore = PostgresTickets(link, clock)
        self.rates: RateStore = PostgresRates(link, own_time=own_time)
        self.slots: SlotStore = self._slots
        self.revocations: RevocationLog = PostgresRevocations(link, counters, self._listener)
        self.bans: BanStore = PostgresBans(link, counters)
        self.presence: Presence = PostgresPresence(link)
        self.keys: KeyStore = PostgresKeys(link, counters)
        self.audit: AuditStore = PostgresAudit(link)

    async def open(self) -> None:
        """Make or migrate the schema. Raises StoreError: its text names the host, never the password."""
        if self._open:
            raise StoreError("the store is open already")
        first = await self._place.connect(within=COMMANDS.enter)
        try:
            self._place.settle(await migrate(first, shipped(), now=self._clock.now()))
        except BaseException:
            await end(first)
            raise
        self._open = True
        await self._link.open(first)
        try:
            await self._listener.open(within=COMMANDS.enter)
            await self._slots.start(now=self._clock.now())
        except BaseException:
            await self._end()
            raise
        sweeping = partial(sweep_by_itself, self.sweep, every=self._sweep_every, note=self._note)
        self._sweeper = asyncio.create_task(guarded("postgres sweeps", sweeping, fault=self._link.fault))

    async def close(self) -> None:
        """Finish what waits, and free this process's slots; where the server is away, they come free with our lease."""
        if not self._open:
            return
        try:
            await self._slots.stop()
        except StoreError as error:
            self._note(f"slots are not given back, and come free by themselves: {error}")
        finally:
            await self._end()

    async def check(self) -> None:
        """Raise StoreError unless a write succeeds now."""
        await self._link.one(_CHECK, again=True)

    async def time(self) -> float | None:
        """The server's clock. Raises StoreError."""
        at: float = (await self._link.one(_TIME, again=True))[0]
        return at

    async def sweep(self) -> bool:
        """Drop some of what is over, a bounded number of rows; done by itself at intervals.

        Whether there may be more. Raises StoreError.
        """
        at = self._clock.now() if self._own_time else None
        row = await self._link.one(_SWEEP, (at, SWEEP_MOST, EXPIRED_TICKET_KEPT, REVOCATION_KEPT, UNHEARD_KEPT))
        return bool(row[0] >= SWEEP_MOST)

    async def _end(self) -> None:
        self._open = False
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        await self._listener.close()
        await self._link.close()
