"""All stores of one process, nothing of which outlives it: for tests, and for a gateway that may forget."""

from doorward.adapters.stores.memory.rates import MemoryRates
from doorward.adapters.stores.memory.records import (
    MemoryAudit,
    MemoryBans,
    MemoryKeys,
    MemoryPresence,
    MemoryRevocations,
)
from doorward.adapters.stores.memory.slots import MemorySlots
from doorward.adapters.stores.memory.tickets import MemoryTickets
from doorward.ports import AuditStore, BanStore, KeyStore, Presence, RateStore, RevocationLog, SlotStore, TicketStore


class MemoryStore:
    """A Store of one process, for one event loop. It never fails and never waits."""

    def __init__(self) -> None:
        self.tickets: TicketStore = MemoryTickets()
        self.rates: RateStore = MemoryRates()
        self.slots: SlotStore = MemorySlots()
        self.revocations: RevocationLog = MemoryRevocations()
        self.bans: BanStore = MemoryBans()
        self.presence: Presence = MemoryPresence()
        self.keys: KeyStore = MemoryKeys()
        self.audit: AuditStore = MemoryAudit()

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to flush."""

    async def check(self) -> None:
        """A write always succeeds."""

    async def time(self) -> None:
        """This process's own clock is the one."""
