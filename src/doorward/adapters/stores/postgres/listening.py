"""A connection of its own that hears what was committed elsewhere. It heals by itself; until then nobody is told "no".

What may have been missed while it was away counts as heard. Every role of the database may notify: what is heard is a
hint to look, never a number to go by, and neither what it says nor how much there is of it ends the listening.
"""

import asyncio
from contextlib import aclosing
from math import inf
from random import SystemRandom
from typing import Final

import psycopg

from doorward.adapters.stores.postgres.connecting import Connection, Cut, cut, end, told
from doorward.adapters.stores.postgres.link import Link
from doorward.ports import StoreError
from doorward.service.guarding import guarded

CHANNEL: Final = "doorward"
_BEAT: Final = 1.0  # a silent connection is asked whether it is still there
_PAUSE: Final = 0.05
_LONGEST: Final = 1.0
_TOGETHER: Final = 0.01  # what is heard within this counts once: so often is the log read for it, at most
_MOST: Final = 2_000  # in one beat; of more it hears nothing for a while, and whoever reads the log looks unasked
_DIGITS: Final = 18
_chance = SystemRandom()


class Listener:
    """`heard` grows when there may be something to read; `lives` each time that listening begins anew. `within`: a
    server that takes longer to answer, in seconds, is away."""

    def __init__(self, link: Link, *, within: float) -> None:
        self._link = link
        self._within = within
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing = False
        self._woken: asyncio.Future[None] | None = None
        self._pending = False  # something was heard while it rests
        self._resting: asyncio.TimerHandle | None = None
        self._hint = 0.0  # the newest sequence that is spoken of and was not read; infinite for what is none
        self._read_to = 0
        self.heard = 0
        self.lives = 0
        self.listens = False

    async def open(self, *, within: float) -> None:
        """Begin. Returns once it listens, and waits so many seconds to be let in. Raises StoreError."""
        self._closing = False
        try:
            self._connection = await self._begin(within=within)
        except psycopg.Error as error:
            raise told(error) from None
        self._task = asyncio.create_task(guarded("postgres listening", self._live, fault=self._link.fault))

    async def close(self) -> None:
        self._closing, self.listens = True, False
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
        if self._connection is not None:
            cut(self._connection)
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None
        await self._drop()

    async def _begin(self, *, within: float | None = None) -> Connection:
        """Raises StoreError when nobody lets us in, psycopg.Error when it ends at once."""
        connection = await self._link.connect(within=within)
        try:
            async with Cut(connection, within=self._within):
                await connection.execute(f"LISTEN {CHANNEL}", prepare=False)
        except psycopg.Error:
            await end(connection)
            raise
        self.lives += 1
        self.listens = True
        return connection

    async def _live(self) -> None:
        try:
            await self._live_on()
        finally:
            await self._drop()

    async def _live_on(self) -> None:
        pause = _PAUSE
        while not self._closing:
            try:
                if self._connection is None:
                    self._connection = await self._begin()
                    pause = _PAUSE
                await self._listen(self._connection)
            except StoreError as error:
                # Its own end is noticed here first, while nobody else has anything to ask.
                self._link.doubt(str(error))
            except _FloodedError:
                await self._drop()
                pause = _LONGEST
            except (psycopg.Error, OSError):
                await self._drop()
            if self._connection is None and not self._closing:
                await self._rest(pause * _chance.uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST)

    async def _drop(self) -> None:
        self.listens = False
        await end(self._connection)
        self._connection = None

    async def _listen(self, connection: Connection) -> None:
        while not self._closing:
            many = 0
            async with aclosing(connection.notifies(timeout=_BEAT)) as notices:
                async for heard in notices:
                    self._hear(heard.payload)
                    many += 1
                    if many > _MOST:
                        raise _FloodedError
            beat = Cut(connection, within=self._within)
            try:
                async with beat:
                    await connection.execute("SELECT 1")
            except psycopg.Error:
                if beat.was_late:
                    self._link.lose(f"PostgreSQL gave no answer within {self._within:g} s")
                raise

    def _hear(self, payload: str) -> None:
        """The first counts at once, and those that come soon after it once, together."""
        spoken_of = _sequence(payload)
        if spoken_of <= self._read_to:
            return
        self._hint = max(self._hint, spoken_of)
        loop = asyncio.get_running_loop()
        if self._resting is None:
            self.heard += 1
            self._resting = loop.call_later(_TOGETHER, self._rested)
        else:
            self._pending = True

    def _rested(self) -> None:
        self._resting = None
        if self._pending:
            self._pending = False
            self.heard += 1
            self._resting = asyncio.get_running_loop().call_later(_TOGETHER, self._rested)

    def was_read(self, newest: int, *, heard: int) -> int:
        """The log was read to there, beginning when `heard` was so much: how much of what was heard that covers."""
        self._read_to = newest
        if self._hint <= newest:
            self._pending = False
            heard = self.heard
        if heard == self.heard and not self._pending:
            self._hint = 0.0
        return heard

    async def _rest(self, seconds: float) -> None:
        """Until then, or until the link has found the server again."""
        self._woken = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._woken], timeout=seconds)
        self._woken = None

    def wake(self) -> None:
        """The server is there again: try at once."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class _FloodedError(Exception):
    """More is notified than our own could ever be."""


def _sequence(payload: str) -> float:
    """Infinite when it is none: that counts as news."""
    return int(payload) if payload.isascii() and payload.isdigit() and len(payload) <= _DIGITS else inf
