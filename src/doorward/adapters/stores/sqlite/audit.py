"""The audit's lines as rows, with what `audit query` filters by beside them. Ids only grow, in commit order."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from doorward.adapters.stores.sqlite.database import Database
from doorward.values.audit import AuditEvent

_APPEND: Final = "INSERT INTO audit (at, kind, subject, reason, line) VALUES (?, ?, ?, ?, ?)"
_QUERY: Final = "SELECT id, line FROM audit WHERE id > ?"
_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM audit"


class SqliteAudit:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        rows = [(event.at, event.kind, event.subject, event.reason, line) for event, line in lines]
        await self._database.write(partial(_append, rows=rows))

    async def query(
        self, *, after: int, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        wanted = [("kind = ?", kind), ("subject = ?", subject), ("reason = ?", reason), ("at >= ?", since)]
        asked = [(condition, value) for condition, value in wanted if value]
        # Only the conditions above are put together here; every value is bound.
        statement = "".join([_QUERY, *(f" AND {condition}" for condition, _ in asked), " ORDER BY id LIMIT ?"])
        rows = await self._database.rows(statement, (after, *(value for _, value in asked), max(limit, 0)))
        return [(id, line) for id, line in rows]

    async def newest(self) -> int:
        newest: int = (await self._database.poll(_NEWEST))[0][0]
        return newest


def _append(connection: sqlite3.Connection, *, rows: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(_APPEND, rows)
