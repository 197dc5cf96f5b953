"""Signing keys, each sealed by the master secret before it comes here. Two starts at once make one key."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from functools import partial
from typing import Final

from doorward.adapters.stores.sqlite.database import Database
from doorward.ports import StoredKey

_KEYS: Final = """
SELECT key_id, algorithm, public_jwk, wrapped, active_from, retired_at FROM keys ORDER BY active_from, key_id
"""
_KNOWN: Final = "SELECT 1 FROM keys WHERE key_id = ?"
_OTHER: Final = "SELECT 1 FROM keys WHERE algorithm = ? LIMIT 1"
_RETIRE: Final = """
UPDATE keys SET retired_at = ?1 WHERE algorithm = ?2 AND (retired_at IS NULL OR retired_at > ?1)
"""
_ADD: Final = """
INSERT INTO keys (key_id, algorithm, public_jwk, wrapped, active_from, retired_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_CHANGED: Final = "UPDATE numbers SET value = value + 1 WHERE name = 'keys'"
_VERSION: Final = "SELECT value FROM numbers WHERE name = 'keys'"


class SqliteKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> Sequence[StoredKey]:
        return [StoredKey(*row) for row in await self._database.rows(_KEYS)]

    async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
        return await self._database.write(partial(_add, key=key, retire_others_at=retire_others_at), durable=True)

    async def version(self) -> int:
        version: int = (await self._database.poll(_VERSION))[0][0]
        return version


def _add(connection: sqlite3.Connection, *, key: StoredKey, retire_others_at: float | None) -> bool:
    if connection.execute(_KNOWN, (key.key_id,)).fetchone() is not None:
        return False
    if retire_others_at is not None:
        connection.execute(_RETIRE, (retire_others_at, key.algorithm))
    elif connection.execute(_OTHER, (key.algorithm,)).fetchone() is not None:
        return False
    connection.execute(_ADD, astuple(key))
    connection.execute(_CHANGED)
    return True
