"""Where the Redis parts stand: a store of memory whose tickets, rates, slots and presence are Redis's."""

from collections.abc import Callable
from typing import Any

from doorward.adapters.stores.memory import MemoryStore
from doorward.adapters.stores.redis.address import read_address
from doorward.adapters.stores.redis.link import RedisLink
from doorward.adapters.stores.redis.presence import RedisPresence
from doorward.adapters.stores.redis.rates import RedisRates
from doorward.adapters.stores.redis.slots import RedisSlots
from doorward.adapters.stores.redis.tickets import RedisTickets
from doorward.adapters.system import SystemEntropy
from doorward.ports import Clock, Store
from tests.stores.clock import NOW, StillClock

KEY = bytes(range(32))


class RedisParts(MemoryStore):
    """`said` has what was noted. With `server_time` Redis's own clock counts."""

    def __init__(
        self,
        url: str,
        *,
        process: str,
        clock: Clock,
        server_time: bool = False,
        deadline: float = 5.0,
        key: bytes = KEY,
    ) -> None:
        super().__init__()
        self.said: list[str] = []
        self.clock = clock
        self.link = link = RedisLink(
            read_address(url), entropy=SystemEntropy(), deadline=deadline, note=self.said.append
        )
        self.tickets = RedisTickets(link, key=key, clock=clock, note=self.said.append)
        self.rates = RedisRates(link, server_time=server_time)
        self.held = RedisSlots(link, process=process, entropy=SystemEntropy(), server_time=server_time)
        self.slots = self.held
        self.presence = RedisPresence(link)

    async def open(self) -> None:
        await self.link.open()
        await self.held.start(now=self.clock.now())

    async def close(self) -> None:
        await self.link.close()

    async def check(self) -> None:
        await self.link.check()


class RedisGround:
    """`url` is asked for each store. The deadline is long: what is tested here is not how quickly a busy machine is."""

    def __init__(self, url: Callable[[], str]) -> None:
        self.clock = StillClock(NOW)
        self._url = url
        self._stores: list[RedisParts] = []

    async def store(self, process: str) -> Store:
        return await self.parts(process)

    async def parts(self, process: str, **options: Any) -> RedisParts:
        parts = RedisParts(self._url(), process=process, clock=self.clock, **options)
        self._stores.append(parts)
        await parts.open()
        return parts

    async def end(self) -> None:
        for store in self._stores:
            await store.close()
