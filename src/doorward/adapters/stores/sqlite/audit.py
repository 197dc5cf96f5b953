"""The audit's lines as rows, with what `audit query` filters by beside them. Ids only grow, in commit order."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from doorward.adapters.stores.sqlite.database import Database
from doorward.values.audit import AuditEvent

_APPEND: Final = "INSERT INTO audit (at, kind, subject, reason, line) VALUES (?, ?, ?, ?, ?)"
_SELECT: Final = "SELECT id, line FROM audit"
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
        chosen, values = _chosen(after=after, kind=kind, subject=subject, reason=reason, since=since)
        return await self._rows(f"{_SELECT}{chosen} ORDER BY id LIMIT ?", (*values, max(limit, 0)))

    async def latest(
        self, *, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        chosen, values = _chosen(after=0, kind=kind, subject=subject, reason=reason, since=since)
        return (await self._rows(f"{_SELECT}{chosen} ORDER BY id DESC LIMIT ?", (*values, max(limit, 0))))[::-1]

    async def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        return [(id, line) for id, line in await self._database.rows(statement, values)]

    async def newest(self) -> int:
        newest: int = (await self._database.poll(_NEWEST))[0][0]
        return newest


def _append(connection: sqlite3.Connection, *, rows: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(_APPEND, rows)


def _chosen(*, after: int, kind: str, subject: str, reason: str, since: float) -> tuple[str, list[object]]:
    """Only these conditions are put together; every value is bound."""
    wanted = [
        ("id > ?", after),
        ("kind = ?", kind),
        ("subject = ?", subject),
        ("reason = ?", reason),
        ("at >= ?", since),
    ]
    asked = [(condition, value) for condition, value in wanted if value]
    conditions = " AND ".join(condition for condition, _ in asked)
    return f" WHERE {conditions}" if asked else "", [value for _, value in asked]
