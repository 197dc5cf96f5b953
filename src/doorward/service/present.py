"""All live connections as the store has them, read once for all who ask at the same time: ten thousand are many."""

import asyncio
from collections.abc import Sequence

from doorward.ports import Clock, Presence, PresentConnection


class Present:
    """Whoever asks while the store is being asked waits for that answer."""

    def __init__(self, presence: Presence, clock: Clock) -> None:
        self._presence = presence
        self._clock = clock
        self._flight: asyncio.Task[Sequence[PresentConnection]] | None = None

    async def connections(self) -> Sequence[PresentConnection]:
        """Of all nodes that live. Raises StoreError."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._ask(), name="present connections")
            self._flight.add_done_callback(self._landed)
        # one who hangs up must not take the answer from the others
        return await asyncio.shield(self._flight)

    async def _ask(self) -> Sequence[PresentConnection]:
        return await self._presence.connections(now=self._clock.now())

    def _landed(self, flight: "asyncio.Task[Sequence[PresentConnection]]") -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # told to whoever waits; if nobody does any more, nobody misses it
