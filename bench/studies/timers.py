"""What the timers cost by themselves: the table of live connections, with connections in it that only want to be asked.

In the bench's own process and on a clock of its own, so that 20 s pass in an instant.
"""

import asyncio
import gc
import time
from typing import Any, cast

from doorward.service.connections import TICKS_PER_SECOND, Connections


class _Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at


class _Sleeper:
    """A connection as the table sees one: due every `every` seconds."""

    __slots__ = ("_every", "_table", "bucket", "connection", "due")

    def __init__(self, table: Connections, number: int, *, first: float, every: float) -> None:
        self._table = table
        self._every = every
        self.connection = f"{number:022d}"
        self.due = first
        self.bucket = -1

    def tick(self, now: float) -> None:
        self.due = now + self._every
        self._table.schedule(cast(Any, self))


async def cost(count: int, *, every: float) -> float:
    """CPU seconds that the table spends on one of `count` connections in `every` seconds, each being due once."""
    clock = _Clock()
    table = Connections(cast(Any, clock), most=count)
    sleepers = [
        _Sleeper(table, number, first=clock.at + every * (number + 1) / count, every=every) for number in range(count)
    ]
    for sleeper in sleepers:
        table.add(cast(Any, sleeper))
        table.schedule(cast(Any, sleeper))
    ticks = round(every * TICKS_PER_SECOND)
    least = float("inf")
    gc.collect()
    for _ in range(3):
        began = time.thread_time()
        for _ in range(ticks):
            clock.at += 1 / TICKS_PER_SECOND
            await table.tick()
        least = min(least, time.thread_time() - began)
        await asyncio.sleep(0)
    return least / count
