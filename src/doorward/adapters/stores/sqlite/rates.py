"""Rates as rows: the TAT is read and written inside one transaction, so parallel processes count as one (RAT-03).

A call may wait for its transaction longer than a whole burst takes, while those that come after it in other processes
are counted before: so `now` is what it has become by then. Else the TAT of the others looks like one of a clock that
was ahead, and the late call is refused although no limit is near.

At most `most` keys (RAT-04): only those whose TAT has passed make room; while there are none, a new key waits.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.terms import RATE_KEYS
from doorward.core.rates import NEVER, take
from doorward.ports import Clock
from doorward.values.rules import Rate

_TAT: Final = "SELECT tat FROM rates WHERE name = ? AND key = ?"
_SET: Final = "UPDATE rates SET tat = ? WHERE name = ? AND key = ?"
_ADD: Final = "INSERT INTO rates (tat, name, key) VALUES (?, ?, ?)"
_COUNT: Final = "SELECT value FROM numbers WHERE name = 'rates'"
_RECOUNT: Final = "UPDATE numbers SET value = value + ? WHERE name = 'rates'"
_NEXT: Final = "SELECT tat FROM rates ORDER BY tat LIMIT 1"
_SWEEP: Final = """
DELETE FROM rates WHERE (name, key) IN (SELECT name, key FROM rates WHERE tat <= ? ORDER BY tat LIMIT ?)
"""
_ROOM: Final = 64
_SOON: Final = 0.05


class SqliteRates:
    def __init__(self, database: Database, clock: Clock, *, most: int = RATE_KEYS) -> None:
        self._database = database
        self._clock = clock
        self._most = most

    async def take(self, *, name: str, key: str, rate: Rate, cost: int, now: float) -> float:
        if cost:
            since = partial(_since, self._clock, self._clock.now())
            return await self._database.write(
                partial(_take, name=name, key=key, rate=rate, cost=cost, asked=now, since=since, most=self._most)
            )
        rows = await self._database.poll(_TAT, (name, key))
        if not rows:
            rows = [(NEVER,)]
            if (await self._database.poll(_COUNT))[0][0] >= self._most:
                return _wait_for_room((await self._database.poll(_NEXT))[0][0], now)
        # To look is to ask what the smallest event would be told.
        after, wait = take(rows[0][0], rate, now, 1)
        if wait and after != rows[0][0]:
            await self._database.write(partial(_step_back, name=name, key=key, rate=rate, now=now))
        return wait


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Drop keys whose TAT has passed: they count like those that are not there. How many."""
    dropped = connection.execute(_SWEEP, (now, most)).rowcount
    if dropped:
        connection.execute(_RECOUNT, (-dropped,))
    return dropped


def _since(clock: Clock, began: float) -> float:
    return max(0.0, clock.now() - began)


def _take(
    connection: sqlite3.Connection,
    *,
    name: str,
    key: str,
    rate: Rate,
    cost: int,
    asked: float,
    since: Callable[[], float],
    most: int,
) -> float:
    now = asked + since()
    row = connection.execute(_TAT, (name, key)).fetchone()
    after, wait = take(NEVER if row is None else row[0], rate, now, cost)
    if wait:
        if row is not None and after != row[0]:
            connection.execute(_SET, (after, name, key))
        return wait
    if row is not None:
        connection.execute(_SET, (after, name, key))
        return 0.0
    if connection.execute(_COUNT).fetchone()[0] >= most and not sweep(connection, now, _ROOM):
        return _wait_for_room(connection.execute(_NEXT).fetchone()[0], now)
    connection.execute(_ADD, (after, name, key))
    connection.execute(_RECOUNT, (1,))
    return 0.0


def _step_back(connection: sqlite3.Connection, *, name: str, key: str, rate: Rate, now: float) -> None:
    """Bring back a TAT that a step back of the clock has put out of reach (core/rates.py). Nothing is charged."""
    row = connection.execute(_TAT, (name, key)).fetchone()
    after, wait = (NEVER, 0.0) if row is None else take(row[0], rate, now, 1)
    if wait:
        connection.execute(_SET, (after, name, key))


def _wait_for_room(first_end: float, now: float) -> float:
    """Seconds until a key may be dropped; 0.0 when one may be now."""
    return 0.0 if first_end <= now else max(first_end - now, _SOON)
