"""A connection of its own that hears what was committed elsewhere. It heals by itself; until then nobody is told "no".

What may have been missed while it was away counts as heard.
"""

import asyncio
from random import SystemRandom
from typing import Final

import psycopg

from doorward.adapters.stores.postgres.connecting import Connection, Cut, cut, end, told
from doorward.adapters.stores.postgres.link import Link
from doorward.ports import StoreError

CHANNEL: Final = "doorward"
_BEAT: Final = 1.0  # a silent connection is asked whether it is still there
_ANSWERS_WITHIN: Final = 1.5
_PAUSE: Final = 0.05
_LONGEST: Final = 1.0
_chance = SystemRandom()


class Listener:
    """`newest` is the newest sequence that was heard of; `lives` grows each time that listening begins anew."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing = False
        self._woken: asyncio.Future[None] | None = None
        self.newest = 0
        self.lives = 0
        self.listens = False

    async def open(self) -> None:
        """Begin. Returns once it listens. Raises StoreError."""
        self._closing = False
        try:
            self._connection = await self._begin()
        except psycopg.Error as error:
            raise told(error) from None
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        self._closing, self.listens = True, False
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
        if self._connection is not None:
            cut(self._connection)
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None
        await end(self._connection)
        self._connection = None

    async def _begin(self) -> Connection:
        """Raises StoreError when nobody lets us in, psycopg.Error when it ends at once."""
        connection = await self._link.connect()
        try:
            async with Cut(connection, within=_ANSWERS_WITHIN):
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
            self.listens = False

    async def _live_on(self) -> None:
        pause = _PAUSE
        while not self._closing:
            try:
                if self._connection is None:
                    self._connection = await self._begin()
                    pause = _PAUSE
                await self._listen(self._connection)
            except (psycopg.Error, OSError):
                self.listens = False
                await end(self._connection)
                self._connection = None
            except StoreError as error:
                # Its own end is noticed here first, while nobody else has anything to ask.
                self._link.doubt(str(error))
            if self._connection is None and not self._closing:
                await self._rest(pause * _chance.uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST)

    async def _listen(self, connection: Connection) -> None:
        while not self._closing:
            async for heard in connection.notifies(timeout=_BEAT):
                if heard.payload.isdigit():
                    self.newest = max(self.newest, int(heard.payload))
            beat = Cut(connection, within=_ANSWERS_WITHIN)
            try:
                async with beat:
                    await connection.execute("SELECT 1")
            except psycopg.Error:
                if beat.was_late:
                    self._link.lose(f"PostgreSQL gave no answer within {_ANSWERS_WITHIN:g} s")
                raise

    async def _rest(self, seconds: float) -> None:
        """Until then, or until the link has found the server again."""
        self._woken = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._woken], timeout=seconds)
        self._woken = None

    def wake(self) -> None:
        """The server is there again: try at once."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
