"""The store that forgets: everything in the memory of one process."""

from doorward.adapters.stores.memory.rates import MemoryRates
from doorward.adapters.stores.memory.slots import MemorySlots
from doorward.adapters.stores.memory.store import MemoryStore

__all__ = ["MemoryRates", "MemorySlots", "MemoryStore"]
