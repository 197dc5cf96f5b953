"""No background work of ours ends in silence: what it raises is told as a fault, and it begins again after a pause."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

PAUSE: Final = 1.0
"""Seconds."""

Fault = Callable[[str, BaseException], None]
"""Told where it was, and what: Events.fault, where there is a stream of events."""

_log = logging.getLogger(__name__)


async def guarded(name: str, work: Callable[[], Awaitable[None]], *, fault: Fault, pause: float = PAUSE) -> None:
    """Do `work` until it returns, or until cancelled. `pause` in seconds."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - a bug of ours: told, and the work goes on
            with suppress(Exception):  # who is told must not end it either, and nobody else is left to tell
                fault(name, error)
            await asyncio.sleep(pause)
        else:
            return


def log_fault(where: str, error: BaseException) -> None:
    """For what is used without a stream of events."""
    _log.error("fault in %s", where, exc_info=error)
