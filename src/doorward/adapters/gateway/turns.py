"""Who is not live yet waits for a turn: one piece of a handshake's work, and then the loop looks at who is live.

So a flood of handshakes, whatever is wrong with them, delays a message by a piece and not by the flood. Who waits is
not read from meanwhile: what it sends stays in the kernel. Measured by bench/flood.py.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

RESTS: Final = 2
"""Passes of the loop between two pieces, while others wait: for the door's task that a piece begins, and for what that
begins in its turn. A pass costs a microsecond, a piece a hundred."""


WHILE_MORE_COME: Final = 2
WHEN_ALL_HAVE_COME: Final = 16


class Afterwards:
    """What may come after the close frames of thousands: in the order it came, some in each pass of the loop. While
    more come, few, so that the last of the thousands has its close frame soon."""

    __slots__ = ("_going", "_loop", "_more_came", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._going = False
        self._more_came = False

    def wait(self, piece: Callable[[], None]) -> None:
        """`piece` is called once, in the next pass where nobody else waits."""
        self._more_came = True
        self._waiting.append(piece)
        if not self._going:
            self._going = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        most = WHILE_MORE_COME if self._more_came else WHEN_ALL_HAVE_COME
        self._more_came = False
        try:
            for _ in range(min(most, len(self._waiting))):
                self._waiting.popleft()()
        finally:  # should one raise, which is a bug of ours, the others come all the same
            self._going = bool(self._waiting)
            if self._going:
                self._loop.call_soon(self._next)


class Turns:
    """First come, first served, on one loop. A piece never raises: it ends its own connection."""

    __slots__ = ("_going", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._going = False

    def wait(self, piece: Callable[[], None]) -> None:
        """`piece` is called once, at its turn; where nobody waits, that is before the loop looks for news again."""
        self._waiting.append(piece)
        if not self._going:
            self._going = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        piece = self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._rest, RESTS - 1)
        else:
            self._going = False
        piece()

    def _rest(self, more: int) -> None:
        if more:
            self._loop.call_soon(self._rest, more - 1)
        else:
            self._loop.call_soon(self._next)
