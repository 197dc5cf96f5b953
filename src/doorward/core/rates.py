"""A rate is one number, the theoretical arrival time: arithmetic that no clock's jump can lock or open (GCRA).

The generic cell rate algorithm (ITU-T I.371, annex A) in its virtual scheduling form: events that came at an even pace
would have used up the allowance until TAT. An event is admitted while TAT runs ahead of now by no more than the burst.
"""

from math import inf
from typing import Final

from doorward.values.rules import Rate

NEVER: Final = -inf  # the TAT of somebody who has done nothing yet

# Adding a burst's intervals one by one to a large `now` rounds; without this slack the burst's last event could be
# refused. It never adds up, since a TAT counts every admitted event in full.
_SLACK: Final = 1e-4


def pace(rate: Rate | None) -> tuple[float, float]:
    """(interval, window) in seconds: what one event adds to the TAT, and how far ahead of now the TAT may then be.

    An event is admitted where `max(tat, now) + interval - now <= window`. None, no rate, admits everything.
    """
    if rate is None:
        return 0.0, inf
    interval = rate.period / rate.count
    return interval, interval * rate.burst + min(_SLACK, interval / 10)


def take(tat: float, rate: Rate, now: float, cost: int = 1) -> tuple[float, float]:
    """(the new TAT, seconds to wait); 0.0 is admitted. A refused event costs nothing.

    `tat` and `now` are seconds of one clock. If the clock has stepped back, a TAT further ahead than any burst could
    have put it is taken as a burst just spent: nobody waits longer than after a burst, and nobody gains one. A cost
    above the burst is never admitted: the wait is infinite.
    """
    interval, window = pace(rate)
    if cost > rate.burst:
        return tat, inf
    if tat < now:
        tat = now
    elif tat - now > window:
        tat = now + interval * rate.burst
    after = tat + interval * cost
    if after - now <= window:
        return after, 0.0
    return tat, after - now - interval * rate.burst
