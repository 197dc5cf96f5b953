"""Where a store stands: each Ground makes stores of one kind over one common place. A new kind is one more Ground.

The contract (test_tickets.py and so on) runs on each of GROUNDS; what needs several processes' counts to be one runs on
each of SHARED_GROUNDS.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.sqlite import SqliteStore
from doorward.ports import Store

NOW = 1_790_000_000.0


class StillClock:
    """Stands still until it is moved."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


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


GROUNDS: dict[str, Callable[[Path], Ground]] = {
    "memory": MemoryGround,
    "sqlite alone": lambda folder: SqliteGround(folder, shared=False),
    "sqlite shared": lambda folder: SqliteGround(folder, shared=True),
}
SHARED_GROUNDS = {"sqlite shared": GROUNDS["sqlite shared"]}
