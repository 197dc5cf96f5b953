"""Who is not live yet waits for a turn: one piece of a handshake's work, and then the loop looks at who is live.

So a flood of handshakes, whatever is wrong with them, delays a message by a piece and not by the flood. And most
messages not even by that: while anybody is live, the pieces of a flood have half of the loop's time, and none begins
between what somebody live has said and a quick answer to it. Nor does one address keep out the others: they take turns.
Who waits is not read from meanwhile: what it sends stays in the kernel. Measured by bench/flood.py.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

PASSES: Final = 2
"""Passes of the loop between two pieces, while others wait: for the door's task that a piece begins, and for what that
begins in its turn. A pass costs a microsecond, a piece a hundred."""

REST: Final = 1.0
"""Seconds without a piece for each second of them: most messages then meet none."""

RESERVE: Final = 0.02
"""Seconds of rest that may be owed before any is given: a few dozen handshakes at once are no flood."""

LEAST_REST: Final = 0.002
"""Seconds. The loop's timers have milliseconds, and it is to sleep in a rest, and not to spin."""

HOLD: Final = 0.0003
"""Seconds, for each piece at most, in which an answer to what somebody live has said may come before it, in a flood. A
quick backend answers within them; for a slow one a piece more is no great matter."""

LONGEST: Final = 0.01
"""Seconds of one piece that count: what took longer was kept waiting by the machine."""

_MOST_OWED: Final = RESERVE + LONGEST * (1 + REST)


class Heard:
    """The clock that live connections look at whenever something comes: so it is known when that was, and for no more
    than a call. `at` is in its seconds."""

    __slots__ = ("_now", "at")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.at = 0.0

    def now(self) -> float:
        """What the clock says."""
        self.at = now = self._now()
        return now


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


class _Line:
    """Addresses take turns; of one, first come, first served."""

    __slots__ = ("_pieces", "_round")

    def __init__(self) -> None:
        self._pieces: dict[str, deque[Callable[[], None]]] = {}
        self._round: deque[str] = deque()

    def __bool__(self) -> bool:
        return bool(self._round)

    def add(self, piece: Callable[[], None], of: str) -> None:
        pieces = self._pieces.get(of)
        if pieces is None:
            self._pieces[of] = pieces = deque()
            self._round.append(of)
        pieces.append(piece)

    def take(self) -> Callable[[], None]:
        of = self._round.popleft()
        pieces = self._pieces[of]
        piece = pieces.popleft()
        if pieces:
            self._round.append(of)
        else:
            del self._pieces[of]
        return piece


class Turns:
    """On one loop, every other turn is for connections that had one already: what was begun would else wait for a whole
    flood at each of its steps, and be late at the last. A piece never raises: it ends its own connection.

    `is_anyone_live`: is there somebody whom a piece could delay? `heard`: when somebody live was heard last. `seconds`:
    the same clock; a jump of it costs one rest.
    """

    __slots__ = (
        "_begun",
        "_free_at",
        "_going",
        "_heard",
        "_held",
        "_is_anyone_live",
        "_loop",
        "_new",
        "_seconds",
        "_was_new",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        is_anyone_live: Callable[[], bool],
        heard: Heard,
        seconds: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._is_anyone_live = is_anyone_live
        self._heard = heard
        self._seconds = seconds
        self._new = _Line()
        self._begun = _Line()
        self._was_new = True  # the last turn
        self._going = False
        self._free_at = 0.0  # when all the rest that pieces owe would have been given
        self._held: float | None = None  # since when the next piece could have begun, and lets the live go first

    def wait(self, piece: Callable[[], None], *, of: str = "", begun: bool = False) -> None:
        """`piece` is called once, at its turn; where nobody waits, that is before the loop looks for news again. `of`:
        whose it is, an address. `begun`: it is not the first of its connection."""
        (self._begun if begun else self._new).add(piece, of)
        if not self._going:
            self._going = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        now = self._seconds()
        owed = max(self._free_at - now, 0.0)
        if owed > _MOST_OWED:  # the clock was set back
            self._free_at = now + _MOST_OWED
            owed = _MOST_OWED
        if owed > RESERVE / 2:
            if not self._is_anyone_live():
                owed = 0.0
            elif owed > RESERVE:
                self._loop.call_later(max(owed - RESERVE, LEAST_REST), self._next)
                return
            elif self._holds(now):
                self._loop.call_soon(self._next)
                return
        self._held = None
        piece = self._take()
        if self._new or self._begun:
            self._loop.call_soon(self._pass, PASSES - 1)
        else:
            self._going = False
        piece()
        took = min(max(self._seconds() - now, 0.0), LONGEST)
        self._free_at = now + owed + took * (1 + REST)

    def _take(self) -> Callable[[], None]:
        if self._begun and (self._was_new or not self._new):
            self._was_new = False
            return self._begun.take()
        self._was_new = True
        return self._new.take()

    def _holds(self, now: float) -> bool:
        if not 0 <= now - self._heard.at < HOLD:
            return False
        if self._held is None:
            self._held = now
        return 0 <= now - self._held < HOLD

    def _pass(self, more: int) -> None:
        if more:
            self._loop.call_soon(self._pass, more - 1)
        else:
            self._loop.call_soon(self._next)
