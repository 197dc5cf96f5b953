"""A few connections that take turns at what is asked: one statement each, so nothing is ever left half done.

Callers wait for a future, and the connections for the server: a caller who goes leaves a connection that finishes its
statement in peace. When the server can't be reached or does not answer, the link is away: all who wait are told at
once, and so is everybody until a probe has come through.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Final

import psycopg

from doorward.adapters.stores.postgres.connecting import Connection, Cut, Place, Row, cut, end, is_passing, spoils, told
from doorward.ports import StoreError
from doorward.service.guarding import Fault, guarded, log_fault

SIZE: Final = 4
_MOST_WAITING: Final = 4_096
_TRIES: Final = 4  # of a statement that was rolled back for another's sake
_SLOW_MOST: Final = 3
_PROBE_FIRST: Final = 0.05
_PROBE_LAST: Final = 1.0
_chance = SystemRandom()


@dataclass(slots=True, eq=False)
class Job:
    """One statement that somebody asked for. `again`: doing it twice is as good as once. `begun` is called when it is
    about to be sent."""

    statement: str
    parameters: Sequence[object]
    future: asyncio.Future[list[Row]]
    again: bool
    begun: Callable[[], None] | None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Lane:
    """One connection, once it is needed."""

    connection: Connection | None = None
    cursor: psycopg.AsyncCursor[Row] | None = None
    poll: select.poll = field(default_factory=select.poll)
    busy: bool = False

    def hold(self, connection: Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.poll = _hearing(connection)

    def is_stale(self) -> bool:
        """None is there, or the server has said something unasked: it ended the session, most likely."""
        return self.connection is None or self.connection.closed or bool(self.poll.poll(0))

    def lives(self) -> bool:
        return self.connection is not None and (self.busy or not self.is_stale())


class Link:
    """`deadline` is in seconds, for each call. `probe` is the statement that must succeed before the link is there
    again; `on_back` is called each time that it is. `fault` is told of our own bugs."""

    def __init__(
        self, place: Place, *, probe: str, deadline: float, size: int = SIZE, fault: Fault = log_fault
    ) -> None:
        self._place = place
        self._probing = probe
        self._deadline = deadline
        self._lanes = [Lane() for _ in range(size)]
        self._tasks: list[asyncio.Task[None]] = []
        self._idle: list[asyncio.Future[None]] = []
        self._jobs: deque[Job] = deque()
        self._spare: Connection | None = None
        self._probe: asyncio.Task[None] | None = None
        self._away: str = "PostgreSQL is away"
        self._open = False
        self._slow = 0  # statements in a row that took too long
        self.fault = fault
        self.losses = 0
        self.on_back: Callable[[], None] = lambda: None

    async def open(self, first: Connection) -> None:
        """Begin, with a connection that is there already."""
        self._open, self._away, self._spare = True, "", first
        self._closing = asyncio.get_running_loop().create_future()
        self._tasks = [
            asyncio.create_task(guarded("postgres lane", partial(self._live, lane), fault=self.fault))
            for lane in self._lanes
        ]

    async def close(self) -> None:
        """Finish what waits, within the deadline, and end every connection. May be called again."""
        if not self._open:
            return
        self._open = False
        if not self._closing.done():
            self._closing.set_result(None)
        self._wake(len(self._lanes))
        _, late = await asyncio.wait(self._tasks, timeout=self._deadline)
        self._away = "the store is closed"
        self._fail_all()
        for lane in self._lanes:
            if lane.connection is not None:
                cut(lane.connection)
        if late:
            await asyncio.wait(late)
        if self._probe is not None:
            await asyncio.wait([self._probe])
        await end(self._spare)
        self._spare = None

    def ask(
        self,
        statement: str,
        parameters: Sequence[object] = (),
        *,
        again: bool = False,
        begun: Callable[[], None] | None = None,
    ) -> asyncio.Future[list[Row]]:
        """Its rows, once it is committed. Raises StoreError, at once or from the future."""
        if self._away or not self._open:
            raise StoreError(self._away or "the store is closed")
        if len(self._jobs) >= _MOST_WAITING:
            raise StoreError(f"{_MOST_WAITING} calls wait for the store already")
        loop = asyncio.get_running_loop()
        job = Job(statement, parameters, loop.create_future(), again, begun)
        job.timer = loop.call_later(self._deadline, self._late, job)
        self._jobs.append(job)
        self._wake(1)
        return job.future

    async def one(self, statement: str, parameters: Sequence[object] = (), *, again: bool = False) -> Row:
        """The one row that it must have. Raises StoreError."""
        rows = await self.ask(statement, parameters, again=again)
        if len(rows) != 1:
            raise StoreError("PostgreSQL answered without the row that was asked for")
        return rows[0]

    def lose(self, why: str) -> None:
        """Nobody answers there: tell all who wait, cut what is under way, and look for it in the background."""
        if self._away or not self._open:
            return
        self._away = why
        self.losses += 1
        self._fail_all()
        for lane in self._lanes:
            if lane.connection is not None:
                cut(lane.connection)
        self._probe = asyncio.create_task(guarded("postgres probe", self._look, fault=self.fault))

    def doubt(self, why: str) -> None:
        """Somebody could not connect. As long as another has a connection, the server may just have too many."""
        spare = self._spare
        has_spare = spare is not None and not spare.closed and not _hearing(spare).poll(0)
        if not (has_spare or any(lane.lives() for lane in self._lanes)):
            self.lose(why)

    async def connect(self, *, within: float | None = None) -> Connection:
        """One more connection, of the caller's own. Raises StoreError."""
        return await self._place.connect(within=within)

    @property
    def is_away(self) -> bool:
        return bool(self._away)

    # ---- the lanes

    async def _live(self, lane: Lane) -> None:
        while (job := await self._next()) is not None:
            try:
                await self._do(lane, job)
            except Exception as error:
                _settle(job, error=StoreError(f"not done: {type(error).__name__}"))
                await self._drop(lane)
                raise
        await end(lane.connection)

    async def _next(self) -> Job | None:
        """The first that somebody still waits for. None: the link is closed."""
        while True:
            while self._jobs:
                job = self._jobs.popleft()
                if not job.future.done():
                    return job
                _settle(job)
            if not self._open:
                return None
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def _wake(self, count: int) -> None:
        while count and self._idle:
            idle = self._idle.pop()  # the last to rest: few connections are busy, the others stay cold
            if not idle.done():
                idle.set_result(None)
                count -= 1

    async def _do(self, lane: Lane, job: Job) -> None:
        """Until it is done, has failed for good, or nobody waits any more."""
        lost = 0
        for _ in range(_TRIES):
            try:
                await self._ready(lane)
            except (StoreError, psycopg.Error, OSError) as error:
                await self._could_not_connect(lane, job, str(told(error)))
                return
            if lane.connection is None or job.future.done():
                return
            if job.begun is not None:
                job.begun()
            try:
                rows = await self._execute(lane, lane.connection, job)
            except Exception as error:  # noqa: BLE001 - it is handed to the caller
                failed = told(error)
                if spoils(error, lane.connection):
                    await self._drop(lane)
                    lost += 1
                    if job.again and lost == 1 and not self._away and not job.future.done():
                        continue
                elif isinstance(error, psycopg.Error) and is_passing(error):
                    continue
                elif isinstance(error, psycopg.errors.QueryCanceled):
                    self._was_slow()
                _settle(job, error=StoreError(self._away) if self._away else failed)
                return
            self._slow = 0
            _settle(job, rows=rows)
            return
        _settle(job, error=StoreError("PostgreSQL rolled it back for others' sake, again and again"))

    async def _ready(self, lane: Lane) -> None:
        if lane.connection is None:
            spare, self._spare = self._spare, None
            if spare is not None and not spare.closed:
                lane.hold(spare)
        if lane.is_stale():
            await self._drop(lane)
            lane.hold(await self._place.connect())

    async def _could_not_connect(self, lane: Lane, job: Job, why: str) -> None:
        """As long as another lane has a connection, it is that one's: the server may just have too many of them."""
        if not self._away and any(other.lives() for other in self._lanes if other is not lane):
            self._jobs.appendleft(job)
            self._wake(1)
            await asyncio.wait([self._closing], timeout=_PROBE_LAST)
        else:
            self.lose(why)
            _settle(job, error=StoreError(self._away or why))

    async def _execute(self, lane: Lane, connection: Connection, job: Job) -> list[Row]:
        timer = asyncio.get_running_loop().call_later(self._deadline, self._silent)
        lane.busy = True
        try:
            cursor = lane.cursor = lane.cursor or connection.cursor()
            await cursor.execute(job.statement, job.parameters)
            result = cursor.pgresult
            return await cursor.fetchall() if result is not None and result.nfields else []
        finally:
            lane.busy = False
            timer.cancel()

    async def _drop(self, lane: Lane) -> None:
        connection, lane.connection, lane.cursor = lane.connection, None, None
        if connection is not None:
            self.losses += 1
            await end(connection)

    # ---- when nobody answers

    def _late(self, job: Job) -> None:
        _settle(job, error=StoreError(f"PostgreSQL gave no answer within {self._deadline:g} s"))

    def _silent(self) -> None:
        """The server's own time limits have passed, so it is not slow: it, or the way to it, is gone."""
        self.lose(f"PostgreSQL gave no answer within {self._deadline:g} s")

    def _was_slow(self) -> None:
        """Each took its whole time, and nothing else came through: who asks next need not wait for that."""
        self._slow += 1
        if self._slow >= _SLOW_MOST:
            self._slow = 0
            self.lose("PostgreSQL is too slow: statement after statement took too long")

    def _fail_all(self) -> None:
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            _settle(job, error=StoreError(self._away))

    async def _look(self) -> None:
        pause = _PROBE_FIRST
        while True:
            await asyncio.wait([self._closing], timeout=pause * _chance.uniform(0.5, 1.0))
            if not self._open:
                return
            pause = min(pause * 2, _PROBE_LAST)
            try:
                found = await self._place.connect()
                await self._try(found)
            except StoreError as error:
                self._away = str(error)
                continue
            await end(self._spare)
            self._spare = found
            self._away = ""
            self.on_back()
            return

    async def _try(self, connection: Connection) -> None:
        try:
            async with Cut(connection, within=self._deadline):
                await connection.execute(self._probing)
        except psycopg.Error as error:
            await end(connection)
            raise told(error) from None


def _hearing(connection: Connection) -> select.poll:
    """Says at once whether there is something to read on it, or its end."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return poll


def _settle(job: Job, *, rows: list[Row] | None = None, error: Exception | None = None) -> None:
    """Tell whoever waits, unless that was done; and let go of the timer."""
    if job.timer is not None:
        job.timer.cancel()
        job.timer = None
    if job.future.done():
        return
    if error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result(rows or [])
