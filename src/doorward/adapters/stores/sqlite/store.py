"""A Store over one SQLite file. With one process the counts are in its memory; with several they are rows."""

import asyncio
import logging
import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

from doorward.adapters.stores.memory import MemoryRates, MemorySlots
from doorward.adapters.stores.sqlite import bans, presence, rates, revocations, tickets
from doorward.adapters.stores.sqlite.audit import SqliteAudit
from doorward.adapters.stores.sqlite.bans import SqliteBans
from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.sqlite.keys import SqliteKeys
from doorward.adapters.stores.sqlite.lane import DEADLINE
from doorward.adapters.stores.sqlite.presence import SqlitePresence
from doorward.adapters.stores.sqlite.rates import SqliteRates
from doorward.adapters.stores.sqlite.revocations import SqliteRevocations
from doorward.adapters.stores.sqlite.slots import SqliteSlots
from doorward.adapters.stores.sqlite.tickets import SqliteTickets
from doorward.adapters.stores.sweeping import SWEEP_EVERY, SWEEP_MOST, sweep_by_itself
from doorward.ports import (
    AuditStore,
    BanStore,
    Clock,
    KeyStore,
    Presence,
    RateStore,
    RevocationLog,
    SlotStore,
    TicketStore,
)
from doorward.service.guarding import Fault, guarded, log_fault
from doorward.service.noting import Note, unfailing

_log = logging.getLogger(__name__)

_SWEEPS: Final = (tickets.sweep, rates.sweep, revocations.sweep, bans.sweep, presence.sweep)
_CHECK: Final = "UPDATE numbers SET value = value + 1 WHERE name = 'checks'"


class SqliteStore:
    """`process` names this process and no other living one: node and worker. `deadline` and `sweep_every` are seconds.

    `shared`: several processes admit connections over this file, so that rates and slots must be rows. `note` gets
    lines for our own log, `fault` is told of our own bugs.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock,
        process: str,
        shared: bool,
        deadline: float = DEADLINE,
        sweep_every: float = SWEEP_EVERY,
        note: Note = _log.warning,
        fault: Fault = log_fault,
    ) -> None:
        self._clock = clock
        self._database = database = Database(Path(path), deadline=deadline)
        self._slots = SqliteSlots(database, process=process) if shared else None
        self._sweep_every = sweep_every
        self._note = unfailing(note)
        self._fault = fault
        self._sweeper: asyncio.Task[None] | None = None
        self.tickets: TicketStore = SqliteTickets(database, clock)
        self.rates: RateStore = SqliteRates(database, clock) if shared else MemoryRates()
        self.slots: SlotStore = self._slots or MemorySlots()
        self.revocations: RevocationLog = SqliteRevocations(database)
        self.bans: BanStore = SqliteBans(database)
        self.presence: Presence = SqlitePresence(database)
        self.keys: KeyStore = SqliteKeys(database)
        self.audit: AuditStore = SqliteAudit(database)

    async def open(self) -> None:
        """Make or migrate the file. Raises StoreError."""
        await self._database.open(now=self._clock.now())
        try:
            if self._slots is not None:
                await self._slots.start(now=self._clock.now())
        except BaseException:
            await self._database.close()
            raise
        sweeping = partial(sweep_by_itself, self.sweep, every=self._sweep_every, note=self._note)
        self._sweeper = asyncio.create_task(guarded("sqlite sweeps", sweeping, fault=self._fault))

    async def close(self) -> None:
        """Finish what waits, and free this process's slots. Raises StoreError when that takes too long."""
        if self._sweeper is None:
            return
        self._sweeper.cancel()
        await asyncio.wait([self._sweeper])
        self._sweeper = None
        try:
            if self._slots is not None:
                await self._slots.stop()
        finally:
            await self._database.close()

    async def check(self) -> None:
        """Raise StoreError unless a write succeeds now."""
        await self._database.write(lambda connection: connection.execute(_CHECK).rowcount)

    async def time(self) -> None:
        """The file lies on this machine: its clock is the one."""

    async def sweep(self) -> bool:
        """Drop some of what is over, a bounded number of rows; done by itself at intervals.

        Whether there may be more. Raises StoreError.
        """
        return await self._database.write(partial(_sweep, now=self._clock.now()))


def _sweep(connection: sqlite3.Connection, *, now: float) -> bool:
    return max(sweep(connection, now, SWEEP_MOST) for sweep in _SWEEPS) >= SWEEP_MOST
