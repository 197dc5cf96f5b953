"""One file as its stores use it: a lane that writes, a lane that reads, and a reader on the loop for what is quick."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final, TypeVar

from doorward.adapters.stores.migration import Migration
from doorward.adapters.stores.sqlite.connecting import connect, create, is_busy, store_error
from doorward.adapters.stores.sqlite.glance import Glance
from doorward.adapters.stores.sqlite.lane import DEADLINE, Lane, Work
from doorward.adapters.stores.sqlite.migrating import migrate, prepare, shipped
from doorward.adapters.stores.sqlite.reader import QuickReader, Reader, Row
from doorward.adapters.stores.sqlite.writer import Writer
from doorward.ports import StoreError

T = TypeVar("T")

# How long SQLite itself waits for another process's lock before the writer looks at its deadlines again. Short, because
# SQLite's own waits grow longer and longer.
_PATIENCE: Final = 0.25
_CHECKPOINT_EVERY: Final = 500  # writes, each of a few pages: some 4 MB of log
_OVERGROWN: Final = 4_096  # pages of 4 KiB
_LOOK_EVERY: Final = 0.1


class Database:
    """`deadline` is in seconds, for each call. Open and use it on one event loop."""

    def __init__(
        self, path: Path, *, deadline: float = DEADLINE, migrations: Sequence[Migration] | None = None
    ) -> None:
        self._path = path
        self._deadline = deadline
        self._migrations = shipped() if migrations is None else migrations
        self._writer = Writer(partial(connect, path, patience=_PATIENCE))
        self._glance = Glance(path)
        self._quick = QuickReader(partial(connect, path, patience=0.0, query_only=True), self._glance)
        self._writing: Lane | None = None
        self._reading: Lane | None = None
        self._writes = 0
        self._moving = False
        self._file: tuple[int, int] | None = None
        self._looked_at = 0.0

    async def open(self, *, now: float) -> None:
        """Make the file if there is none, and bring its schema up to date.

        Raises StoreError: not a database of ours, newer than this version, not writable, locked beyond the deadline.
        """
        if self._writing is not None:
            raise StoreError("the store is open already")
        try:
            await asyncio.to_thread(_prepare, self._path, until=monotonic() + self._deadline)
            self._writing = Lane(self._writer, name="doorward-store-writer", deadline=self._deadline)
            reader = Reader(partial(connect, self._path, patience=self._deadline, query_only=True))
            self._reading = Lane(reader, name="doorward-store-reader", deadline=self._deadline)
            await self.write(partial(migrate, migrations=self._migrations, now=now), durable=True)
            self._file = _which(self._path)
        except StoreError as error:
            await self.close()
            raise StoreError(f"{self._path}: {error}") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what waits, and let go of the file. May be called again, and before `open`."""
        writing, reading = self._writing, self._reading
        self._writing = self._reading = None
        self._quick.close()
        try:
            if reading is not None:
                await reading.close()
        finally:
            if writing is not None:
                await writing.close()
        self._glance.end()

    def write(self, work: Work[T], *, durable: bool = False) -> asyncio.Future[T]:
        """Call `work` with a connection in a transaction, atomic and alone. `durable`: wait for the disk's flush.

        Raises StoreError, at once or from the future.
        """
        if self._writing is None:
            raise StoreError("the database is not open")
        self._is_still_there()
        self._count()
        return self._writing.do(work, durable=durable)

    def post(self, work: Work[object]) -> None:
        """Like `write`, with nobody waiting: a failure is logged."""
        if self._writing is not None:
            self._writing.post(work)

    def read(self, work: Work[T]) -> asyncio.Future[T]:
        """Call `work` with a connection that reads, in the reading thread. Raises StoreError."""
        if self._reading is None:
            raise StoreError("the database is not open")
        return self._reading.do(work)

    async def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query, read in the reading thread: for what may be long. Raises StoreError."""
        return await self.read(lambda connection: connection.execute(statement, parameters).fetchall())

    async def poll(self, statement: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query that an index answers in microseconds: at once, without a thread. Raises StoreError."""
        if self._reading is None:
            raise StoreError("the database is not open")
        self._is_still_there()
        rows = self._quick.rows(statement, parameters)
        return await self.rows(statement, parameters) if rows is None else rows

    def touched(self, statement: str) -> bool | None:
        """May `poll` answer this otherwise than last time? None: only by asking can that be told."""
        return self._quick.touched(statement)

    def _is_still_there(self) -> None:
        """Commands open the file by its name: were it another one by now, what they revoke would never reach us.

        Raises StoreError. Looked at ten times a second, since it is asked at every read.
        """
        if self._file is None or monotonic() - self._looked_at < _LOOK_EVERY:
            return
        if _which(self._path) != self._file:
            raise StoreError(f"{self._path} was removed or replaced under us: put it back, or start again")
        self._looked_at = monotonic()

    def _count(self) -> None:
        self._writes += 1
        if self._writes >= _CHECKPOINT_EVERY and self._reading is not None and not self._moving:
            self._writes = 0
            self._moving = self._reading.post(self._checkpoint, then=self._moved)

    def _moved(self) -> None:
        self._moving = False

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move the log into the database while others go on writing.

        Under writes that never pause, the log is never wholly moved and so never starts anew: then the writer does it.
        """
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages > _OVERGROWN:
            self._writer.overgrown = True


def _prepare(path: Path, *, until: float) -> None:
    """Make and examine the file. Another process that does the same locks it for a moment, at times without a wait."""
    pause = Event()
    while True:
        try:
            create(path)
            connection = connect(path, patience=_PATIENCE)
            try:
                prepare(connection)
            finally:
                connection.close()
            return
        except (sqlite3.Error, OSError) as error:
            if not is_busy(error) or monotonic() >= until:
                raise store_error(error) from error
            pause.wait(0.01)


def _which(path: Path) -> tuple[int, int] | None:
    """The file that has this name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
