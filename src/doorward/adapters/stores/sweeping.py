"""What is over is dropped by itself, a bounded number of rows at a time; a store that is away is asked again later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.ports import StoreError
from doorward.service.noting import Loss, Note

SWEEP_EVERY: Final = 10.0
SWEEP_AGAIN: Final = 0.05
"""Seconds, when the last sweep left some."""
SWEEP_MOST: Final = 256
"""Rows of each table that one sweep drops: one or two milliseconds."""


async def sweep_by_itself(sweep: Callable[[], Awaitable[bool]], *, every: float, note: Note) -> None:
    """`sweep` says whether there may be more. `every` in seconds. `note` raises nothing. Until cancelled."""
    loop = asyncio.get_running_loop()
    loss = Loss(note, without="what is over is not swept", again="what is over is swept again")
    pause = every
    while True:
        await asyncio.sleep(pause)
        pause = every
        try:
            pause = SWEEP_AGAIN if await sweep() else every
        except StoreError as error:
            loss.begin(error, now=loop.time())
        else:
            loss.end(now=loop.time())
