"""Ready means that the store would take a write and nothing is draining; asking often costs the store nothing more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.ports import Clock, StoreError

FRESH: Final = 1.0
DEADLINE: Final = 2.0


class Readiness:
    """The answer of `check` (Store.check), kept for `FRESH` seconds; all who ask meanwhile wait for one call."""

    def __init__(self, *, check: Callable[[], Awaitable[None]], draining: Callable[[], bool], clock: Clock) -> None:
        self._check = check
        self._draining = draining
        self._clock = clock
        self._asked_at: float | None = None
        self._answer = False
        self._flight: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Store reachable within 2 s, and not draining. Never raises but CancelledError."""
        if self._draining():
            return False
        if self._asked_at is None or not 0.0 <= self._clock.now() - self._asked_at < FRESH:
            if self._flight is None:
                self._flight = asyncio.create_task(self._ask())
                self._flight.add_done_callback(self._landed)
            # one who hangs up must not take the answer from the others
            await asyncio.shield(self._flight)
        return self._answer and not self._draining()

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                await self._check()
        except (StoreError, TimeoutError):
            self._answer = False
        else:
            self._answer = True
        self._asked_at = self._clock.now()

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
