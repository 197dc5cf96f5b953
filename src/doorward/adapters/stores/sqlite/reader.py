"""Two ways to read, neither of which waits for a writer: at once on the event loop's thread, or in a thread of its own.

At once is for what an index answers in microseconds (polls, versions); everything that may be long goes to the thread.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from doorward.adapters.stores.sqlite.connecting import Connect, is_busy, spoils, store_error
from doorward.adapters.stores.sqlite.lane import Job, Settle
from doorward.ports import StoreError

Row = tuple[Any, ...]
_STEPS: Final = 10_000  # of SQLite's machine between two looks at the deadline: well under a millisecond


class QuickReader:
    """On the thread that uses it. It never waits for a lock."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def rows(self, statement: str, parameters: Sequence[object]) -> list[Row] | None:
        """All rows, or None when the file is locked against readers too (a recovery): ask in the thread then.

        Raises StoreError.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection.execute(statement, parameters).fetchall()
        except (sqlite3.Error, OSError, UnicodeError, OverflowError) as error:
            if is_busy(error):
                return None
            if spoils(error):
                self.close()
            raise store_error(error) from error

    def close(self) -> None:
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
