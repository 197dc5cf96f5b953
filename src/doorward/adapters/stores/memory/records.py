"""What is kept by the row: the revocation log, bans, presence, keys and the audit's lines, in plain lists and dicts."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from doorward.adapters.stores.terms import ALIVE_WITHIN, UNHEARD_KEPT
from doorward.ports import PresentConnection, PresentNode, StoredKey
from doorward.values.audit import AuditEvent
from doorward.values.ban import Ban
from doorward.values.revocation import Acknowledgement, Revocation

_AUDIT_LINES: Final = 65_536  # the oldest go: memory is no archive


class MemoryRevocations:
    def __init__(self) -> None:
        self._log: dict[int, Revocation] = {}  # by sequence, which only grows
        self._places: dict[str, int] = {}  # the sequence of each id
        self._newest = 0
        self._read = 0
        self._acknowledged: dict[str, dict[tuple[str, int], Acknowledgement]] = {}

    async def append(self, revocation: Revocation) -> int:
        known = self._places.get(revocation.id)
        if known is not None:
            return known
        self._newest += 1
        self._log[self._newest] = replace(revocation, sequence=self._newest)
        if revocation.id:
            self._places[revocation.id] = self._newest
            self._acknowledged[revocation.id] = {}
        return self._newest

    async def read(self, *, after: int) -> Sequence[Revocation]:
        self._read = self._newest
        if after >= self._newest:
            return ()
        return [revocation for sequence, revocation in self._log.items() if sequence > after]

    def touched(self) -> bool:
        return self._newest > self._read

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        rows = self._acknowledged.get(acknowledgement.revocation)
        if rows is not None:
            rows[acknowledgement.node, acknowledgement.worker] = acknowledgement

    async def acknowledgements(self, id: str) -> Sequence[Acknowledgement]:
        return [row for _, row in sorted(self._acknowledged.get(id, {}).items())]

    async def forget(self, *, now: float) -> int:
        over = [sequence for sequence, revocation in self._log.items() if revocation.expires_at < now]
        for sequence in over:
            id = self._log.pop(sequence).id
            self._places.pop(id, None)
            self._acknowledged.pop(id, None)
        return len(over)


class MemoryBans:
    def __init__(self) -> None:
        self._bans: dict[int, Ban] = {}
        self._newest = 0
        self._version = 0

    async def add(self, ban: Ban) -> int:
        self._newest += 1
        self._version += 1
        self._bans[self._newest] = replace(ban, id=self._newest)
        return self._newest

    async def remove(self, id: int) -> bool:
        if self._bans.pop(id, None) is None:
            return False
        self._version += 1
        return True

    async def version(self) -> int:
        return self._version

    async def all(self, *, now: float) -> Sequence[Ban]:
        for id in [id for id, ban in self._bans.items() if ban.expires_at is not None and ban.expires_at <= now]:
            del self._bans[id]
        return list(self._bans.values())


class MemoryPresence:
    def __init__(self) -> None:
        self._nodes: dict[tuple[str, int], PresentNode] = {}
        self._connections: dict[str, PresentConnection] = {}

    async def beat(self, node: PresentNode) -> None:
        before = self._nodes.get((node.node, node.worker))
        if before is not None and before.started_at != node.started_at:
            self._drop_connections(node.node, node.worker, opened_before=node.started_at)
        self._nodes[node.node, node.worker] = node
        for place in [place for place, one in self._nodes.items() if node.beat_at - one.beat_at > UNHEARD_KEPT]:
            del self._nodes[place]

    async def leave(self, *, node: str, worker: int) -> None:
        self._nodes.pop((node, worker), None)
        self._drop_connections(node, worker)

    async def nodes(self, *, now: float) -> Sequence[PresentNode]:
        return [self._nodes[place] for place in sorted(self._nodes) if now - self._nodes[place].beat_at <= ALIVE_WITHIN]

    async def unheard(self, *, now: float) -> Sequence[PresentNode]:
        nodes = [self._nodes[place] for place in sorted(self._nodes)]
        return [node for node in nodes if ALIVE_WITHIN < now - node.beat_at <= UNHEARD_KEPT]

    async def note(self, *, opened: Sequence[PresentConnection], closed: Sequence[str]) -> None:
        for row in opened:
            self._connections[row.connection] = row
        for connection in closed:
            self._connections.pop(connection, None)

    async def connections(self, *, now: float) -> Sequence[PresentConnection]:
        alive = {(node.node, node.worker) for node in await self.nodes(now=now)}
        rows = [row for row in self._connections.values() if (row.node, row.worker) in alive]
        return sorted(rows, key=lambda row: (row.opened_at, row.connection))

    def _drop_connections(self, node: str, worker: int, *, opened_before: float | None = None) -> None:
        for row in list(self._connections.values()):
            if (row.node, row.worker) == (node, worker) and (opened_before is None or row.opened_at < opened_before):
                del self._connections[row.connection]


class MemoryKeys:
    def __init__(self) -> None:
        self._keys: dict[str, StoredKey] = {}
        self._version = 0

    async def keys(self) -> Sequence[StoredKey]:
        return sorted(self._keys.values(), key=lambda key: (key.active_from, key.key_id))

    async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
        others = [other for other in self._keys.values() if other.algorithm == key.algorithm]
        if key.key_id in self._keys or (others and retire_others_at is None):
            return False
        for other in others:
            if retire_others_at is not None and (other.retired_at is None or other.retired_at > retire_others_at):
                self._keys[other.key_id] = replace(other, retired_at=retire_others_at)
        self._keys[key.key_id] = key
        self._version += 1
        return True

    async def version(self) -> int:
        return self._version


class MemoryAudit:
    def __init__(self) -> None:
        self._lines: deque[tuple[int, AuditEvent, str]] = deque(maxlen=_AUDIT_LINES)
        self._newest = 0

    async def append(self, lines: Sequence[tuple[AuditEvent, str]]) -> None:
        for event, line in lines:
            self._newest += 1
            self._lines.append((self._newest, event, line))

    async def query(
        self, *, after: int, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        wanted = _wanted(kind=kind, subject=subject, reason=reason, since=since)
        return list(islice(((id, line) for id, event, line in self._lines if id > after and wanted(event)), limit))

    async def latest(
        self, *, limit: int, kind: str = "", subject: str = "", reason: str = "", since: float = 0.0
    ) -> Sequence[tuple[int, str]]:
        wanted = _wanted(kind=kind, subject=subject, reason=reason, since=since)
        return list(islice(((id, line) for id, event, line in reversed(self._lines) if wanted(event)), limit))[::-1]

    async def newest(self) -> int:
        return self._newest


def _wanted(*, kind: str, subject: str, reason: str, since: float) -> Callable[[AuditEvent], bool]:
    return lambda event: (
        event.at >= since
        and (not kind or event.kind == kind)
        and (not subject or event.subject == subject)
        and (not reason or event.reason == reason)
    )
