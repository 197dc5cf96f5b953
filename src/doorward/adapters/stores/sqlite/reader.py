"""Two ways to read, neither of which waits for a writer: at once on the event loop's thread, or in a thread of its own.

At once is for what an index answers in microseconds (polls, versions); everything that may be long goes to the thread.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from doorward.adapters.stores.sqlite.connecting import Connect, is_busy, spoils, store_error
from doorward.adapters.stores.sqlite.glance import Glance
from doorward.adapters.stores.sqlite.lane import Job, Settle
from doorward.ports import StoreError

Row = tuple[Any, ...]
_STEPS: Final = 10_000  # of SQLite's machine between two looks at the deadline: well under a millisecond


class QuickReader:
    """On the thread that uses it. It never waits for a lock.

    What a statement answered last it answers again, where nobody has committed since: `glance` tells.
    """

    def __init__(self, connect: Connect, glance: Glance) -> None:
        self._connect = connect
        self._glance = glance
        self._connection: sqlite3.Connection | None = None
        self._last: dict[str, tuple[bytes, Sequence[object], list[Row]]] = {}

    def rows(self, statement: str, parameters: Sequence[object]) -> list[Row] | None:
        """All rows, or None when the file is locked against readers too (a recovery): ask in the thread then. The list
        is not the caller's to change; statements are few.

        Raises StoreError.
        """
        before = self._glance.look()
        last = self._last.get(statement)
        if last is not None and last[0] == before and last[1] == parameters:
            return last[2]
        try:
            if self._connection is None:
                self._connection = self._connect()
                rows = self._connection.execute(statement, parameters).fetchall()
                self._glance.begin()  # from here on, for by then the shared index is there
                return rows
            rows = self._connection.execute(statement, parameters).fetchall()
        except (sqlite3.Error, OSError, UnicodeError, OverflowError) as error:
            if is_busy(error):
                return None
            if spoils(error):
                self.close()
            raise store_error(error) from error
        if before is not None:
            self._last[statement] = (before, parameters, rows)
        return rows

    def touched(self, statement: str) -> bool | None:
        """Has anybody committed since this statement was answered last? None: that can't be told."""
        last, header = self._last.get(statement), self._glance.look()
        return None if last is None or header is None else last[0] != header

    def close(self) -> None:
        self._glance.pause()
        self._last.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class Reader:
    """Hands of a lane: one job after the other, each ended at its deadline."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._until = 0.0

    def run(self, jobs: Sequence[Job], settle: Settle) -> None:
        for job in jobs:
            self._read(job)
            settle([job])

    def end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _read(self, job: Job) -> None:
        if job.over():
            job.error = StoreError("the store was busy for too long")
            return
        self._until = job.until
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.set_progress_handler(self._late, _STEPS)
            job.result = job.work(self._connection)
        except Exception as error:  # noqa: BLE001 - it is handed to the caller
            if spoils(error):
                self.end()
            job.error = store_error(error)

    def _late(self) -> bool:
        return monotonic() >= self._until
