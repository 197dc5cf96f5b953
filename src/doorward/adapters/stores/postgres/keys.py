"""Signing keys, each sealed by the master secret before it comes here. Two starts at once make one key."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Final

from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.postgres.numbers import Counters
from doorward.ports import StoredKey

_KEYS: Final = """
SELECT key_id, algorithm, public_jwk, wrapped, active_from, retired_at FROM doorward_keys ORDER BY active_from, key_id
"""
_ADD: Final = "SELECT doorward_add_key($1::text, $2::text, $3::text, $4::bytea, $5::float8, $6::float8, $7::float8)"


class PostgresKeys:
    def __init__(self, link: Link, counters: Counters) -> None:
        self._link = link
        self._counters = counters

    async def keys(self) -> Sequence[StoredKey]:
        return [StoredKey(*row) for row in await self._link.ask(_KEYS, again=True)]

    async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
        row = await self._link.one(_ADD, (*astuple(key), retire_others_at))
        return bool(row[0])

    async def version(self) -> int:
        return (await self._counters.look()).keys
