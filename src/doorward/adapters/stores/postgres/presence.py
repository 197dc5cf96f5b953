"""Who is there: workers by their heartbeat, connections by rows that are written in batches, off the handshake."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from doorward.adapters.stores.postgres.connecting import Row
from doorward.adapters.stores.postgres.link import Link
from doorward.adapters.stores.rows import connection_row, node_row
from doorward.adapters.stores.terms import ALIVE_WITHIN, UNHEARD_KEPT
from doorward.ports import PresentConnection, PresentNode

_BEAT: Final = """
SELECT doorward_beat_node($1::text, $2::bigint, $3::bigint, $4::float8, $5::float8, $6::bigint, $7::bigint,
                          $8::text, $9::boolean, $10::float8)
"""
_LEAVE: Final = "SELECT doorward_leave_node($1::text, $2::bigint)"
_NODES: Final = """
SELECT node, worker, pid, started_at, beat_at, cursor, connections, version, ready, ahead
FROM doorward_nodes WHERE beat_at >= $1::float8 ORDER BY node, worker
"""
_UNHEARD: Final = """
SELECT node, worker, pid, started_at, beat_at, cursor, connections, version, ready, ahead
FROM doorward_nodes WHERE beat_at < $1::float8 AND beat_at >= $2::float8 ORDER BY node, worker
"""
_NOTE: Final = """
SELECT doorward_note_connections($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                                 $8::text[], $9::text[], $10::float8[], $11::float8[], $12::text[])
"""
_CONNECTIONS: Final = """
SELECT c.connection, c.node, c.worker, c.issuer, c.subject, c.tenant, c.session, c.address, c.route,
       c.opened_at, c.expires_at
FROM doorward_connections AS c JOIN doorward_nodes AS n ON n.node = c.node AND n.worker = c.worker
WHERE n.beat_at >= $1::float8 AND c.connection > $2 ORDER BY c.connection LIMIT 1000
"""
_PAGE: Final = 1_000  # rows that are read at once: a millisecond or two for the event loop
_COLUMNS: Final = 11


class PostgresPresence:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def beat(self, node: PresentNode) -> None:
        await self._link.ask(_BEAT, node_row(node), again=True)

    async def leave(self, *, node: str, worker: int) -> None:
        await self._link.ask(_LEAVE, (node, worker), again=True)

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        return [PresentNode(*row) for row in await self._link.ask(_NODES, (now - ALIVE_WITHIN,), again=True)]

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        rows = await self._link.ask(_UNHEARD, (now - ALIVE_WITHIN, now - UNHEARD_KEPT), again=True)
        return [PresentNode(*row) for row in rows]

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        rows = {row.connection: connection_row(row) for row in opened}  # a row can't be changed twice in one statement
        columns = [list(column) for column in zip(*rows.values(), strict=True)] or [[] for _ in range(_COLUMNS)]
        await self._link.ask(_NOTE, (*columns, list(closed)), again=True)

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        found: list[PresentConnection] = []
        while True:
            last = found[-1].connection if found else ""
            page: list[Row] = await self._link.ask(_CONNECTIONS, (now - ALIVE_WITHIN, last), again=True)
            found += [PresentConnection(*row) for row in page]
            if len(page) < _PAGE:
                return sorted(found, key=attrgetter("opened_at", "connection"))
