"""Bans as rows, and a number that changes with each in the same commit."""

from collections.abc import Sequence
from typing import Final

from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.postgres.numbers import Counters
from doorward.adapters.stores.rows import ban_of, ban_row
from doorward.values.ban import Ban

_ADD: Final = """
WITH changed AS (UPDATE doorward_numbers SET value = value + 1 WHERE name = 'bans')
INSERT INTO doorward_bans (network, subject, issuer, tenant, cause, made_at, expires_at, made_by)
VALUES ($1, $2, $3, $4, $5, $6::float8, $7::float8, $8) RETURNING id
"""
_REMOVE: Final = """
WITH gone AS (DELETE FROM doorward_bans WHERE id = $1::bigint RETURNING id)
UPDATE doorward_numbers SET value = value + 1 WHERE name = 'bans' AND EXISTS (SELECT 1 FROM gone) RETURNING value
"""
_ALL: Final = """
SELECT id, network, subject, issuer, tenant, cause, made_at, expires_at, made_by
FROM doorward_bans WHERE expires_at IS NULL OR expires_at > $1::float8 ORDER BY id
"""


class PostgresBans:
    def __init__(self, link: Link, counters: Counters) -> None:
        self._link = link
        self._counters = counters

    async def add(self, ban: Ban) -> int:
        id: int = (await self._link.one(_ADD, ban_row(ban)))[0]
        return id

    async def remove(self, id: int) -> bool:
        return bool(await self._link.ask(_REMOVE, (id,)))

    async def version(self) -> int:
        return (await self._counters.look()).bans

    async def all(self, *, now: float) -> Sequence[Ban]:
        return [ban_of(row) for row in await self._link.ask(_ALL, (now,), again=True)]
