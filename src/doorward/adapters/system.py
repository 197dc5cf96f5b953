"""The machine's clock and CSPRNG, the only ones: everything else is given `now` and bytes."""

import os
import time
from collections.abc import Callable
from functools import partial

from doorward.core.timekeeping import STORE_JUMP_LASTS, WALL_JUMP_LASTS, Offset, Sample, Samples


def even_clock(read: Callable[[int], float] = time.clock_gettime) -> Callable[[], float]:
    """Seconds that nobody sets: since boot, also those in which the machine was suspended (CLOCK_BOOTTIME,
    clock_gettime(2)), so that what expired meanwhile is expired at once. Where that is not known, CLOCK_MONOTONIC."""
    since_boot: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux has it
    try:
        read(since_boot)
    except OSError:  # and this kernel, or what plays one, has not
        since_boot = time.CLOCK_MONOTONIC
    return partial(read, since_boot)


class SystemClock:
    """Epoch seconds that move evenly: the clock since boot, held to the wall clock, or to a store's that all nodes ask.

    A small difference is followed at once; a jump counts when it has lasted (a minute for the wall clock, some seconds
    for the store's), so that a jump there and back neither locks anybody out nor keeps an expired credential alive
    (RAT-06, OPS-11). Once a store's time was heard the wall clock means nothing any more, also while the store is away.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, ticks: Callable[[], float] | None = None) -> None:
        self._wall = wall
        self.ticks = ticks or even_clock()
        self._offset = Offset(wall() - self.ticks(), lasts=WALL_JUMP_LASTS)
        self._samples: Samples | None = None

    def now(self) -> float:
        return self.ticks() + self._offset.value

    def set_by(self, sample: Sample) -> None:
        """From now on the store's time is ours, at once: nothing was judged yet."""
        self._offset = Offset(sample.offset, lasts=STORE_JUMP_LASTS)
        self._samples = Samples()

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
