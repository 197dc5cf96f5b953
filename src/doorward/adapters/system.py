"""The machine's clock and CSPRNG, the only ones: everything else is given `now` and bytes."""

import os
from time import monotonic, time
from typing import Final

SMALL: Final = 0.05
STEP_COUNTS_AFTER: Final = 60.0


class SystemClock:
    """Epoch seconds that move evenly: the monotonic clock, held to the wall clock.

    A small difference is followed at once; a jump of the wall clock counts when it has lasted a minute, so that a
    jump there and back neither locks anybody out nor keeps an expired credential alive (RAT-06, OPS-11).
    """

    def __init__(self) -> None:
        self._offset = time() - monotonic()
        self._jumped_at: float | None = None

    def now(self) -> float:
        return monotonic() + self._offset

    def discipline(self) -> float | None:
        """Called once a second. The seconds of a jump that was adopted just now, else None."""
        now = monotonic()
        difference = time() - now - self._offset
        if abs(difference) <= SMALL:
            self._offset += difference
            self._jumped_at = None
            return None
        if self._jumped_at is None:
            self._jumped_at = now
        if now - self._jumped_at < STEP_COUNTS_AFTER:
            return None
        self._offset += difference
        self._jumped_at = None
        return difference


class SystemEntropy:
    """The system's CSPRNG (OPS-14)."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)
