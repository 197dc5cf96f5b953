"""How late this machine does things just now, so that a bound on the product's time is none on the machine's load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

BEAT = 0.02


class Noise:
    """`worst` is the longest, in seconds, that a timer of ours has come too late so far."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def listen(self) -> None:
        while True:
            due = monotonic() + BEAT
            await asyncio.sleep(BEAT)
            self.worst = max(self.worst, monotonic() - due)


@asynccontextmanager
async def measured() -> AsyncIterator[Noise]:
    noise = Noise()
    listening = asyncio.create_task(noise.listen())
    try:
        yield noise
    finally:
        listening.cancel()
        await asyncio.wait([listening])
