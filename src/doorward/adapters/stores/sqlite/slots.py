"""Slots as rows, taken under both limits in one transaction, and leased to the process that holds them.

A process prolongs its lease with each beat; whoever beats frees what dead processes held. One whose own beat was so
late that it would count as dead itself frees nothing then: the file was locked, and the others could not beat either.
"""

import asyncio
import sqlite3
from functools import partial
from typing import Final

from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.terms import SLOT_LEASE
from doorward.ports import StoreError
from doorward.values.decision import Reason
from doorward.values.question import Slot, SlotsFull, TakeSlot
from doorward.values.rules import WhenFull

_IDENTITY: Final = "issuer = ? AND subject = ? AND tenant = ?"
_COUNT_IDENTITY: Final = f"SELECT count(*) FROM slots WHERE {_IDENTITY}"  # noqa: S608 - our own constant
_OLDEST_IDENTITY: Final = f"SELECT id, address FROM slots WHERE {_IDENTITY} ORDER BY id LIMIT ?"  # noqa: S608
_COUNT_ADDRESS: Final = "SELECT coalesce(max(held), 0) FROM slots_of_addresses WHERE address = ?"  # kept by triggers
_OLDEST_ADDRESS: Final = "SELECT id, address FROM slots WHERE address = ? ORDER BY id LIMIT ?"
_FREE_ID: Final = "DELETE FROM slots WHERE id = ? RETURNING connection"
_FREE: Final = "DELETE FROM slots WHERE connection = ?"
_HOLD: Final = """
INSERT INTO slots (connection, issuer, subject, tenant, address, process) VALUES (?, ?, ?, ?, ?, ?)
"""
_LEASE: Final = """
INSERT INTO slot_leases (process, beat_at) VALUES (?, ?) ON CONFLICT (process) DO UPDATE SET beat_at = excluded.beat_at
"""
_BEGIN_LEASE: Final = "INSERT INTO slot_leases (process, beat_at) VALUES (?, ?) ON CONFLICT (process) DO NOTHING"
_LAST_BEAT: Final = "SELECT beat_at FROM slot_leases WHERE process = ?"
_DEAD: Final = "DELETE FROM slot_leases WHERE beat_at < ? RETURNING process"
_FREE_PROCESS: Final = "DELETE FROM slots WHERE process = ?"


class SqliteSlots:
    """`process` is a name that no other living process has. One that stood still for longer than its lease has lost its
    slots: the connections that it still has are then not counted any more."""

    def __init__(self, database: Database, *, process: str) -> None:
        self._database = database
        self._process = process
        # Given back, or perhaps taken for nobody, and not known to be free: freed with the next beat at the latest.
        self._owed: set[str] = set()

    async def start(self, *, now: float) -> None:
        """Begin a life: what an earlier process of this name held is free. Raises StoreError."""
        await self._database.write(partial(_start, process=self._process, now=now))

    async def stop(self) -> None:
        """End it in order: nothing is held any more. Raises StoreError."""
        await self._database.write(partial(_stop, process=self._process))

    async def take(self, question: TakeSlot, *, now: float) -> Slot | SlotsFull:
        self._owed.discard(question.connection)
        try:
            return await self._database.write(partial(_take, question=question, process=self._process, now=now))
        except (asyncio.CancelledError, StoreError):
            # It may be taken all the same, or will be, for a caller who is gone.
            self._owed.add(question.connection)
            self._database.post(partial(_free, connections=(question.connection,)))
            raise

    async def release(self, *connections: str) -> None:
        self._owed.update(connections)
        await self._database.write(partial(_free, connections=connections))
        self._owed.difference_update(connections)

    async def beat(self, *, now: float) -> None:
        owed = tuple(self._owed)
        await self._database.write(partial(_beat, process=self._process, owed=owed, now=now))
        self._owed.difference_update(owed)


def _start(connection: sqlite3.Connection, *, process: str, now: float) -> None:
    connection.execute(_FREE_PROCESS, (process,))
    connection.execute(_LEASE, (process, now))


def _stop(connection: sqlite3.Connection, *, process: str) -> None:
    connection.execute(_FREE_PROCESS, (process,))
    connection.execute("DELETE FROM slot_leases WHERE process = ?", (process,))


def _take(connection: sqlite3.Connection, *, question: TakeSlot, process: str, now: float) -> Slot | SlotsFull:
    identity, address = question.identity, question.address
    connection.execute(_FREE, (question.connection,))
    may_replace = question.when_full is WhenFull.REPLACE_OLDEST
    excess = connection.execute(_COUNT_IDENTITY, identity).fetchone()[0] - question.per_identity + 1
    if excess > 0 and not (may_replace and question.per_identity > 0):
        return SlotsFull(Reason.SLOTS_IDENTITY)
    replaced = connection.execute(_OLDEST_IDENTITY, (*identity, excess)).fetchall() if excess > 0 else []
    kept = connection.execute(_COUNT_ADDRESS, (address,)).fetchone()[0] - sum(at == address for _, at in replaced)
    excess = kept - question.per_address + 1
    if excess > 0 and not (may_replace and question.per_address > 0):
        return SlotsFull(Reason.SLOTS_ADDRESS)
    if excess > 0:
        oldest = connection.execute(_OLDEST_ADDRESS, (address, excess + len(replaced))).fetchall()
        replaced += [row for row in oldest if row not in replaced][:excess]
    gone = tuple(connection.execute(_FREE_ID, (id,)).fetchone()[0] for id, _ in replaced)
    connection.execute(_HOLD, (question.connection, *identity, address, process))
    connection.execute(_BEGIN_LEASE, (process, now))
    return Slot(replaced=gone)


def _free(connection: sqlite3.Connection, *, connections: tuple[str, ...]) -> None:
    connection.executemany(_FREE, [(id,) for id in connections])


def _beat(connection: sqlite3.Connection, *, process: str, owed: tuple[str, ...], now: float) -> None:
    last = connection.execute(_LAST_BEAT, (process,)).fetchone()
    connection.executemany(_FREE, [(connection_id,) for connection_id in owed])
    connection.execute(_LEASE, (process, now))
    if last is not None and now - last[0] > SLOT_LEASE:
        return
    dead = connection.execute(_DEAD, (now - SLOT_LEASE,)).fetchall()
    connection.executemany(_FREE_PROCESS, dead)
