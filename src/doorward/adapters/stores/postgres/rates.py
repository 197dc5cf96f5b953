"""Rates as rows, decided in one call on the row's own lock, so that parallel nodes count as one (RAT-03).

The time is the server's, one clock for all nodes; at most `most` keys (RAT-04).
"""

from math import inf
from typing import Final

from doorward.adapters.stores.postgres.digests import digest_of
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.terms import RATE_KEYS
from doorward.core.rates import pace
from doorward.ports import StoreError
from doorward.values.rules import Rate

_TAKE: Final = """
SELECT doorward_take_rate($1::bytea, $2::bigint, $3::float8, $4::float8, $5::float8, $6::bigint, $7::float8)
"""


class PostgresRates:
    """`own_time`: each call's `now` counts instead of the server's, for tests."""

    def __init__(self, link: Link, *, own_time: bool, most: int = RATE_KEYS) -> None:
        self._link = link
        self._own_time = own_time
        self._most = most

    async def take(self, *, name: str, key: str, rate: Rate, cost: int, now: float) -> float:
        if cost > rate.burst:
            return inf
        interval, window = pace(rate)
        place = digest_of(name, key)
        at = now if self._own_time else None
        row = await self._link.one(_TAKE, (place, cost, interval, window, interval * rate.burst, self._most, at))
        wait = row[0]
        if not isinstance(wait, float):
            raise StoreError("PostgreSQL answered a rate without a number")
        return wait
