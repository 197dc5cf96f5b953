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

_SWEEPS: Final = (tickets.sweep, rates.sweep, revocations.sweep, bans.sweep, presence.sweep)
_SWEEP_EVERY: Final = 10.0
_SWEEP_AGAIN: Final = 0.05  # when the last one left some
_SWEEP_MOST: Final = 256  # rows of each table: one or two milliseconds
_CHECK: Final = "UPDATE numbers SET value = value + 1 WHERE name = 'checks'"

_log = logging.getLogger(__name__)


class SqliteStore:
    """`process` names this process and no other living one: node and worker. `deadline` and `sweep_every` are seconds.

    `shared`: several processes admit connections over this file, so that rates and slots must be rows. `fault` is told
    of our own bugs.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock,
        process: str,
        shared: bool,
        deadline: float = DEADLINE,
        sweep_every: float = _SWEEP_EVERY,
        fault: Fault = log_fault,
    ) -> None:
        self._clock = clock
        self._database = database = Database(Path(path), deadline=deadline)
        self._slots = SqliteSlots(database, process=process) if shared else None
        self._sweep_every = sweep_every
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
        self._sweeper = asyncio.create_task(guarded("sqlite sweeps", self._sweep_by_itself, fault=self._fault))

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

    async def _sweep_by_itself(self) -> None:
        pause = self._sweep_every
        while True:
            await asyncio.sleep(pause)
            pause = self._sweep_every
            try:
                pause = _SWEEP_AGAIN if await self.sweep() else pause
            except StoreError as error:
                _log.warning("not swept: %s", error)


def _sweep(connection: sqlite3.Connection, *, now: float) -> bool:
    return max(sweep(connection, now, _SWEEP_MOST) for sweep in _SWEEPS) >= _SWEEP_MOST
