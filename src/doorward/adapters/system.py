"""The machine's clock and CSPRNG, the only ones: everything else is given `now` and bytes."""

import os
from collections.abc import Callable
from time import monotonic, time

from doorward.core.timekeeping import STORE_JUMP_LASTS, WALL_JUMP_LASTS, Offset, Sample, Samples


class SystemClock:
    """Epoch seconds that move evenly: the monotonic clock, held to the wall clock, or to a store's that all nodes ask.

    A small difference is followed at once; a jump counts when it has lasted (a minute for the wall clock, some seconds
    for the store's), so that a jump there and back neither locks anybody out nor keeps an expired credential alive
    (RAT-06, OPS-11). Once a store's time was heard the wall clock means nothing any more, also while the store is away.
    """

    def __init__(self, *, wall: Callable[[], float] = time, ticks: Callable[[], float] = monotonic) -> None:
        self._wall = wall
        self.ticks = ticks
        self._offset = Offset(wall() - ticks(), lasts=WALL_JUMP_LASTS)
        self._samples: Samples | None = None

    def now(self) -> float:
        return self.ticks() + self._offset.value

    def set_by(self, sample: Sample) -> float:
        """From now on the store's time is ours, at once: nothing was judged yet. The seconds of that step."""
        before = self._offset.value
        self._offset = Offset(sample.offset, lasts=STORE_JUMP_LASTS)
        self._samples = Samples()
        return sample.offset - before

    def heard(self, sample: Sample) -> float | None:
        """The store's time again. The seconds of a jump of its clock that was followed just now, else None."""
        best = None if self._samples is None else self._samples.add(sample)
        return None if best is None else self._offset.follow(best.offset, at=sample.after)

    def discipline(self) -> float | None:
        """Called once a second. The seconds of a jump of the wall clock that was adopted just now, else None."""
        if self._samples is not None:
            return None
        ticks = self.ticks()
        return self._offset.follow(self._wall() - ticks, at=ticks)

    def ahead(self) -> float:
        """By how many seconds this machine's wall clock is ahead of the time that we go by."""
        return self._wall() - self.now()


class SystemEntropy:
    """The system's CSPRNG (OPS-14)."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)
