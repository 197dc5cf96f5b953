"""Who is there: workers by their heartbeat, connections by rows in a hash for each worker that expires without it.

A process keeps the rows that it has written, for Redis may lose them: a heartbeat that finds fewer writes all again.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from doorward.adapters.stores.redis.batches import batches
from doorward.adapters.stores.redis.link import Asker
from doorward.adapters.stores.redis.script import script
from doorward.adapters.stores.terms import ALIVE_WITHIN, UNHEARD_KEPT
from doorward.ports import PresentConnection, PresentNode

_BEAT: Final = script("presence_beat")
_NOTE: Final = script("presence_note")
_BEATS: Final = "doorward:{p}:beats"
_WORKERS: Final = "doorward:{p}:workers"
_ROWS: Final = "doorward:{p}:rows:"
_KEPT: Final = 60
_AT_ONCE: Final = 250

_log = logging.getLogger(__name__)
T = TypeVar("T")
Worker = tuple[str, int]


class RedisPresence:
    """Its times are those that the calls say: one clock for all nodes is the store of record's."""

    def __init__(self, link: Asker) -> None:
        self._link = link
        self._rows: dict[Worker, dict[str, bytes]] = {}
        self._worker_of: dict[str, Worker] = {}
        self._started: dict[Worker, float] = {}

    async def beat(self, node: PresentNode) -> None:
        worker = (node.node, node.worker)
        if self._started.get(worker) != node.started_at:
            self._started[worker] = node.started_at
            self._forget_before(worker, node.started_at)
        known = await self._link.run(
            _BEAT,
            _field(worker),
            _node_row(node),
            repr(node.beat_at),
            repr(node.beat_at - UNHEARD_KEPT),
            _KEPT,
            keys=(_BEATS, _WORKERS, _key(worker)),
        )
        rows = self._rows.get(worker, {})
        if known != len(rows):
            await self._write_again(worker, rows)

    def _forget_before(self, worker: Worker, started_at: float) -> None:
        """What an earlier life of the same name had open died with it."""
        rows = self._rows.get(worker, {})
        for connection in [name for name, row in rows.items() if json.loads(row)[0] < started_at]:
            del rows[connection], self._worker_of[connection]

    async def leave(self, *, node: str, worker: int) -> None:
        which = (node, worker)
        self._started.pop(which, None)
        for connection in self._rows.pop(which, {}):
            del self._worker_of[connection]
        await asyncio.gather(
            self._link.call("ZREM", _BEATS, _field(which)),
            self._link.call("HDEL", _WORKERS, _field(which)),
            self._link.call("DEL", _key(which)),
        )

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        return await self._between(repr(now - ALIVE_WITHIN), "+inf")

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        return await self._between(repr(now - UNHEARD_KEPT), f"({now - ALIVE_WITHIN!r}")

    async def _between(self, since: str, until: str) -> Sequence[PresentNode]:
        names = await self._link.call("ZRANGEBYSCORE", _BEATS, since, until)
        if not names:
            return []
        rows = await self._link.call("HMGET", _WORKERS, *names)
        nodes = _read(_node, (row for row in rows if row is not None))
        return sorted(nodes, key=lambda node: (node.node, node.worker))

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        news: dict[Worker, tuple[dict[str, bytes], list[str]]] = {}
        for row in opened:
            worker = (row.node, row.worker)
            before = self._worker_of.get(row.connection, worker)
            if before != worker:  # it goes by another number now: of the old one only what is ours is taken
                news.setdefault(before, ({}, []))[1].append(row.connection)
            news.setdefault(worker, ({}, []))[0][row.connection] = _connection_row(row)
            self._worker_of[row.connection] = worker
        for connection in closed:
            if (known := self._worker_of.pop(connection, None)) is not None:
                rows, gone = news.setdefault(known, ({}, []))
                rows.pop(connection, None)
                gone.append(connection)
        for worker, (rows, gone) in news.items():
            kept = self._rows.setdefault(worker, {})
            kept.update(rows)
            for connection in gone:
                kept.pop(connection, None)
        # What can't be written now is found missing by the next heartbeat.
        await asyncio.gather(*(self._write(worker, rows, gone) for worker, (rows, gone) in news.items()))

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        found: list[PresentConnection] = []
        for node in await self.nodes(now=now):
            async for page in self._pages(_key((node.node, node.worker))):
                found += _read(_connection, page)
        return sorted(found, key=lambda row: (row.opened_at, row.connection))

    async def _pages(self, key: str) -> Any:
        """Rows of a worker, some hundred at a time: neither Redis nor our loop stands still over thousands."""
        seen: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, pairs = await self._link.call("HSCAN", key, cursor, "COUNT", _AT_ONCE)
            fresh = dict(zip(pairs[::2], pairs[1::2], strict=True))
            yield [row for name, row in fresh.items() if name not in seen]
            seen |= fresh.keys()
            if cursor == b"0":
                return

    async def _write(self, worker: Worker, rows: dict[str, bytes], gone: Iterable[str]) -> None:
        for batch in batches(rows.items(), _AT_ONCE):
            pairs = [part for pair in batch for part in pair]
            await self._link.run(_NOTE, _KEPT, len(batch), *pairs, keys=(_key(worker),))
        for names in batches(gone, _AT_ONCE):
            await self._link.run(_NOTE, _KEPT, 0, *names, keys=(_key(worker),))

    async def _write_again(self, worker: Worker, rows: dict[str, bytes]) -> None:
        known = await self._link.call("HKEYS", _key(worker))
        await self._write(worker, dict(rows), [name.decode() for name in known if name.decode() not in rows])


def _key(worker: Worker) -> str:
    return _ROWS + _field(worker)


def _field(worker: Worker) -> str:
    return f"{worker[1]}:{worker[0]}"


# In a row's JSON the first value is the time that a script compares.


def _node_row(node: PresentNode) -> bytes:
    first = (node.started_at, node.node, node.worker, node.pid, node.beat_at, node.cursor, node.connections)
    return json.dumps((*first, node.version, node.ready, node.ahead)).encode()


def _node(row: Any) -> PresentNode:
    started_at, node, worker, pid, beat_at, cursor, connections, *more = row
    version, ready, ahead = more or ("", True, 0.0)  # a node of before says less
    return PresentNode(
        node=str(node),
        worker=int(worker),
        pid=int(pid),
        started_at=float(started_at),
        beat_at=float(beat_at),
        cursor=int(cursor),
        connections=int(connections),
        version=str(version),
        ready=bool(ready),
        ahead=float(ahead),
    )


def _connection_row(row: PresentConnection) -> bytes:
    whose = (row.issuer, row.subject, row.tenant, row.session, row.address, row.route)
    return json.dumps((row.opened_at, row.connection, row.node, row.worker, *whose, row.expires_at)).encode()


def _connection(row: Any) -> PresentConnection:
    opened_at, connection, node, worker, *whose, expires_at = row
    issuer, subject, tenant, session, address, route = map(str, whose)
    return PresentConnection(
        connection=str(connection),
        node=str(node),
        worker=int(worker),
        issuer=issuer,
        subject=subject,
        tenant=tenant,
        session=session,
        address=address,
        route=route,
        opened_at=float(opened_at),
        expires_at=None if expires_at is None else float(expires_at),
    )


def _read(read: Callable[[Any], T], rows: Iterable[Any]) -> list[T]:
    """What can be read; the rest is somebody else's, and only named in our log: a list must not fail for it."""
    values: list[T] = []
    for row in rows:
        try:
            values.append(read(json.loads(row)))
        except (TypeError, ValueError):
            _log.warning("a row of presence in Redis was not understood")
    return values
