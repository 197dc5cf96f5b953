"""Slots in memory: an ordered table for each identity and each address, so that the oldest is the first.

They belong to one process and die with it, so their leases need no heartbeat.
"""

from itertools import islice
from typing import TypeVar

from doorward.values.decision import Reason
from doorward.values.principal import Identity
from doorward.values.question import Slot, SlotsFull, TakeSlot
from doorward.values.rules import WhenFull

K = TypeVar("K")


class MemorySlots:
    def __init__(self) -> None:
        self._held: dict[str, tuple[Identity, str]] = {}
        self._of_identity: dict[Identity, dict[str, None]] = {}
        self._of_address: dict[str, dict[str, None]] = {}

    async def take(self, question: TakeSlot, *, now: float) -> Slot | SlotsFull:
        self._free(question.connection)
        may_replace = question.when_full is WhenFull.REPLACE_OLDEST
        of_identity = self._of_identity.get(question.identity, {})
        excess = len(of_identity) - question.per_identity + 1
        if excess > 0 and not (may_replace and question.per_identity > 0):
            return SlotsFull(Reason.SLOTS_IDENTITY)
        replaced = dict.fromkeys(islice(of_identity, max(excess, 0)))
        of_address = self._of_address.get(question.address, {})
        excess = len(of_address) - len(replaced.keys() & of_address.keys()) - question.per_address + 1
        if excess > 0 and not (may_replace and question.per_address > 0):
            return SlotsFull(Reason.SLOTS_ADDRESS)
        if excess > 0:
            others = (connection for connection in of_address if connection not in replaced)
            replaced |= dict.fromkeys(list(islice(others, excess)))
        for connection in replaced:
            self._free(connection)
        self._held[question.connection] = (question.identity, question.address)
        self._of_identity.setdefault(question.identity, {})[question.connection] = None
        self._of_address.setdefault(question.address, {})[question.connection] = None
        return Slot(replaced=tuple(replaced))

    async def release(self, *connections: str) -> None:
        for connection in connections:
            self._free(connection)

    async def beat(self, *, now: float) -> None:
        """Nobody else could hold a slot here."""

    def _free(self, connection: str) -> None:
        held = self._held.pop(connection, None)
        if held is None:
            return
        identity, address = held
        _drop(self._of_identity, identity, connection)
        _drop(self._of_address, address, connection)


def _drop(table: dict[K, dict[str, None]], key: K, connection: str) -> None:
    of = table[key]
    del of[connection]
    if not of:
        del table[key]
