"""What is over is dropped by itself, a bounded number of rows at a time; a store that is away is asked again later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.ports import StoreError

SWEEP_EVERY: Final = 10.0
SWEEP_AGAIN: Final = 0.05
"""Seconds, when the last sweep left some."""
SWEEP_MOST: Final = 256
"""Rows of each table that one sweep drops: one or two milliseconds."""

_log = logging.getLogger(__name__)


async def sweep_by_itself(sweep: Callable[[], Awaitable[bool]], *, every: float) -> None:
    """`sweep` says whether there may be more. `every` in seconds. Until cancelled."""
    pause = every
    while True:
        await asyncio.sleep(pause)
        pause = every
        try:
            pause = SWEEP_AGAIN if await sweep() else every
        except StoreError as error:
            _log.warning("not swept: %s", error)
