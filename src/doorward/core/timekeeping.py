"""One clock for all nodes, as arithmetic: how far a store's clock is from our own even one, and when a jump counts.

A sample can't tell how its round trip is divided, so the store's clock is known to half of it: of the last few the
shortest is believed. Sources: RFC 5905 sections 8 and 10 (the clock filter), of which this is the simplest part.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

LONGEST_ROUND_TRIP: Final = 0.1
"""Seconds. A slower sample says too little; the own issuer's skew between two nodes is what two such may err by."""
OWN_SKEW: Final = LONGEST_ROUND_TRIP
KEPT: Final = 8
SMALL: Final = 0.05
"""Seconds of a difference that is followed at once: two clocks drift, and a sample errs."""
WALL_JUMP_LASTS: Final = 60.0
STORE_JUMP_LASTS: Final = 5.0
"""Seconds until a jump counts: the wall clock's may be a slip of one machine, the store's is everybody's."""
BEATS_APART: Final = 2.0
BELIEVED: Final = 60.0


class Sample(NamedTuple):
    """Between `before` and `after` on our even clock the store's clock said `told`, epoch seconds."""

    before: float
    after: float
    told: float

    @property
    def offset(self) -> float:
        """What is added to our even clock to have the store's; right by `error` seconds either way."""
        return self.told - (self.before + self.after) / 2

    @property
    def error(self) -> float:
        return (self.after - self.before) / 2


def shortest(samples: Sequence[Sample]) -> Sample:
    """Of at least one."""
    return min(samples, key=lambda sample: sample.error)


class Samples:
    """The last few that were quick enough."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=KEPT)

    def add(self, sample: Sample) -> Sample | None:
        """The best by now: the shortest of those that can be about the same clock as this one, which may have jumped.
        None: this one was too slow to say anything."""
        if sample.after - sample.before > LONGEST_ROUND_TRIP:
            return None
        self._kept.append(sample)
        return shortest([other for other in self._kept if _agree(sample, other)])


def _agree(one: Sample, other: Sample) -> bool:
    return abs(one.offset - other.offset) <= one.error + other.error + SMALL


class Offset:
    """What is added to an even clock to have another. A small difference is followed at once; a jump when it has lasted
    `lasts` seconds, so that one there and back does not show (RAT-06)."""

    __slots__ = ("_jumped_at", "_lasts", "value")

    def __init__(self, value: float, *, lasts: float) -> None:
        self.value = value
        self._lasts = lasts
        self._jumped_at: float | None = None

    def follow(self, offset: float, *, at: float) -> float | None:
        """`at` is on the even clock. The seconds of a jump that is followed now, below 0 for a step back; else None."""
        difference = offset - self.value
        if abs(difference) <= SMALL:
            self.value = offset
            self._jumped_at = None
            return None
        if self._jumped_at is None:
            self._jumped_at = at
        if at - self._jumped_at < self._lasts:
            return None
        self.value = offset
        self._jumped_at = None
        return difference


def instant_for_all(now: float, beats: Iterable[float]) -> float:
    """The instant of a revocation: no node's clock may be beyond it, or what it has issued already would come after.

    While a clock that all follow jumps back, some still say more than it. `beats` are the instants of the nodes' last
    heartbeats by their own clocks; one ahead of us may be ahead by one more interval now. More than a minute is no
    clock's difference but a lie or a fault, and moves nothing.
    """
    ahead = [beat for beat in beats if now + OWN_SKEW < beat <= now + BELIEVED]
    return max(ahead) + BEATS_APART if ahead else now
