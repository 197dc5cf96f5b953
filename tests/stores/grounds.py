"""Where a store stands: each Ground makes stores of one kind over one common place. A new kind is one more Ground.

The contract (test_tickets.py and so on) runs on each of GROUNDS; what needs several processes' counts to be one runs on
each of SHARED_GROUNDS.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.postgres.connecting import Patience
from doorward.adapters.stores.postgres.store import PostgresStore
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.ports import Store
from tests.servers import postgres
from tests.stores.clock import StillClock
from tests.stores.cluster_ground import ClusterGround

UNHURRIED = Patience(enter=20.0, lock=20.0, statement=20.0, answer=20.0)
"""Of tests that are about what a store does, not how long it is waited for: a busy machine is no fault."""


class Ground(Protocol):
    clock: StillClock

    async def store(self, process: str) -> Store:
        """Open one more store over this ground, as the process of that name would."""

    async def end(self) -> None:
        """Close every store that was opened."""


class MemoryGround:
    """One process: whoever asks gets the same store."""

    def __init__(self, folder: Path) -> None:
        self.clock = StillClock()
        self._store = MemoryStore()

    async def store(self, process: str) -> Store:
        await self._store.open()
        return self._store

    async def end(self) -> None:
        await self._store.close()


class SqliteGround:
    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.clock = StillClock()
        self.path = folder / "doorward.db"
        self._shared = shared
        self._stores: list[Store] = []

    async def store(self, process: str) -> Store:
        store = SqliteStore(self.path, clock=self.clock, process=process, shared=self._shared)
        await store.open()
        self._stores.append(store)
        return store

    async def end(self) -> None:
        for store in self._stores:
            await store.close()


class PostgresGround:
    """A database of its own on the server of this pytest process, with the schema in it already."""

    def __init__(self, folder: Path, *, patience: Patience = UNHURRIED) -> None:
        self.patience = patience
        self.clock = StillClock()
        self.server = postgres.shared()
        self.url = self.server.database(template=migrated(self.server))
        self._stores: list[Store] = []

    async def store(self, process: str) -> Store:
        store = PostgresStore(self.url, clock=self.clock, process=process, own_time=True, patience=self.patience)
        await store.open()
        self._stores.append(store)
        return store

    async def end(self) -> None:
        for store in self._stores:
            await store.close()
        self.server.drop(self.url)


_migrated: dict[int, str] = {}


def migrated(server: postgres.Postgres) -> str:
    """The name of a database that others are copied from: a schema takes longer to make than to copy."""
    if server.port not in _migrated:
        url = server.database()

        async def make() -> None:
            store = PostgresStore(url, clock=StillClock(), process="template", own_time=True, patience=UNHURRIED)
            await store.open()
            await store.close()

        with ThreadPoolExecutor(1) as thread:  # the test's own loop runs in this one
            thread.submit(asyncio.run, make()).result()
        _migrated[server.port] = url.rpartition("/")[2]
    return _migrated[server.port]


def redis_over_sqlite(folder: Path) -> Ground:
    clock = StillClock()

    def durable(process: str) -> Store:
        return SqliteStore(folder / "doorward.db", clock=clock, process=process, shared=False)

    return ClusterGround(durable, clock)


def redis_over_postgres(folder: Path) -> Ground:
    clock = StillClock()
    server = postgres.shared()
    url = server.database(template=migrated(server))

    def durable(process: str) -> Store:
        return PostgresStore(url, clock=clock, process=process, own_time=True, patience=UNHURRIED)

    return ClusterGround(durable, clock, end=lambda: server.drop(url))


GROUNDS: dict[str, Callable[[Path], Ground]] = {
    "memory": MemoryGround,
    "sqlite alone": lambda folder: SqliteGround(folder, shared=False),
    "sqlite shared": lambda folder: SqliteGround(folder, shared=True),
    "postgres": PostgresGround,
    "redis over sqlite": redis_over_sqlite,
    "redis over postgres": redis_over_postgres,
}
SHARED_GROUNDS = {
    name: GROUNDS[name] for name in ("sqlite shared", "postgres", "redis over sqlite", "redis over postgres")
}
ON_SERVERS = frozenset({"postgres", "redis over sqlite", "redis over postgres"})  # marked `servers`
