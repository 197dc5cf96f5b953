"""Nodes over one fake Redis and one durable store, each with its log and bans, and nothing that runs by itself."""

import asyncio
from dataclasses import replace

from doorward.adapters.stores.cluster.bans import ClusterBans
from doorward.adapters.stores.cluster.following import Following
from doorward.adapters.stores.cluster.revocations import ClusterRevocations
from doorward.adapters.stores.redis.feed import RedisFeed
from doorward.adapters.stores.redis.notices import Notices
from doorward.ports import LogBehindError
from doorward.service.withdrawals import Withdrawals
from doorward.testing import FakeClock, FakeEntropy
from doorward.values.revocation import Revocation
from tests.stores.clock import NOW
from tests.stores.made import revocation
from tests.unit.adapters.stores.fake_redis import Durable, FakeLink, FakeRedis

KEY = bytes(range(32))
SIGNED = Notices(KEY)


class Place:
    """What the nodes share."""

    def __init__(self) -> None:
        self.redis = FakeRedis()
        self.durable = Durable()
        self.clock = FakeClock(NOW)

    def node(self) -> "Node":
        return Node(self)


class Node:
    """`known` are the ids that whoever follows here has learnt, in order."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.link = FakeLink(place.redis)
        self.refused: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self.made_durable: list[Revocation] = []
        self.known: list[str] = []
        self.feed = RedisFeed(
            self.link, key=KEY, entropy=FakeEntropy(), refused=lambda why, count: self.refused.append((why, count))
        )
        self.following = Following(
            durable=place.durable,
            feed=self.feed,
            clock=place.clock,
            entropy=FakeEntropy(),
            name="PostgreSQL",
            note=self.notes.append,
            made_durable=self.made_durable.append,
        )
        self.log = ClusterRevocations(place.durable.revocations, self.feed, self.following, note=self.notes.append)
        self.bans = ClusterBans(place.durable.bans, self.feed, self.following, note=self.notes.append)
        self.withdrawals = Withdrawals(self.log, self.bans, place.clock)
        self.withdrawals.on_new = lambda new: self.known.extend(one.id for one in new)

    async def asks(self) -> list[str]:
        """What a handshake asks last: the ids known from then on. Raises StoreError."""
        await self.withdrawals.catch_up()
        return self.known

    async def follows(self) -> list[str]:
        """What the follower does: it acts on what is known, whether or not the log could be read."""
        try:
            await self.withdrawals.catch_up()
        except LogBehindError:
            return self.known
        return self.known


def one(name: str, **more: object) -> Revocation:
    """Whose id is its name."""
    return revocation(name, id=name, **more)


async def two(place: Place) -> tuple[Node, Node]:
    """That have both found nothing, and settled on it."""
    a, b = place.node(), place.node()
    for node in (a, b):
        await node.asks()
        await node.asks()
    return a, b


def placed(revocation: Revocation, sequence: int) -> Revocation:
    return replace(revocation, sequence=sequence)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
