"""A store that fails where it is told to, and is otherwise the memory store: every method of every port, by name."""

import asyncio
import inspect
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from doorward import ports
from doorward.adapters.stores.memory import MemoryStore
from doorward.ports import StoreError

PORTS = {
    "tickets": ports.TicketStore,
    "rates": ports.RateStore,
    "slots": ports.SlotStore,
    "revocations": ports.RevocationLog,
    "bans": ports.BanStore,
    "presence": ports.Presence,
    "keys": ports.KeyStore,
    "audit": ports.AuditStore,
}
METHODS = [
    (part, name)
    for part, port in PORTS.items()
    for name, member in inspect.getmembers(port, inspect.iscoroutinefunction)
    if not name.startswith("_")
]
"""(part of the store, method) of all that may fail or take its time."""


class Fault(Enum):
    RAISES = auto()
    RAISES_AFTER = auto()  # it was done, and the answer was lost
    HANGS = auto()
    HANGS_AFTER = auto()


class FailingStore(MemoryStore):
    """`calls` are all that were made, by (part, method). One fault at a time; None: it works."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.place: tuple[str, str] | None = None
        self.fault: Fault | None = None
        self.skip = 0
        self.plain: dict[str, Any] = {part: getattr(self, part) for part in PORTS}
        for part in PORTS:
            setattr(self, part, _Part(self, part, self.plain[part]))

    def fail(self, place: tuple[str, str] | None, fault: Fault | None = Fault.RAISES, *, skip: int = 0) -> None:
        """`skip`: so many calls of it work yet."""
        self.place, self.fault, self.skip = place, fault, skip
        self.calls.clear()

    def count(self, place: tuple[str, str]) -> int:
        return self.calls.count(place)


class _Part:
    def __init__(self, store: FailingStore, name: str, inner: object) -> None:
        self._store = store
        self._name = name
        self._inner = inner

    def __getattr__(self, method: str) -> Any:
        call: Callable[..., Any] = getattr(self._inner, method)
        if not inspect.iscoroutinefunction(call):
            return call
        place = (self._name, method)

        async def called(*arguments: Any, **named: Any) -> object:
            store = self._store
            store.calls.append(place)
            if store.place != place or store.fault is None or store.count(place) <= store.skip:
                return await call(*arguments, **named)
            if store.fault in (Fault.RAISES_AFTER, Fault.HANGS_AFTER):
                await call(*arguments, **named)
            if store.fault in (Fault.HANGS, Fault.HANGS_AFTER):
                await asyncio.get_running_loop().create_future()
            raise StoreError("injected")

        return called
