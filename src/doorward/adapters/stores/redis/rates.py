"""Rates in Redis: one number for each key, read and written in one script, so that all nodes count as one (RAT-03).

By the server's own clock, so that nodes whose clocks differ neither gain nor lose. The state is bounded by its own
expiry: a key lives until its TAT, and so at most as long as one burst takes (RAT-04).
"""

from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import Final

from doorward.adapters.stores.redis.link import Asker
from doorward.adapters.stores.redis.script import script
from doorward.core.rates import pace
from doorward.ports import StoreError
from doorward.values.rules import Rate

_TAKE: Final = script("rates")
_KEPT_FOR_TESTS: Final = 3_600_000


class RedisRates:
    """`server_time`: the server's clock counts, and not what the calls say. Tests turn it off to move time."""

    def __init__(self, link: Asker, *, server_time: bool = True) -> None:
        self._link = link
        self._server_time = server_time

    async def take(self, *, name: str, key: str, rate: Rate, cost: int, now: float) -> float:
        if cost > rate.burst:
            return inf
        answer = await self._link.run(
            _TAKE,
            *_terms(rate, cost),
            b"" if self._server_time else repr(now),
            0 if self._server_time else _KEPT_FOR_TESTS,
            keys=(_place(name, key),),
        )
        try:
            return float(answer)
        except (TypeError, ValueError):
            raise StoreError("a rate in Redis was not understood") from None


@lru_cache(maxsize=256)
def _terms(rate: Rate, cost: int) -> tuple[str, ...]:
    """What the script is told of a rate, in full precision."""
    interval, window = pace(rate)
    # To look is to ask what the smallest event would be told.
    return repr(window), repr(interval * rate.burst), repr(interval * max(cost, 1)), "0" if cost else "1"


def _place(name: str, key: str) -> str:
    """One key for each name and key, whatever characters they have (AZ-13); each in a slot of its own."""
    of = blake2b(f"{len(name)}:{name}{key}".encode(), digest_size=16).hexdigest()
    return f"doorward:{{r:{of}}}"
