"""The audit's lines: a batch is one statement, with ids that have no gap and come in the order of commits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        return await self._found(_Wanted(kind=kind, subject=subject, reason=reason, since=since, after=after), limit)

    async def latest(
        self, *, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        wanted = _Wanted(kind=kind, subject=subject, reason=reason, since=since)
        return (await self._found(wanted, limit, newest_first=True))[::-1]

    async def _found(self, wanted: "_Wanted", limit: int, *, newest_first: bool = False) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while len(found) < limit:
            most = min(limit - len(found), _MOST)
            page = await self._page(wanted, most, order="id DESC" if newest_first else "id")
            found += page
            if len(page) < most:
                break
            last = page[-1][0]
            wanted = replace(wanted, before=last) if newest_first else replace(wanted, after=last)
        return found

    async def _page(self, wanted: "_Wanted", limit: int, *, order: str) -> list[tuple[int, str]]:
        conditions, values = wanted.conditions()
        chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        # of texts of this file alone; every value is bound
        statement = f"SELECT id, line FROM doorward_audit{chosen} ORDER BY {order} LIMIT ${len(values) + 1}::bigint"  # noqa: S608
        return [(id, line) for id, line in await self._link.ask(statement, (*values, limit), again=True)]

    async def newest(self) -> int:
        newest: int = (await self._link.one(_NEWEST, again=True))[0]
        return newest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a line has to be; "", 0 and None ask nothing."""

    kind: str
    subject: str
    reason: str
    since: float
    after: int = 0
    before: int | None = None

    def conditions(self) -> tuple[list[str], list[object]]:
        asked = (
            ("kind = $%d", self.kind),
            ("subject = $%d", self.subject),
            ("reason = $%d", self.reason),
            ("at >= $%d::float8", self.since),
            ("id > $%d::bigint", self.after),
            ("id < $%d::bigint", self.before),
        )
        given = [(condition, value) for condition, value in asked if value]
        return [condition % place for place, (condition, _) in enumerate(given, start=1)], [value for _, value in given]
