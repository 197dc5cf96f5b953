"""Bans lie in the durable store; that they changed is told by the feed, so that one counts at once on every node.

`version` is a number of this process's own: another one whenever there is a reason to look at the durable rows.
"""

from collections.abc import Callable, Sequence

from doorward.adapters.stores.cluster.following import Following
from doorward.adapters.stores.redis.feed import RedisFeed
from doorward.adapters.stores.redis.notices import BansChanged
from doorward.ports import BanStore, StoreError
from doorward.values.ban import Ban


class ClusterBans:
    def __init__(
        self, durable: BanStore, feed: RedisFeed, following: Following, *, note: Callable[[str], None]
    ) -> None:
        self._durable = durable
        self._feed = feed
        self._following = following
        self._note = note

    async def add(self, ban: Ban) -> int:
        id = await self._durable.add(ban)
        await self._tell()
        return id

    async def remove(self, id: int) -> bool:
        removed = await self._durable.remove(id)
        if removed:
            await self._tell()
        return removed

    async def version(self) -> int:
        await self._following.refresh()
        return self._following.ban_version

    async def all(self, *, now: float) -> Sequence[Ban]:
        return await self._durable.all(now=now)

    async def _tell(self) -> None:
        """What can't be told is found within a second or so: the durable log is polled."""
        try:
            await self._feed.publish(BansChanged(await self._durable.version()))
        except StoreError as error:
            self._following.doubt()
            self._note(f"each node finds the change of the bans by itself, within some 2 s; not told at once: {error}")
