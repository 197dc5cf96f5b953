"""Rates in memory: one number for each key, and never more keys than `most` (RAT-04).

A key whose TAT has passed counts like one that is not there, so only such are dropped. When all are live, a new key
waits for the first of them to pass: a flood of new keys resets nobody's count.
"""

from heapq import heappop, heappush, heapreplace
from typing import Final

from doorward.adapters.stores.terms import RATE_KEYS
from doorward.core.rates import NEVER, take
from doorward.values.rules import Rate

_SHED: Final = 2  # for each new key, so that the table shrinks to what is live
_SEARCH: Final = 64  # when it is full: the most that one call pays
_SOON: Final = 0.05


class MemoryRates:
    def __init__(self, *, most: int = RATE_KEYS) -> None:
        self._most = most
        self._tats: dict[tuple[str, str], float] = {}
        self._ends: list[tuple[float, tuple[str, str]]] = []  # each key once, at a TAT it has or had

    def __len__(self) -> int:
        """The keys that are kept."""
        return len(self._tats)

    async def take(self, *, name: str, key: str, rate: Rate, cost: int, now: float) -> float:
        place = (name, key)
        tat = self._tats.get(place)
        # To look is to ask what the smallest event would be told.
        after, wait = take(NEVER if tat is None else tat, rate, now, max(cost, 1))
        if wait:
            if tat is not None:
                self._tats[place] = after  # another number only after a step back of the clock (core/rates.py)
            return wait
        if tat is None:
            wait = self._make_room(now)
            if wait:
                return wait
        if cost:
            if tat is None:
                heappush(self._ends, (after, place))
            self._tats[place] = after
        return 0.0

    def _make_room(self, now: float) -> float:
        """0.0 when there is room for one more key, else the seconds until the first may pass."""
        ends = self._ends
        for _ in range(_SHED if len(ends) < self._most else _SEARCH):
            if not ends:
                break
            end, place = ends[0]
            tat = self._tats[place]
            if tat <= now:
                heappop(ends)
                del self._tats[place]
            elif tat != end:
                heapreplace(ends, (tat, place))
            else:
                break
        if len(ends) < self._most:
            return 0.0
        return max(ends[0][0] - now, _SOON)
