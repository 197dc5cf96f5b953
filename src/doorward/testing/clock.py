"""A clock that stands still until it is told to move."""

from typing import Final

START: Final = 1_790_000_000.0


class FakeClock:
    """Fulfils ports.Clock. Seconds since the epoch; it never moves by itself and never back."""

    __slots__ = ("_now",)

    def __init__(self, now: float = START) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> float:
        """Move on and say what time it is then. Raises ValueError for a step back: no Clock does that (RAT-06)."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._now += seconds
        return self._now
