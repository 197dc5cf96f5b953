"""The machine's clock and CSPRNG, the only ones: everything else is given `now` and bytes."""

import secrets
import time
from typing import Final

SMALL: Final = 0.05
STEP_COUNTS_AFTER: Final = 60.0


class SystemClock:
    """Epoch seconds that move evenly: the monotonic clock, held to the wall clock.

    A small difference is followed at once; a jump of the wall clock counts when it has lasted a minute, so that a
    jump there and back neither locks anybody out nor keeps an expired credential alive (RAT-06, OPS-11).
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._jumped_at: float | None = None

    def now(self) -> float:
        return time.monotonic() + self._offset

    def discipline(self) -> float | None:
        """Called once a second. The seconds of a jump that was adopted just now, else None."""
        monotonic = time.monotonic()
        difference = time.time() - monotonic - self._offset
        if abs(difference) <= SMALL:
            self._offset += difference
            self._jumped_at = None
            return None
        if self._jumped_at is None:
            self._jumped_at = monotonic
        if monotonic - self._jumped_at < STEP_COUNTS_AFTER:
            return None
        self._offset += difference
        self._jumped_at = None
        return difference


class SystemEntropy:
    """The system's CSPRNG (OPS-14)."""

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)
