"""The table of live connections and their timers: one `due` each, in buckets of 250 ms, re-evaluated lazily.

Made for 20,000: traffic touches nothing here, and a pass over all of them yields to the loop every 256.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from operator import attrgetter
from typing import Final

from doorward.core.deadlines import NEVER
from doorward.ports import Clock
from doorward.service.live import Live

TICKS_PER_SECOND: Final = 4
YIELD_EVERY: Final = 256
"""Connections that are looked at in one turn of the loop."""
LEFT_OUT_EVERY: Final = 2048
ACT_EVERY: Final = 16
"""Connections on which something is done in one turn: each is written to, and answers in the next."""


class Connections:
    """id -> Live, and bucket -> those that may be due in it. A connection that moved on leaves a stale entry behind,
    told by its `bucket`."""

    def __init__(self, clock: Clock, *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._live: dict[str, Live] = {}
        self._buckets: dict[int, list[Live]] = {}
        self._done = int(clock.now() * TICKS_PER_SECOND)
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._live.values()))

    @property
    def full(self) -> bool:
        return len(self._live) >= self._most

    def get(self, connection: str) -> Live | None:
        return self._live.get(connection)

    def add(self, live: Live) -> bool:
        """False when there is no room or the id is taken (a ticket's id, used twice, is nobody's second socket)."""
        if self.full or live.connection in self._live:
            return False
        self._live[live.connection] = live
        return True

    def remove(self, live: Live) -> None:
        if self._live.get(live.connection) is live:
            del self._live[live.connection]
        live.bucket = -1
        if not self._live:
            self._empty.set()

    async def emptied(self, *, within: float) -> None:
        """Until nobody is left, or `within` seconds are over."""
        self._empty.clear()
        if self._live:
            try:
                async with asyncio.timeout(within):
                    await self._empty.wait()
            except TimeoutError:
                return

    def limit(self, most: int) -> None:
        self._most = most

    def schedule(self, live: Live) -> None:
        """Look at a connection when its `due` has come: in the bucket after it, so never early."""
        if live.due == NEVER:
            live.bucket = -1
            return
        bucket = max(int(live.due * TICKS_PER_SECOND) + 1, self._done + 1)
        if bucket != live.bucket:
            live.bucket = bucket
            self._buckets.setdefault(bucket, []).append(live)

    async def tick(self) -> None:
        """Look at all whose bucket has come."""
        now = self._clock.now()
        current = int(now * TICKS_PER_SECOND)
        if current - self._done > len(self._buckets):
            ripe = sorted(bucket for bucket in self._buckets if bucket <= current)
        else:
            ripe = [bucket for bucket in range(self._done + 1, current + 1) if bucket in self._buckets]
        self._done = max(self._done, current)
        seen = 0
        for bucket in ripe:
            for live in self._buckets.pop(bucket, ()):
                if live.bucket != bucket:
                    continue
                live.bucket = -1
                try:
                    live.tick(now)
                except Exception as error:  # noqa: BLE001 - a bug of ours: audited, and the time of others goes on
                    live.broken(error)
                seen += 1
                if seen % ACT_EVERY == 0:
                    await asyncio.sleep(0)

    async def restart(self) -> None:
        """The clock has jumped: the buckets are laid anew, or after a step back none would be looked at until then."""
        self._done = int(self._clock.now() * TICKS_PER_SECOND)
        self._buckets = {}
        async for live in self.each():
            live.bucket = -1
            live.watched()

    async def run(self) -> None:
        """Tick at every bucket's end, until cancelled."""
        while True:
            now = self._clock.now()
            await asyncio.sleep((int(now * TICKS_PER_SECOND) + 1) / TICKS_PER_SECOND - now)
            await self.tick()

    async def each(self, *, having: tuple[str, str] | None = None) -> AsyncIterator[Live]:
        """All of them, or those of which a member (by its dotted name) has a value; yielding to the loop every 256, and
        every 2,048 that are left out. The newest first: the timers go the other way, and whoever is pinged in the turn
        in which he is closed has a frame of ours in his queue, and would be cut."""
        lives = list(reversed(self._live.values()))
        for start in range(0, len(lives), LEFT_OUT_EVERY):
            some = lives[start : start + LEFT_OUT_EVERY]
            if having is not None:
                member, value = attrgetter(having[0]), having[1]
                some = [live for live in some if member(live) == value]
            for count, live in enumerate(some, start=1):
                yield live
                if count % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
