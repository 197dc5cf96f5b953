"""The one hand that writes: whatever waits becomes one transaction, and only what must last waits for the disk.

A batch is committed in two parts, the swift first. Tickets, slots and rates need to survive kill -9, which WAL does
without a flush; revocations, bans and keys need to survive power loss, so theirs is committed with synchronous=FULL.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from threading import Event

from doorward.adapters.stores.sqlite.connecting import Connect, is_busy, spoils, store_error
from doorward.adapters.stores.sqlite.lane import Job, Settle
from doorward.ports import StoreError


class Writer:
    """Hands of a lane. `connect` makes a connection with autocommit (isolation_level None) and a short patience."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._durable: bool | None = None  # what synchronous is set to
        self._pause = Event()
        self.overgrown = False  # set by whoever finds that the log has grown over its limit

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        for durable in (False, True):
            part = [job for job in jobs if job.durable is durable]
            if part:
                self._commit(part, durable=durable)
                settle(part)
        if self.overgrown:
            self._backfill()

    def end(self) -> None:
        self._drop()

    def _commit(self, jobs: Sequence[Job], *, durable: bool) -> None:
        connection = self._begin(jobs, durable=durable)
        if connection is None:
            return
        # Looked at again: the lock may have come after a caller was told that it was too late.
        live = _still_wanted(jobs)
        try:
            for job in live:
                job.result = job.work(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it is handed to the callers
            self._undo(error)
            if len(live) == 1:
                live[0].error = store_error(error)
                return
            # One of them spoils it for all. Which, is found by doing each alone: nothing of the batch was done.
            for job in live:
                self._commit([job], durable=durable)

    def _begin(self, jobs: Sequence[Job], *, durable: bool) -> sqlite3.Connection | None:
        """Open a transaction. None, and an error for each job: it could not be opened while somebody waited."""
        while jobs := _still_wanted(jobs):
            try:
                connection = self._ready(durable=durable)
                connection.execute("BEGIN IMMEDIATE")
                return connection
            except Exception as error:  # noqa: BLE001 - it is handed to the callers
                self._undo(error)
                if not is_busy(error):
                    for job in jobs:
                        job.error = store_error(error)
                    return None
                # Mostly the connection's patience has passed by now; in some states SQLite doesn't wait at all.
                self._pause.wait(0.002)
        return None

    def _ready(self, *, durable: bool) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            self._durable = None
        if self._durable is not durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        return self._connection

    def _undo(self, error: Exception) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()
            return
        if spoils(error):
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # its transaction is rolled back by whoever opens the file next
                connection.close()

    def _backfill(self) -> None:
        """Move the log into the database, while no commit of ours comes between, so that the log can start anew."""
        if self._connection is None:
            return
        try:
            busy, pages, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._undo(error)
            return
        # Else another is moving it, or a reader still needs it: try again after the next batch, which costs little.
        if not busy and pages == moved:
            self.overgrown = False


def _still_wanted(jobs: Sequence[Job]) -> list[Job]:
    """Those that somebody waits for. The others are not done, and get an error."""
    live = []
    for job in jobs:
        if job.over():
            job.error = StoreError("the store was locked or busy for too long")
        else:
            live.append(job)
    return live
