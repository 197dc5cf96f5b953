"""Where a store of several nodes stands: over one durable store, and one Redis that is empty at first."""

from collections.abc import Callable
from typing import Generic, TypeVar

from doorward.adapters.stores.cluster.store import ClusterStore, Shared
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.redis.address import read_address
from doorward.adapters.stores.redis.link import RedisLink
from doorward.adapters.stores.redis.presence import RedisPresence
from doorward.adapters.stores.redis.rates import RedisRates
from doorward.adapters.stores.redis.slots import RedisSlots
from doorward.adapters.stores.redis.tickets import RedisTickets
from doorward.adapters.system import SystemEntropy
from doorward.ports import Clock, Store
from doorward.values.revocation import Revocation
from tests.servers.redis import shared

KEY = bytes(range(32))
C = TypeVar("C", bound=Clock)


class Node(ClusterStore):
    """One process's. `said`, `junk` and `made_durable` are what it told. The deadline is long: a busy machine is no
    fault."""

    def __init__(
        self, durable: Store, url: str, *, process: str, clock: Clock, follows: bool = True, deadline: float = 10.0
    ) -> None:
        self.said: list[str] = []
        self.junk: list[tuple[str, int]] = []
        self.faults: list[str] = []
        self.made_durable: list[Revocation] = []
        entropy = SystemEntropy()
        self.link = link = RedisLink(read_address(url), entropy=entropy, deadline=deadline, note=self.said.append)
        slots = RedisSlots(link, process=process, entropy=entropy, server_time=False)

        async def begin() -> None:
            await slots.start(now=clock.now())

        async def end() -> None:
            """A life that ends in disorder: its lease runs out."""

        super().__init__(
            durable,
            link,
            Shared(
                tickets=RedisTickets(link, key=KEY, clock=clock, note=self.said.append),
                rates=RedisRates(link, server_time=False),
                slots=slots,
                presence=RedisPresence(link),
                begin=begin,
                end=end,
            ),
            key=KEY,
            clock=clock,
            entropy=entropy,
            told=Told(
                note=self.said.append,
                refused=lambda why, count: self.junk.append((why, count)),
                made_durable=self.made_durable.append,
                fault=lambda where, error: self.faults.append(where),
            ),
            follows=follows,
        )


class ClusterGround(Generic[C]):
    """`durable` makes the durable store of a process, over whatever all of them have in common."""

    def __init__(self, durable: Callable[[str], Store], clock: C, *, end: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self.server = shared()
        self._durable = durable
        self._end = end
        self._stores: list[Store] = []

    async def store(self, process: str) -> Store:
        return await self.node(process)

    async def node(self, process: str, *, follows: bool = True) -> Node:
        node = Node(self._durable(process), self.server.url, process=process, clock=self.clock, follows=follows)
        self._stores.append(node)
        await node.open()
        return node

    async def end(self) -> None:
        for store in self._stores:
            await store.close()
        self._end()
