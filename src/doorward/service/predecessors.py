"""What a gateway of before has left behind under our node's name is over once a gateway of that name starts anew.

A worker that is not heard of may live and hold connections, so that whoever revokes is told of it. Those of an earlier
launch are struck off by the workers of a later one. Their own siblings, launched with them, are not: one that hangs is
none the less alive for another that crashed and was started again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from doorward.ports import Clock, Presence, StoreError
from doorward.service.within import answered

LOOK_EVERY: Final = 2.0


class Predecessors:
    """Of one node. `worker`: our own number there. `age`: seconds since this gateway was launched, all its workers with
    it; by no clock that is set."""

    def __init__(
        self, presence: Presence, clock: Clock, *, node: str, worker: Callable[[], int], age: Callable[[], float]
    ) -> None:
        self._presence = presence
        self._clock = clock
        self._node = node
        self._worker = worker
        self._age = age
        self._launched_at: float | None = None

    async def run(self) -> None:
        """Also later: an older snapshot of a store brings them back."""
        while True:
            with suppress(StoreError):  # the heartbeat says that; and they are named until it is there again
                await answered(self._strike_off())
            await asyncio.sleep(LOOK_EVERY)

    async def _strike_off(self) -> None:
        now = self._clock.now()
        launched_at = self._launched(now)
        for one in await self._presence.unheard(now=now):
            if one.node == self._node and one.worker != self._worker() and one.beat_at < launched_at:
                await self._presence.leave(node=one.node, worker=one.worker)

    def _launched(self, now: float) -> float:
        """The earliest that it may have been: a clock that jumps makes nobody's sibling a worker of before."""
        launched_at = now - self._age()
        self._launched_at = launched_at if self._launched_at is None else min(self._launched_at, launched_at)
        return self._launched_at
