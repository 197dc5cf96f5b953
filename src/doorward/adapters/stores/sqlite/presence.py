"""Who is there: workers by their heartbeat, connections by rows that are written in batches, off the handshake."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from doorward.adapters.stores.rows import connection_row, node_row
from doorward.adapters.stores.sqlite.database import Database
from doorward.adapters.stores.terms import ALIVE_WITHIN, UNHEARD_KEPT
from doorward.ports import PresentConnection, PresentNode

_STARTED: Final = "SELECT started_at FROM nodes WHERE node = ? AND worker = ?"
_BEAT: Final = """
INSERT OR REPLACE INTO nodes
(node, worker, pid, started_at, beat_at, cursor, connections, version, ready, ahead)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LEAVE: Final = "DELETE FROM nodes WHERE node = ? AND worker = ?"
_CLEAR: Final = "DELETE FROM connections WHERE node = ? AND worker = ?"
_CLEAR_EARLIER: Final = "DELETE FROM connections WHERE node = ? AND worker = ? AND opened_at < ?"
_NODES: Final = """
SELECT node, worker, pid, started_at, beat_at, cursor, connections, version, ready, ahead
FROM nodes WHERE beat_at >= ? ORDER BY node, worker
"""
_UNHEARD: Final = """
SELECT node, worker, pid, started_at, beat_at, cursor, connections, version, ready, ahead
FROM nodes WHERE beat_at < ? AND beat_at >= ? ORDER BY node, worker
"""
_OPENED: Final = """
INSERT OR REPLACE INTO connections
(connection, node, worker, issuer, subject, tenant, session, address, route, opened_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLOSED: Final = "DELETE FROM connections WHERE connection = ?"
_CONNECTIONS: Final = """
SELECT c.connection, c.node, c.worker, c.issuer, c.subject, c.tenant, c.session, c.address, c.route,
       c.opened_at, c.expires_at
FROM connections AS c JOIN nodes AS n ON n.node = c.node AND n.worker = c.worker
WHERE n.beat_at >= ? ORDER BY c.opened_at, c.connection
"""
_DEAD: Final = "SELECT node, worker FROM nodes WHERE beat_at < ?"
_CLEAR_SOME: Final = """
DELETE FROM connections WHERE connection IN (SELECT connection FROM connections WHERE node = ? AND worker = ? LIMIT ?)
"""


class SqlitePresence:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, node: PresentNode) -> None:
        await self._database.write(partial(_beat, node=node))

    async def leave(self, *, node: str, worker: int) -> None:
        await self._database.write(partial(_leave, node=node, worker=worker))

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        return [_node(*row) for row in await self._database.rows(_NODES, (now - ALIVE_WITHIN,))]

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        rows = await self._database.rows(_UNHEARD, (now - ALIVE_WITHIN, now - UNHEARD_KEPT))
        return [_node(*row) for row in rows]

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        rows = [connection_row(row) for row in opened]
        await self._database.write(partial(_note, opened=rows, closed=[(connection,) for connection in closed]))

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        return await self._database.read(partial(_connections, since=now - ALIVE_WITHIN))


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Drop what workers left behind that have not been heard of for an hour. How many rows."""
    dropped = 0
    for node, worker in connection.execute(_DEAD, (now - UNHEARD_KEPT,)).fetchall():
        dropped += connection.execute(_CLEAR_SOME, (node, worker, most)).rowcount
        if dropped >= most:
            break
        connection.execute(_LEAVE, (node, worker))
    return dropped


def _node(*row: Any) -> PresentNode:
    return replace(PresentNode(*row), ready=bool(row[-2]))


def _beat(connection: sqlite3.Connection, *, node: PresentNode) -> None:
    before = connection.execute(_STARTED, (node.node, node.worker)).fetchone()
    if before is not None and before[0] != node.started_at:
        # The same name in a later life: what the earlier one had open died with it.
        connection.execute(_CLEAR_EARLIER, (node.node, node.worker, node.started_at))
    connection.execute(_BEAT, node_row(node))


def _leave(connection: sqlite3.Connection, *, node: str, worker: int) -> None:
    connection.execute(_LEAVE, (node, worker))
    connection.execute(_CLEAR, (node, worker))


def _note(
    connection: sqlite3.Connection, *, opened: Sequence[tuple[object, ...]], closed: Sequence[tuple[str]]
) -> None:
    connection.executemany(_OPENED, opened)
    connection.executemany(_CLOSED, closed)


def _connections(connection: sqlite3.Connection, *, since: float) -> Sequence[PresentConnection]:
    return [PresentConnection(*row) for row in connection.execute(_CONNECTIONS, (since,)).fetchall()]
