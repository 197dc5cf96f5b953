"""The world outside, in the tests' hand."""

from collections.abc import Sequence

from doorward.adapters.crypto.outbound import Outbound, OutboundAnswer, OutboundError
from doorward.adapters.stores.memory import MemoryStore
from doorward.ports import KeyStore, StoredKey, StoreError
from doorward.testing.clock import START as NOW
from doorward.testing.clock import FakeClock

__all__ = ["NOW", "Keys", "Site", "at"]


def at(clock: FakeClock, instant: float) -> None:
    """Move the clock on to an instant."""
    clock.advance(instant - clock.now())


class Site(Outbound):
    """An outbound client whose calls are answered from a list: an answer, or an error to raise."""

    def __init__(self, *answers: OutboundAnswer | OutboundError) -> None:
        super().__init__()
        self.answers = list(answers)
        self.calls = 0

    async def call(self, url: str, **rest: object) -> OutboundAnswer:
        self.calls += 1
        answer = self.answers.pop(0)
        if isinstance(answer, OutboundError):
            raise answer
        return answer


class Keys:
    """The memory store's keys, and a switch that makes them fail."""

    def __init__(self) -> None:
        self._store: KeyStore = MemoryStore().keys
        self.failing = False
        self.reads = 0

    async def keys(self) -> Sequence[StoredKey]:
        self._check()
        self.reads += 1
        return await self._store.keys()

    async def add(self, key: StoredKey, *, retire_others_at: float | None) -> bool:
        self._check()
        return await self._store.add(key, retire_others_at=retire_others_at)

    async def version(self) -> int:
        self._check()
        return await self._store.version()

    def _check(self) -> None:
        if self.failing:
            raise StoreError("away")
