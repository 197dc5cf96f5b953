"""The audit's lines: a batch is one statement, with ids that have no gap and come in the order of commits."""

from collections.abc import Sequence
from typing import Final

from doorward.adapters.stores.postgres.link import Link
from doorward.values.audit import AuditEvent

_APPEND: Final = """
WITH taken AS (
    UPDATE doorward_numbers SET value = value + pg_catalog.cardinality($1::float8[]) WHERE name = 'audit'
    RETURNING value - pg_catalog.cardinality($1::float8[]) AS before
)
INSERT INTO doorward_audit (id, at, kind, subject, reason, line)
SELECT taken.before + batch.place, batch.at, batch.kind, batch.subject, batch.reason, batch.line
FROM taken, unnest($1::float8[], $2::text[], $3::text[], $4::text[], $5::text[])
    WITH ORDINALITY AS batch (at, kind, subject, reason, line, place)
"""
_NEWEST: Final = "SELECT value FROM doorward_numbers WHERE name = 'audit'"
_MOST: Final = 1_000  # lines of one statement


class PostgresAudit:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        if not lines:
            return
        events = [event for event, _ in lines]
        await self._link.ask(
            _APPEND,
            (
                [event.at for event in events],
                [str(event.kind) for event in events],
                [event.subject for event in events],
                [event.reason for event in events],
                [line for _, line in lines],
            ),
        )

    async def query(
        self, *, after: int, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while len(found) < limit:
            most = min(limit - len(found), _MOST)
            statement, values = _query(after, most, kind=kind, subject=subject, reason=reason, since=since)
            page = await self._link.ask(statement, values, again=True)
            found += [(id, line) for id, line in page]
            if len(page) < most:
                break
            after = found[-1][0]
        return found

    async def newest(self) -> int:
        newest: int = (await self._link.one(_NEWEST, again=True))[0]
        return newest


def _query(
    after: int, limit: int, *, kind: str, subject: str, reason: str, since: float
) -> tuple[str, tuple[object, ...]]:
    values: list[object] = [after, limit]
    conditions = ["id > $1::bigint"]
    for column, value in (("kind", kind), ("subject", subject), ("reason", reason)):
        if value:
            values.append(value)
            conditions.append(f"{column} = ${len(values)}")
    if since:
        values.append(since)
        conditions.append(f"at >= ${len(values)}::float8")
    chosen = " AND ".join(conditions)
    return f"SELECT id, line FROM doorward_audit WHERE {chosen} ORDER BY id LIMIT $2::bigint", tuple(values)  # noqa: S608
