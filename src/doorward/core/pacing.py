"""When many connections are closed, when each one is and when it is told to come back: never a herd (REV-12).

Each comes back `delay` whole seconds after its close, for that is what a Close can say (`retry_after=2`). So the
instants of the closes carry the fractions, and the instants of the returns lie evenly, `rate` a second and no more.
"""

from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge
from math import floor
from typing import Final, NamedTuple

SOONEST: Final = 1
"""Whole seconds that everybody is told at least."""


class Turn(NamedTuple):
    """Close one of them `after` so many seconds from the beginning, and tell it to come back `delay` seconds later."""

    after: float
    delay: int


def share(rate: float, workers: int) -> float:
    """What one of a node's workers may take of the node's rate, per second. Whole where it can be, so that no second
    has more than the node's rate however the workers' seconds lie to each other."""
    part = rate / workers
    return float(floor(part)) if part >= 1 else part


def turns(count: int, *, rate: float, closing: float, phase: float = 0.0) -> Iterator[Turn]:
    """A turn for each of `count` connections, in the order of the closes.

    The closes are spread over `closing` seconds, evenly to a second; so whoever can't read a delay is spread as well as
    that time allows. The returns are `rate` a second: where the closes alone are slower than that, everybody is told
    `SOONEST`, and where they are faster, the returns go on for as long as it takes. `phase` (0 to 1) shifts them by a
    part of what the rate leaves between two: other processes have others.
    """
    if count == 0:
        return iter(())
    if closing < 2.0:
        return _at_once(count, rate=rate, within=min(closing, 1.0), phase=phase)
    span = closing - 1.0  # a close may be a second later than its place, where that saves a fraction of a delay
    spacing = max(1.0 / rate, span / count)
    excess = spacing - span / count
    phase /= rate * spacing  # where they are few in a long time, the first need not wait for its place

    def late(place: int) -> int:
        """By how many whole seconds the return of this place is later than its close alone would make it."""
        return floor((place + phase) * excess)

    def run(seconds: int) -> Iterator[Turn]:
        for place in range(bisect_left(places, seconds, key=late), bisect_left(places, seconds + 1, key=late)):
            yield Turn((place + phase) * spacing - seconds, SOONEST + seconds)

    places = range(count)
    return merge(*(run(seconds) for seconds in range(late(count - 1) + 1)))


def _at_once(count: int, *, rate: float, within: float, phase: float) -> Iterator[Turn]:
    """All are closed within a second or at once. A second's worth of returns is squeezed into `within` each second."""

    def run(seconds: int) -> Iterator[Turn]:
        for place in range(bisect_left(places, seconds, key=second), bisect_left(places, seconds + 1, key=second)):
            yield Turn(within * ((place + phase) / rate - seconds), SOONEST + seconds)

    def second(place: int) -> int:
        return floor((place + phase) / rate)

    places = range(count)
    return merge(*(run(seconds) for seconds in range(second(count - 1) + 1)))


def spread(count: int, *, rate: float) -> float:
    """Over how many seconds `count` must come back. Whoever is refused meanwhile is sent away for a random part of it:
    he is one of them."""
    return count / rate
