"""A Store of several nodes: keys, accounts, audit and the logs in a durable one, all that is of the moment in Redis.

`durable` is a whole Store of its own (PostgreSQL, or SQLite where all nodes are on one machine).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from doorward.adapters.stores.cluster.bans import ClusterBans
from doorward.adapters.stores.cluster.following import Following
from doorward.adapters.stores.cluster.presence import ClusterPresence
from doorward.adapters.stores.cluster.revocations import ClusterRevocations
from doorward.adapters.stores.cluster.told import Told
from doorward.adapters.stores.redis.feed import Link as FeedLink
from doorward.adapters.stores.redis.feed import RedisFeed
from doorward.ports import (
    AuditStore,
    BanStore,
    Clock,
    Entropy,
    KeyStore,
    Presence,
    RateStore,
    RevocationLog,
    SlotStore,
    Store,
    StoreError,
    TicketStore,
)
from doorward.service.guarding import guarded
from doorward.service.noting import unfailing


class Link(FeedLink, Protocol):
    """RedisLink, as far as the store needs it."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What Redis keeps. `begin` and `end` are of the life of this process's slots, once the link is open."""

    tickets: TicketStore
    rates: RateStore
    slots: SlotStore
    presence: Presence
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]


class ClusterStore:
    """`key` signs what nodes tell each other. `name` is what a message calls the durable store. `follows`: this process
    serves connections, so it polls and listens.

    One that does not, a command, is content with one of the two sides, unless it asks the other for something.
    """

    def __init__(
        self,
        durable: Store,
        link: Link,
        shared: Shared,
        *,
        key: bytes,
        clock: Clock,
        entropy: Entropy,
        told: Told,
        follows: bool,
        name: str = "the durable store",
    ) -> None:
        self._durable = durable
        self._link = link
        self._shared = shared
        self._told = told = replace(told, note=unfailing(told.note))
        self._follows = follows
        self._was_told = False
        self._junk: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._feed = feed = RedisFeed(link, key=key, entropy=entropy, refused=self._refused)
        self._following = following = Following(
            durable=durable,
            feed=feed,
            clock=clock,
            entropy=entropy,
            name=name,
            note=self._note_news,
            made_durable=told.made_durable,
        )
        self.tickets: TicketStore = shared.tickets
        self.rates: RateStore = shared.rates
        self.slots: SlotStore = shared.slots
        self.revocations: RevocationLog = ClusterRevocations(durable.revocations, feed, following, note=self._note_news)
        self.bans: BanStore = ClusterBans(durable.bans, feed, following, note=told.note)
        self.presence: Presence = ClusterPresence(
            durable.presence, shared.presence, note=told.note if follows else None
        )
        self.keys: KeyStore = durable.keys
        self.audit: AuditStore = durable.audit

    async def open(self) -> None:
        """Raises StoreError, with the key of the configuration that it is about, when either side can't be opened. A
        command is told, and goes on with the other."""
        sides = (("store.url", self._durable.open), ("store.cluster_url", self._open_shared))
        failures: list[str] = []
        for name, opening in sides:
            try:
                await opening()
            except StoreError as error:
                failures.append(f"{name}: {error}")
            except BaseException:
                await self._close_both()
                raise
        if len(failures) > (0 if self._follows else 1):
            await self._close_both()
            raise StoreError("; ".join(failures))
        for failure in failures:
            self._told.note(failure)
        self._was_told = bool(failures)
        if self._follows:
            self._tasks = [
                asyncio.create_task(guarded(name, work, fault=self._told.fault), name=name)
                for name, work in (
                    ("durable log", self._following.run),
                    ("feed", partial(self._feed.listen, self._following.wake)),
                    ("refused entries", self._tell_of_junk),
                )
            ]

    def _note_news(self, line: str) -> None:
        """A command that was told which side is away has heard why already."""
        if not self._was_told:
            self._told.note(line)

    async def _open_shared(self) -> None:
        await self._link.open()
        await self._shared.begin()

    async def close(self) -> None:
        """May be called again. Raises StoreError where the durable side does not end in time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._following.end()
        self._tell()
        await self._close_both()

    async def _close_both(self) -> None:
        try:
            await self._shared.end()
        except StoreError as error:  # what this process held comes free when its lease runs out
            self._told.note(f"not left in order: {error}")
        try:
            await self._link.close()
        finally:
            await self._durable.close()

    async def check(self) -> None:
        """Raise StoreError unless a write to either side succeeds now."""
        await asyncio.gather(self._durable.check(), self._link.check())

    async def time(self) -> float | None:
        return await self._durable.time()

    def _refused(self, why: str, count: int) -> None:
        self._junk[why] = self._junk.get(why, 0) + count

    async def _tell_of_junk(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._tell()

    def _tell(self) -> None:
        junk, self._junk = self._junk, {}
        for why, count in junk.items():
            self._told.refused(why, count)
